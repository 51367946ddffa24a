// A real Express app with sessions, for tests of flows: browsers that visit it, requests that can
// be held at a point, a clock that can be moved. Must know nothing of how a store works inside.
'use strict'

const assert = require('node:assert/strict')
const { once } = require('node:events')
const http = require('node:http')
const { promisify } = require('node:util')
const express = require('express')
const session = require('express-session')

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

/** A point where a handler waits: `await gate.pass()` there, `arrived` and `open()` in the test. */
function makeGate() {
  const gate = {}
  gate.arrived = new Promise((resolve) => {
    gate.pass = () => {
      resolve()
      return gate.opened
    }
  })
  gate.opened = new Promise((resolve) => {
    gate.open = resolve
  })
  return gate
}

/** `req.session.save()` and its like as a promise; rejects with what the callback was given. */
function call(target, method, ...args) {
  return promisify(target[method]).apply(target, args)
}

/** What the app put on a session, without express-session's `cookie`. */
function dataOf(sessionObject) {
  if (sessionObject == null) return null
  const { cookie: _cookie, ...data } = JSON.parse(JSON.stringify(sessionObject))
  return data
}

/** One cookie jar. Requests are sent at once, over a connection of their own each. */
class Browser {
  /** `forgets: false` sends cookies past their time too, as a client may. */
  constructor(app, { forgets = true } = {}) {
    this.app = app
    this.forgets = forgets
    this.jar = new Map()
  }

  /** The signed session cookie, parsed: `value` and its attributes in lower case. */
  get cookie() {
    return this.jar.get('connect.sid')
  }

  get sid() {
    const value = this.cookie && decodeURIComponent(this.cookie.value)
    return value?.slice(2, value.lastIndexOf('.'))
  }

  /** Another browser that holds the same cookies now, and keeps them whatever happens here. */
  copy() {
    const copy = new Browser(this.app, { forgets: false })
    copy.jar = new Map(this.jar)
    return copy
  }

  cookieHeader() {
    const live = [...this.jar.values()].filter(
      ({ expires }) => !this.forgets || !expires || Date.parse(expires) > Date.now(),
    )
    return live.map(({ name, value }) => `${name}=${value}`).join('; ')
  }

  /** Sends a request and answers with `{ status, headers, text, body, cookies }`. */
  request(path, { method = 'GET', headers = {}, onHead } = {}) {
    return new Promise((resolve, reject) => {
      const cookie = this.cookieHeader()
      const options = { method, agent: false, headers: { ...headers, ...(cookie && { cookie }) } }
      const outgoing = http.request(this.app.origin + path, options, (incoming) => {
        const reply = { status: incoming.statusCode, headers: incoming.headers, text: '' }
        reply.cookies = (incoming.headers['set-cookie'] ?? []).map((line) => this.keep(line))
        onHead?.(reply)
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk) => {
          reply.text += chunk
        })
        incoming.on('error', reject)
        incoming.on('end', () => {
          const isJson = /json/.test(incoming.headers['content-type'])
          reply.body = isJson ? JSON.parse(reply.text) : reply.text
          resolve(reply)
        })
      })
      outgoing.on('error', reject)
      outgoing.end()
    })
  }

  /** What a browser does with a `Set-Cookie` line. */
  keep(line) {
    const [pair, ...attributes] = line.split('; ')
    const cut = pair.indexOf('=')
    const cookie = { name: pair.slice(0, cut), value: pair.slice(cut + 1) }
    for (const attribute of attributes) {
      const [name, value = true] = attribute.split('=')
      cookie[name.toLowerCase()] = value
    }
    const isOver = cookie.expires && Date.parse(cookie.expires) <= Date.now()
    if (isOver && this.forgets) this.jar.delete(cookie.name)
    else this.jar.set(cookie.name, cookie)
    return cookie
  }

  /** A request whose handler is the given function; what it returns is the reply's body. */
  run(handler, options) {
    return this.request(this.app.route(handler), options)
  }

  /**
   * A request that has read its session and now waits before its handler; answers when it waits.
   * `finish()` lets the handler run and answers with the reply.
   */
  async hold(handler, options) {
    const gate = makeGate()
    const reply = this.run(async (req, res) => {
      await gate.pass()
      return handler(req, res)
    }, options)
    await Promise.race([gate.arrived, reply])
    return {
      finish() {
        gate.open()
        return reply
      },
    }
  }

  /** What the next request of this browser finds in its session. */
  async sees() {
    const { body } = await this.run((req) => dataOf(req.session))
    return body
  }
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

module.exports = {
  startApp,
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
}
