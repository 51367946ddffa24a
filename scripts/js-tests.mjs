// Runs the JavaScript test files on one Node.js, and counts what was passed and skipped.
// Used for the Node.js that runs `npm test`, and by test-nodes.mjs for the others. By itself
// (`node scripts/js-tests.mjs`) it expects what is there to be installed and built.
import './node-version.mjs'
import util from 'node:util'
import { Failure, filesIn, isCI, run, say, script } from './tools.mjs'

// A file that does not end by itself is a failure of the store: it must not keep a process alive.
const MINUTES = 6
// Many tests wait for the clock of a server: more files than cores run side by side.
const FILES_AT_A_TIME = 3

/**
 * Resolves a note for the summary. `node`: the executable. `filters`: parts of file names, all
 * files without. `without`: parts of names of files that are left out. `show`: print all; else only
 * what failed.
 */
export async function jsTests(options = {}) {
  const { node = process.execPath, filters = [], without = [], show = true } = options
  const all = filesIn('__test__', '.test.js')
  const has = (file, parts) => parts.some((part) => file.includes(part))
  const files = all.filter((file) => (!filters.length || has(file, filters)) && !has(file, without))
  if (!files.length) throw new Failure(`No test file matches ${filters}: see __test__/*.test.js.`)
  const flags = ['--test', '--test-reporter=spec']
  flags.push(`--test-timeout=${MINUTES * 60_000}`, `--test-concurrency=${FILES_AT_A_TIME}`)
  const { ok, output } = await run(node, [...flags, ...files], { show })
  const text = util.stripVTControlCharacters(output)
  const count = (word) => Number(text.match(new RegExp(`^\\S+ ${word} (\\d+)$`, 'm'))?.[1] ?? 0)
  const passed = count('pass')
  const left = count('skipped') + count('todo')
  if (!ok) {
    if (!show) say(output)
    throw new Failure('JavaScript tests failed: see above.')
  }
  if (!passed) throw new Failure('No JavaScript test was run.')
  if (isCI && left) throw new Failure(`With CI=true no test may be skipped, but ${left} were.`)
  return `${passed} passed${left ? `, ${left} skipped` : ''}, ${files.length} files`
}

script(import.meta.url, async () => {
  say(await jsTests({ filters: process.argv.slice(2) }))
})
