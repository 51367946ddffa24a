// Who is compared: one entry each. A new store, or a new backend of ours, is one more entry here
// and its name in the group that measures it. Knows how to open a store, not what is measured.
import { createRequire } from 'node:module'
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
  await client.connect()
  return new RedisStore({ client, prefix: `${name}:` })
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
