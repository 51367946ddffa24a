// A real Express app with sessions, for tests of flows, and a clock that can be moved. Must know
// nothing of how a store works inside.
'use strict'

const assert = require('node:assert/strict')
const { once } = require('node:events')
const http = require('node:http')
const { promisify } = require('node:util')
const express = require('express')
const session = require('express-session')
const { Browser, dataOf, makeGate, PATIENCE } = require('./browser')

const SECRET = 'flows'
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/**
 * The store under test. FLOWS_WITH=MemoryStore runs a flow on express-session's own store instead:
 * a flow that also passes there shows nothing that this package adds.
 */
function openStore(options) {
  if (process.env.FLOWS_WITH === 'MemoryStore') return new session.MemoryStore()
  const { RustStore } = require('../..')
  return new RustStore(options)
}

/** Moves `Date.now`, which the memory backend goes by. */
function fakeClock(t) {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  return { forward: (ms) => t.mock.timers.tick(ms) }
}

/** `req.session.save()` and its like as a promise; rejects with what the callback was given. */
function call(target, method, ...args) {
  return promisify(target[method]).apply(target, args)
}

/**
 * Starts an app on a free port of 127.0.0.1 and ends it with the test. `before` and `after` are
 * middleware around express-session, `session` its options. Errors that reach Express fail the test
 * unless it takes them out of `app.errors`.
 */
async function startApp(t, options = {}) {
  const { storeOptions, store = openStore(storeOptions), before = [], after = [] } = options
  const app = { store, gone: [], conflicts: [], errors: [] }
  const handlers = []

  const web = express()
  web.set('trust proxy', 'loopback')
  for (const middleware of before) web.use(middleware)
  app.session = session({
    secret: SECRET,
    resave: false,
    saveUninitialized: false,
    ...options.session,
    store,
  })
  web.use(app.session)
  for (const middleware of after) web.use(middleware)
  web.all('/run/:number', async (req, res) => {
    const result = await handlers[req.params.number](req, res)
    if (!res.headersSent) res.json(result ?? null)
  })
  web.use((error, _req, res, _next) => {
    app.errors.push(error)
    if (!res.headersSent) res.status(500).json({ error: error.message, code: error.code })
  })

  store.on('gone', (sid) => app.gone.push(sid))
  store.on('conflict', (sid, paths) => app.conflicts.push({ sid, paths }))

  app.route = (handler) => `/run/${handlers.push(handler) - 1}`
  app.browser = (browserOptions) => new Browser(app, browserOptions)
  /** What the store holds for a sid, or `undefined`. */
  app.stored = async (sid) => (await call(store, 'get', sid)) ?? undefined
  app.length = () => call(store, 'length')
  /** Answers when events of saves that have been answered are delivered too. */
  app.quiet = async () => {
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
  }

  app.server = http.createServer(web).listen(0, '127.0.0.1')
  await once(app.server, 'listening')
  app.origin = `http://127.0.0.1:${app.server.address().port}`
  /** What must end before the server does: it waits for sockets that were upgraded. */
  app.ending = []
  t.after(async () => {
    for (const end of app.ending) await end()
    app.server.closeAllConnections()
    await new Promise((resolve) => app.server.close(resolve))
    await store.close?.()
    assert.deepEqual(app.errors, [])
  })
  return app
}

/** An app, and a browser whose session there holds `data`. */
async function signedIn(t, data, options) {
  const app = await startApp(t, options)
  const tab = app.browser()
  await tab.run((req) => {
    Object.assign(req.session, structuredClone(data))
  })
  return { app, tab, sid: tab.sid }
}

/** Nothing is left of the session, and `refused` saves of it were told of. */
async function assertGone({ app, sid }, refused) {
  assert.equal(await app.stored(sid), undefined)
  await app.quiet()
  assert.deepEqual(app.gone, Array(refused).fill(sid))
  assert.equal((await app.store.stats()).refused, refused)
}

module.exports = {
  startApp,
  assertGone,
  signedIn,
  openStore,
  fakeClock,
  makeGate,
  call,
  dataOf,
  Browser,
  SECRET,
  SECOND,
  MINUTE,
  HOUR,
  DAY,
  PATIENCE,
}
