// Who is compared: one entry each. A new store, or a new backend of ours, is one more entry here
// and its name in the group that measures it. Knows how to open a store, not what is measured.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { newSession, sidText } from './session.mjs'

const require = createRequire(import.meta.url)
const session = require('express-session')

/**
 * A store that does nothing and answers at once: the floor for what a store can cost. It has to
 * hand out a session that express-session can work with (it replaces `cookie` on what it is given
 * and hashes the rest), so each `get` makes a fresh object around parts that all of them share.
 * No text is parsed, none is made, nothing is looked up.
 */
class NoopStore extends session.Store {
  constructor() {
    super()
    this.sample = JSON.parse(JSON.stringify(newSession(1, sidText(1))))
  }

  get(_sid, callback) {
    const { cookie, passport, cart, preferences, views, csrf } = this.sample
    callback(null, { cookie: { ...cookie }, passport, cart, preferences, views, csrf })
  }

  set(_sid, _session, callback) {
    callback()
  }

  touch(_sid, _session, callback) {
    callback()
  }

  destroy(_sid, callback) {
    callback()
  }

  length(callback) {
    callback(null, 0)
  }

  clear(callback) {
    callback()
  }
}

/**
 * The same, and of what a store of texts has to do, nothing but the JSON: all sessions are one text, which
 * stays as it is.
 */
class JsonStore extends NoopStore {
  constructor() {
    super()
    this.text = JSON.stringify(this.sample)
  }

  get(_sid, callback) {
    callback(null, JSON.parse(this.text))
  }

  set(_sid, session, callback) {
    this.made = JSON.stringify(session)
    callback()
  }
}

/**
 * `open({ prune })` makes an empty store; with `prune`, one that removes expired sessions by
 * itself, where the store can (`prunes`). `walk(store, visit)` visits all sessions, resolves when
 * done, and does it in the way of that store that is kindest to the event loop.
 */
export const contenders = {
  rust: {
    label: 'RustStore',
    prunes: true,
    open: () => {
      const { RustStore } = require('../index.js')
      return new RustStore()
    },
    walk: async (store, visit) => {
      for await (const [sid, value] of store.entries()) visit(sid, value)
    },
  },
  memory: {
    label: 'MemoryStore',
    prunes: false,
    open: () => new session.MemoryStore(),
    walk: walkAll,
  },
  memorystore: {
    label: 'memorystore',
    prunes: true,
    open: ({ prune } = {}) => {
      const MemoryStore = require('memorystore')(session)
      return new MemoryStore(prune ? { checkPeriod: 1000 } : {})
    },
    walk: walkAll,
  },
  noop: {
    label: 'no-op store',
    prunes: false,
    open: () => new NoopStore(),
    walk: async () => {},
  },
  json: { label: 'JSON alone', open: () => new JsonStore() },
}

// On the server that the group `redis` has started, each under a prefix of its own.
Object.assign(contenders, {
  rustRedis: {
    label: 'RustStore',
    open: () => {
      const { RustStore } = require('../index.js')
      return new RustStore({ url: process.env.BENCH_REDIS_URL, prefix: 'rust:' })
    },
  },
  redis5: { label: 'connect-redis, redis 5', open: () => connectRedis('redis5') },
  redis6: { label: 'connect-redis, redis 6', open: () => connectRedis('redis6') },
})

async function connectRedis(name) {
  const { RedisStore } = require('connect-redis')
  const { createClient } = require(name)
  const client = createClient({ url: process.env.BENCH_REDIS_URL })
  // As its README asks for; the server ends before these processes do.
  client.on('error', () => {})
  await client.connect()
  return new RedisStore({ client, prefix: `${name}:` })
}

// On the server that the group `mongodb` has started, each in a collection of its own.
Object.assign(contenders, {
  rustMongo: {
    label: 'RustStore',
    open: () => {
      const { RustStore } = require('../index.js')
      // The peer has no deadline either, and the server of the benchmark may take seconds at times.
      const options = { collection: 'rustMongo', commandTimeout: 60_000 }
      return new RustStore({ url: process.env.BENCH_MONGODB_URL, ...options })
    },
  },
  connectMongo: {
    label: 'connect-mongo',
    open: () => {
      const { MongoStore } = require('connect-mongo')
      return MongoStore.create({
        mongoUrl: process.env.BENCH_MONGODB_URL,
        collectionName: 'connectMongo',
      })
    },
  },
})

// In a folder each, under the one that the group `file` has made.
Object.assign(contenders, {
  rustFile: { label: 'RustStore, full', open: () => rustFile('full') },
  rustFileNormal: { label: 'RustStore, normal', open: () => rustFile('normal') },
  sqlite: { label: 'better-sqlite3-session-store', open: sqlite },
  // Its own default answers a write before it is flushed; the second one answers after.
  lmdb: { label: 'lmdb, same JSON', open: () => lmdb('lmdb', {}) },
  lmdbFlushed: {
    label: 'the same, flushed',
    open: () => lmdb('lmdb-flushed', { overlappingSync: false }),
  },
  files: { label: 'session-file-store', open: files },
})

const folder = (name) => join(process.env.BENCH_FILE_FOLDER, process.env.BENCH_FILE_PLACE ?? name)

function rustFile(durability) {
  const { RustStore } = require('../index.js')
  return new RustStore({ url: `file:${folder(durability)}`, durability })
}

/** As its README has it, with the settings under which SQLite is fastest without being unsafe. */
function sqlite() {
  const Database = require('better-sqlite3')
  const SqliteStore = require('better-sqlite3-session-store')(session)
  const client = new Database(folder('sqlite'))
  client.pragma('journal_mode = WAL')
  client.pragma('synchronous = NORMAL')
  return new SqliteStore({ client })
}

/** lmdb-js with the least that makes a session store: the same JSON, and a new expiry at a touch. */
async function lmdb(name, options) {
  const { open } = await import('lmdb')
  const db = open({ path: folder(name), encoding: 'string', ...options })
  class LmdbStore extends session.Store {
    get(sid, callback) {
      const text = db.get(sid)
      callback(null, text === undefined ? undefined : JSON.parse(text))
    }

    set(sid, value, callback) {
      db.put(sid, JSON.stringify(value)).then(() => callback(null), callback)
    }

    touch(sid, value, callback) {
      const text = db.get(sid)
      if (text === undefined) return callback(null)
      this.set(sid, { ...JSON.parse(text), cookie: value.cookie }, callback)
    }
  }
  return new LmdbStore()
}

function files() {
  const FileStore = require('session-file-store')(session)
  return new FileStore({ path: folder('files'), logFn() {}, retries: 0, reapInterval: -1 })
}

function walkAll(store, visit) {
  return new Promise((resolve, reject) => {
    store.all((error, sessions) => {
      if (error) return reject(error)
      for (const sid in sessions) visit(sid, sessions[sid])
      resolve()
    })
  })
}
