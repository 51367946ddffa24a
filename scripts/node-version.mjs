// Ends the process with one line where this Node.js is too old for the package.
// Imported first by every script, so that it speaks before newer syntax or modules can fail.
// It, and what the scripts import by name, must therefore work on every Node.js that knows modules.
import fs from 'node:fs'

const manifest = JSON.parse(fs.readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const wanted = manifest.engines.node.replace(/[^\d.]/g, '')

/** Whether dotted version `a` is at least `b`. */
export function atLeast(a, b) {
  const left = a.split('.').map(Number)
  const right = b.split('.').map(Number)
  for (let i = 0; i < right.length; i++) {
    if ((left[i] || 0) !== right[i]) return (left[i] || 0) > right[i]
  }
  return true
}

if (!atLeast(process.versions.node, wanted)) {
  process.stderr.write(
    `Node.js ${process.versions.node} is too old: install ${wanted} or newer, then run this again.\n`,
  )
  process.exit(1)
}
