// The servers that the tests of the Redis backend start: redis-server and redis-cli. Installs them where
// that is possible, which is on Debian and its kin as root.
import process from 'node:process'
import './node-version.mjs'
import { Failure, isCI, MINUTE, run, say, script } from './tools.mjs'

const HINT =
  'redis-server is not installed, so Redis is not tested: install it (Debian: apt-get install redis-server).'

async function isThere() {
  for (const program of ['redis-server', 'redis-cli']) {
    if (!(await run(program, ['--version'], { timeout: MINUTE })).ok) return false
  }
  return true
}

async function installOnDebian() {
  if (process.getuid?.() !== 0) return
  // RUNLEVEL: a service of its own is not wanted.
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const apt = (...args) => run('apt-get', ['-qq', ...args], { env, timeout: 10 * MINUTE })
  if ((await run('apt-get', ['--version'])).missing) return
  say('Installing redis-server.')
  await apt('update')
  await apt('install', '-y', '--no-install-recommends', 'redis-server')
}

/** Resolves nothing if the servers are there, or could be installed; else one line that says so. */
export async function redisServer() {
  if (process.env.RUST_STORE_TEST_WITHOUT?.split(',').includes('redis')) return undefined
  if (await isThere()) return undefined
  await installOnDebian()
  if (await isThere()) return undefined
  if (isCI) throw new Failure(`With CI=true nothing may be skipped, but ${HINT}`)
  return HINT
}

script(import.meta.url, async () => {
  say((await redisServer()) ?? 'redis-server is there.')
})
