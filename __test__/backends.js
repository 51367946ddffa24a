'use strict'
// The test matrix: one row per backend, and nothing else that knows a backend by name.
// A new backend is one more row. What it does differently is declared here, and the suite asks
// only these declarations, never `name`.
//
//   name          shown in the report, and how a child process or a worker finds its row
//   timing        method -> 'inside' (answered inside the call) or 'later'
//   capabilities  see `memory` below
//   open          opens a store on a fresh place
//   again         opens a second store on the place of the first
//   where         what another thread or process passes to `new RustStore()` for the same place
//                 (what has a server keeps it running for them, too)
//   cleanup       runs once, after the row's tests

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { threadId } = require('node:worker_threads')
const { RustStore } = require('..')
const mongodb = require('./servers/mongodb.js')
const redis = require('./servers/redis.js')

const timing = {
  get: 'inside',
  set: 'inside',
  touch: 'inside',
  destroy: 'later',
  all: 'later',
  length: 'later',
  clear: 'later',
  ids: 'later',
  ping: 'later',
  stats: 'later',
  close: 'later',
}

const memory = {
  // A second store object can be opened on one place ...
  shared: false,
  // ... from another thread, from another process.
  threads: false,
  processes: false,
  // 'caller': expiry follows the caller's Date.now(), so tests move it. 'server': tests wait.
  clock: 'caller',
  // What `get` shows as cookie.expires is the real expiry, not only never earlier.
  exactExpiry: true,
  // Prefixes that begin alike ('a' and 'ab') are kept apart too.
  exactPrefixes: true,
  // A read sees what was asked for before it, also unacknowledged: of the whole 'process', or of the one
  // 'store' object; or it does so for one 'sid', and walks see what has been acknowledged.
  ordered: 'process',
  // stats() knows bytes, expired and evicted; a server keeps them to itself.
  gauges: true,
  // Calls that are nested to see whether a stack overflows: fewer where each waits for a disk.
  nested: 10_000,
  // Sessions, or calls, that are many to it.
  many: 1_000,
  // Seconds a session lives when nothing says otherwise.
  defaultTtl: 86_400,
  // Longest sid, in bytes of UTF-8.
  maxSidBytes: 65_535,
}

const later = { ...timing, get: 'later', set: 'later', touch: 'later' }

const server = {
  ...memory,
  shared: true,
  threads: true,
  processes: true,
  clock: 'server',
  exactExpiry: false,
  exactPrefixes: false,
  gauges: false,
  ordered: 'store',
}

const places = new WeakMap()
let opened = 0

/** A folder that is not there yet, under one that is removed when the process of the tests ends. */
function freshFolder() {
  if (process.env.RUST_STORE_TEST_FOLDER === undefined) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-'))
    // For child processes and worker threads, too.
    process.env.RUST_STORE_TEST_FOLDER = folder
    process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  }
  const name = `${process.pid}-${threadId}-${++opened}`
  return path.join(process.env.RUST_STORE_TEST_FOLDER, name)
}

function remember(store, url) {
  places.set(store, url)
  return store
}

const rows = [
  {
    name: 'memory (private)',
    timing,
    capabilities: memory,
    async open(options) {
      return new RustStore(options)
    },
    async again() {
      throw new Error('a private memory store has no second door')
    },
    where() {
      return undefined
    },
    async cleanup() {},
  },
  {
    name: 'memory (named)',
    timing,
    capabilities: { ...memory, shared: true, threads: true },
    async open(options) {
      const url = `memory:matrix-${process.pid}-${threadId}-${++opened}`
      return remember(new RustStore({ url, ...options }), url)
    },
    async again(store, options) {
      const url = places.get(store)
      return remember(new RustStore({ url, ...options }), url)
    },
    where(store) {
      return places.get(store)
    },
    async cleanup() {},
  },
]

/**
 * A row of stores on one server, told apart by prefixes. `start` resolves `{ url, end }`. Worker threads
 * and child processes use the server of whoever started them.
 */
function serverRow(name, capabilities, start) {
  const variable = `RUST_STORE_TEST ${name}`
  let started
  const running = async () => {
    if (process.env[variable]) return process.env[variable]
    started ??= start()
    process.env[variable] = (await started).url
    return process.env[variable]
  }
  const at = (url, place, options) => {
    const prefix = `${place}${options?.prefix ?? ''}`
    const store = new RustStore({ ...options, url, prefix })
    places.set(store, { url, place, prefix })
    return store
  }
  return {
    name,
    timing: later,
    capabilities: { ...server, ...capabilities },
    async open(options) {
      const url = await running()
      return at(url, `${process.pid}-${threadId}-${++opened}:`, options)
    },
    async again(store, options) {
      const { url, place } = places.get(store)
      return at(url, place, options)
    },
    where(store) {
      const { url, prefix } = places.get(store)
      return { url, prefix }
    },
    async cleanup() {
      if (started) await (await started).end()
    },
  }
}

// On Windows there is no such backend.
if (process.platform !== 'win32') {
  rows.push({
    name: 'file',
    timing: { ...timing, set: 'later' },
    capabilities: { ...memory, shared: true, threads: true, processes: true, nested: 1_000 },
    async open(options) {
      // What one flush more makes safe shows in no test of the suite.
      const url = `file:${freshFolder()}?durability=normal`
      return remember(new RustStore({ url, ...options }), url)
    },
    async again(store, options) {
      const url = places.get(store)
      return remember(new RustStore({ url, ...options }), url)
    },
    where(store) {
      return places.get(store)
    },
    async cleanup() {},
  })
}

if (redis.missing() === undefined) {
  rows.push(
    serverRow('redis (one server)', {}, redis.startRedis),
    serverRow('redis (TLS)', {}, redis.startRedisTls),
    serverRow('redis (Sentinel)', {}, redis.startSentinels),
    serverRow('redis (Cluster)', {}, redis.startCluster),
  )
}

if (mongodb.missing() === undefined) {
  const capabilities = {
    clock: 'caller',
    exactExpiry: true,
    ordered: 'sid',
    // The server of its tests takes ms for each.
    nested: 1_000,
    many: 200,
    defaultTtl: 1_209_600,
  }
  rows.push(serverRow('mongodb', capabilities, mongodb.startMongodb))
}

function rowNamed(name) {
  const row = rows.find((one) => one.name === name)
  if (!row) throw new Error(`no backend is called ${name}`)
  return row
}

module.exports = { rows, rowNamed }
