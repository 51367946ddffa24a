'use strict'
// A real server for the MongoDB tests: that of MONGODB_URL, or one that is started here on a free
// port and gone with this process, however that ends. It is PyPI's secantusdb, which speaks
// MongoDB's protocol over the WiredTiger engine; it is installed into a folder of its own under .cache.
// Knows nothing of stores.

const { execFile, execFileSync, spawn } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { setTimeout: sleep } = require('node:timers/promises')
const { promisify } = require('node:util')

const VERSION = '0.7.0b3'
const INSTALLED_WITHIN = 300_000
const LISTENS_WITHIN = 60_000
const home = path.resolve(__dirname, `../../.cache/secantusdb-${VERSION}`)
const pythonIn = (dir) =>
  path.join(dir, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')

// The server ends when its standard input does: with us, also when we are killed.
const SERVE = `
import os, shutil, sys, threading
def end_with_parent():
    sys.stdin.buffer.read()
    if os.environ.get('REMOVE'): shutil.rmtree(os.environ['REMOVE'], ignore_errors=True)
    os._exit(0)
threading.Thread(target=end_with_parent, daemon=True).start()
from secantus.cli import main
main()
`

const systemPython = process.platform === 'win32' ? 'python' : 'python3'

/**
 * Why there is no server for tests, or undefined. In CI there has to be one, but on platforms that have none,
 * which the workflow then says.
 */
function missing() {
  if (process.env.MONGODB_URL) return undefined
  if (process.env.RUST_STORE_TEST_WITHOUT?.split(',').includes('mongodb')) {
    return 'RUST_STORE_TEST_WITHOUT names it'
  }
  if (process.env.CI === 'true' || fs.existsSync(pythonIn(home))) return undefined
  try {
    const wanted = 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))'
    execFileSync(systemPython, ['-c', wanted], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'give the URL of a server as MONGODB_URL, or install Python 3.10 with venv (Debian: python3-venv)'
  }
}

/** node:test, or nothing in its place where there is no server, which is said. */
function testing() {
  const why = missing()
  if (why === undefined) return require('node:test')
  console.log(`MongoDB is not tested: ${why}.`)
  const nothing = () => {}
  return { after: nothing, before: nothing, describe: nothing, test: nothing }
}

/** Installs the server where it is missing, and resolves the Python that runs it. */
async function install() {
  if (fs.existsSync(pythonIn(home))) return pythonIn(home)
  const run = (command, args) =>
    promisify(execFile)(command, args, { timeout: INSTALLED_WITHIN, killSignal: 'SIGKILL' })
  fs.mkdirSync(path.dirname(home), { recursive: true })
  // Beside its place and then moved there: test files run at once, and each may come here.
  const own = fs.mkdtempSync(`${home}-`)
  try {
    await run(systemPython, ['-m', 'venv', own])
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    await run(pythonIn(own), [...pip, `secantusdb==${VERSION}`])
    fs.renameSync(own, home)
  } catch (cause) {
    if (!fs.existsSync(pythonIn(home))) {
      const said = String(cause.stderr || cause.message).trim()
      throw new Error(
        `secantusdb, the server for the tests of MongoDB, could not be installed with Python's venv and pip: ${said}`,
        { cause },
      )
    }
  } finally {
    fs.rmSync(own, { recursive: true, force: true })
  }
  return pythonIn(home)
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function listens(port) {
  const socket = net.connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/**
 * Starts a server of our own: `{ port, url, start(), kill(), stop() }`. After `kill` (SIGKILL) it can be
 * started again, on the same port with the same data and perhaps more flags; `stop` removes the data too.
 *
 * @param flags more flags for it
 */
async function startServer(...flags) {
  const python = await install()
  const port = await freePort()
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-mongodb-'))
  const args = ['--host', '127.0.0.1', '--port', String(port), '--storage-path', folder]
  let child

  const server = {
    port,
    url: `mongodb://127.0.0.1:${port}`,
    async start(...more) {
      const log = fs.openSync(path.join(folder, 'log'), 'a')
      child = spawn(python, ['-c', SERVE, ...args, '--log-level', 'ERROR', ...flags, ...more], {
        stdio: ['pipe', log, log],
        env: { ...process.env, REMOVE: folder },
      })
      fs.closeSync(log)
      // It must not keep a test process alive whose tests have ended.
      child.unref()
      child.stdin.unref?.()
      const end = Date.now() + LISTENS_WITHIN
      while (!(await listens(port))) {
        if (child.exitCode !== null || child.signalCode !== null || Date.now() > end) {
          const said = fs.readFileSync(path.join(folder, 'log'), 'utf8')
          throw new Error(`secantusdb did not start: ${said}`)
        }
        await sleep(50)
      }
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.ref()
      child.kill('SIGKILL')
      await ended
    },
    async stop() {
      await server.kill()
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

let own
let starting

/** The URL of the server that this process's tests share, without a database. */
function sharedUrl() {
  starting ??= (async () => {
    if (process.env.MONGODB_URL) return process.env.MONGODB_URL
    own = await startServer()
    return own.url
  })()
  return starting
}

/** Ends the shared server, if it is ours. */
async function stopShared() {
  await own?.stop()
  own = undefined
  starting = undefined
}

async function withDatabase(base, name, work) {
  const { MongoClient } = require('mongodb')
  const client = new MongoClient(base)
  try {
    return await work(client.db(name))
  } finally {
    await client.close()
  }
}

/**
 * Makes a collection. Stores do without, but secantusdb 0.7.0b3 stands still for ever where two commands
 * bring one into being at once, as a store's index and its first save may.
 */
const createCollection = (base, database, name) =>
  withDatabase(base, database, (db) => db.createCollection(name))

/** Removes what tests have left on the shared server, if there is one. */
async function dropDatabase(name) {
  if (starting) await withDatabase(await starting, name, (db) => db.dropDatabase())
}

/** A place of its own on the shared server, for the test matrix: `{ url, end }`. */
async function startMongodb() {
  const base = await sharedUrl()
  const database = `rust-session-store-${process.pid}`
  await createCollection(base, database, 'sessions')
  return {
    // No machine is too busy for the suite.
    url: urlOf(base, database, { commandTimeout: 30_000, connectTimeout: 30_000 }),
    async end() {
      await dropDatabase(database)
      await stopShared()
    },
  }
}

/** A URL with another database and with further parameters. */
function urlOf(base, database, parameters = {}) {
  const [place, query] = base.split('?')
  const hosts = place.replace(/^(mongodb(?:\+srv)?:\/\/[^/]*).*$/, '$1')
  const all = new URLSearchParams(query)
  for (const [name, value] of Object.entries(parameters)) all.set(name, value)
  return `${hosts}/${database}${all.size > 0 ? `?${all}` : ''}`
}

module.exports = {
  missing,
  testing,
  createCollection,
  dropDatabase,
  freePort,
  install,
  sharedUrl,
  startMongodb,
  startServer,
  stopShared,
  urlOf,
}

// `node __test__/servers/mongodb.js`: for the engine's tests. Prints the URL of a server, which ends with
// our standard input.
if (require.main === module) {
  sharedUrl().then(
    (url) => {
      process.stdout.write(`${url}\n`)
      process.stdin.resume().on('end', () => stopShared())
    },
    (error) => {
      process.stderr.write(`${error.message}\n`)
      process.exitCode = 1
    },
  )
}
