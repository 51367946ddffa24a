// Runs the JavaScript tests on every supported release of Node.js, with the one addon that was built:
// `node scripts/test-nodes.mjs [--only 22] [--whole]`. Those that are not running this come from npm packages
// that carry the executable, into .cache/nodes.
import './node-version.mjs'
import fs from 'node:fs'
import path from 'node:path'
import util from 'node:util'
import { jsTests } from './js-tests.mjs'
import { setup } from './setup.mjs'
import { exists, Failure, MINUTE, npm, root, run, say, script } from './tools.mjs'

const OTHERS = ['22', '24', '26']
// What fails and recovers at the other end of a socket, or grows in a folder, is no matter of the release of
// Node.js, and takes minutes, as a thousand workers do; `--whole` runs it as well. Memory, files and one Redis server go through all
// of the boundary, with a hundred workers each.
const LONG = [
  'mongodb',
  'redis-cluster',
  'redis-sentinel',
  'redis-tls',
  'redis-faults',
  'redis-failover',
  'redis-commands',
  'redis-urls',
  'file-soak',
  'workers-thousand',
]

/** Installs Node.js `major` if it is not there, and resolves its executable. */
async function nodeOf(major) {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${platform}-${process.arch}`
  const dir = path.join('.cache/nodes', major)
  const file = path.join(dir, 'node_modules', name, 'bin', platform === 'win' ? 'node.exe' : 'node')
  if (!exists(file)) {
    fs.mkdirSync(path.join(root, dir), { recursive: true })
    fs.writeFileSync(path.join(root, dir, 'package.json'), '{"private":true}\n')
    const [command, ...args] = npm()
    const install = [...args, 'install', '--no-audit', '--no-fund', `${name}@${major}`]
    const { ok, output } = await run(command, install, {
      cwd: path.join(root, dir),
      timeout: 10 * MINUTE,
    })
    if (!ok || !exists(file)) {
      process.stderr.write(output)
      throw new Failure(`Node.js ${major} could not be installed from the npm package ${name}.`)
    }
  }
  return path.join(root, file)
}

/** Resolves the executable of Node.js `major` and its version, when it runs here. */
async function checked(major) {
  const node = await nodeOf(major)
  const { ok, output } = await run(node, ['--version'], { timeout: MINUTE })
  const version = output.trim()
  if (!ok || !version.startsWith(`v${major}.`)) {
    throw new Failure(`Node.js ${major} does not run here: ${version || 'no answer'}`)
  }
  return { node, version }
}

/** Resolves a note for the summary. */
export async function testNodes({ majors = OTHERS, whole = false } = {}) {
  const nodes = []
  for (const major of majors) nodes.push(await checked(major))
  const without = whole ? [] : LONG
  // Together, so that none waits for the last file of another.
  await Promise.all(
    nodes.map(async ({ node, version }) => {
      say(`Node.js ${version}: ${await jsTests({ node, show: false, without })}`)
    }),
  )
  const notes = nodes.map(({ version }) => version)
  const left = whole ? '' : `; without the files of ${LONG.join(', ')} (--whole: with them)`
  return `${notes.join(', ')}${left}`
}

script(import.meta.url, async () => {
  const options = { only: { type: 'string', multiple: true }, whole: { type: 'boolean' } }
  const { values } = util.parseArgs({ options })
  await setup()
  if (!values.only) say(`Node.js ${process.version}: ${await jsTests({ show: false })}`)
  await testNodes({ majors: values.only, whole: values.whole })
})
