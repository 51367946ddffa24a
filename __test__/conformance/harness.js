'use strict'
// What the themes of the suite share: opening and closing stores around a test, a clock, and the
// two calls that express-session makes around a request. It never asks which backend it is.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const path = require('node:path')
const { test } = require('node:test')
const { setImmediate: turn, setTimeout: sleep } = require('node:timers/promises')
const { Cookie, Session } = require('express-session')
const { RustStoreError } = require('../..')

// Worker threads that are ended while they work; each costs a thread with an environment of its
// own. workers-thousand.test.js ends a thousand; here a long run may.
const WORKERS = Number(process.env.RUST_STORE_TEST_WORKERS ?? 100)

// A test that hangs is a failure of the rule "one answer, always".
const DEADLINE = 30_000 + WORKERS * 900

/** Registers one rule as a test; one that `needs` what the backend does not declare is not made. */
function rulesOf(row) {
  return function rule(name, needs, body) {
    if (typeof needs === 'function') return rule(name, {}, needs)
    if (Object.keys(needs).some((key) => row.capabilities[key] !== needs[key])) return
    test(name, { timeout: DEADLINE }, async (t) => {
      const stores = []
      const track = (store) => {
        stores.push(store)
        return store
      }
      const open = async (options) => track(await row.open(options))
      const again = async (store, options) => track(await row.again(store, options))
      // Two store objects on one place where the backend can, else the same one twice.
      const pair = async (options) => {
        const one = await open(options)
        return [one, row.capabilities.shared ? await again(one, options) : one]
      }
      try {
        await body({ t, row, open, again, pair, clock: () => clockOf(t, row) })
      } finally {
        for (const store of stores) await store.close().catch(() => {})
      }
    })
  }
}

/**
 * A clock that tests move. `minute` is long enough to be told from the slack of the backend's own
 * clock, and short where a test has to wait for it.
 */
function clockOf(t, row) {
  const own = row.capabilities.clock === 'caller'
  const minute = own ? 60_000 : 1_500
  const slack = own ? 0 : 300
  if (own) t.mock.timers.enable({ apis: ['Date'], now: Date.now() })

  const until = async (time) => {
    if (time <= Date.now()) return
    if (own) t.mock.timers.setTime(time)
    else await sleep(time - Date.now())
  }
  return {
    minute,
    slack,
    seconds: (minutes) => (minutes * minute) / 1000,
    pass: (ms) => until(Date.now() + ms),
    until,
    /** Asserts that a session is there up to a time, and gone at it. */
    async livesUntil(store, sid, time, why) {
      await until(time - slack - 1)
      assert.ok(await store.get(sid), `${why}: still there just before its expiry`)
      await until(time + slack)
      // The time was named before the calls that led here, and a busy machine may have made them
      // wait: by less than the minute that a wrong expiry would differ by.
      const late = Date.now() + (own ? 0 : 0.75 * minute)
      while (Date.now() < late && (await store.get(sid))) await sleep(50)
      assert.equal(await store.get(sid), undefined, `${why}: gone at its expiry`)
    },
  }
}

/** A session as express-session makes it for a new visitor; `maxAge` null is a session cookie. */
function visitor(store, sid, data = {}, maxAge = 3_600_000) {
  const req = { sessionID: sid, sessionStore: store }
  const session = new Session(req)
  session.cookie = new Cookie({ maxAge })
  req.session = session
  return Object.assign(session, data)
}

/** What express-session does before a request: `get`, then `createSession`. */
async function load(store, sid) {
  const found = await store.get(sid)
  assert.ok(found, `a session for ${JSON.stringify(sid)} is there to be loaded`)
  return store.createSession({ sessionID: sid, sessionStore: store }, found)
}

/** Stores a session of a new visitor and forgets the object, as a finished request does. */
async function seed(store, sid, data = {}, maxAge = 3_600_000) {
  await store.set(sid, visitor(store, sid, data, maxAge))
}

/** A session without express-session. */
function plain(data = {}, expires = new Date(Date.now() + 3_600_000)) {
  return { cookie: { originalMaxAge: 3_600_000, expires, httpOnly: true, path: '/' }, ...data }
}

/** The app's part of a session. */
function dataOf(session) {
  const { cookie, ...data } = session
  return data
}

/** Asserts what `cookie.maxAge = ms` has set: the clock may go on between the two looks it takes. */
function assertMaxAge(session, ms, why) {
  const { originalMaxAge } = session.cookie
  assert.ok(
    Math.abs(originalMaxAge - ms) < 50,
    `${why ?? 'originalMaxAge'}: ${originalMaxAge}, not ${ms}`,
  )
}

/** Collects what an event delivers. */
function listen(store, event) {
  const seen = []
  store.on(event, (...args) => seen.push(args))
  return seen
}

/** Resolves when whatever earlier calls still had to deliver has been delivered. */
async function quiet(store) {
  await store.ping()
  for (let i = 0; i < 5; i++) await turn()
}

/** Asserts the shape that every failed operation answers with. */
function isStoreError(error, code, operation) {
  assert.ok(error instanceof RustStoreError, `a RustStoreError, not ${error}`)
  assert.ok(error instanceof Error)
  assert.equal(error.code, code)
  if (operation) assert.equal(error.operation, operation)
  assert.equal(typeof error.backend, 'string')
  assert.equal(typeof error.retryable, 'boolean')
  assert.ok(error.message.length > 0, 'it has a message')
  return true
}

/** For assert.rejects. */
const storeError = (code, operation) => (error) => isStoreError(error, code, operation)

/** Runs a script of children/ on one row; resolves with how it ended, also when it crashed. */
function runChild(row, script, ...args) {
  return runLong(DEADLINE, row, script, ...args)
}

/** The same of one that may take `timeout` ms. */
function runLong(timeout, row, script, ...args) {
  const file = path.join(__dirname, 'children', script)
  return new Promise((resolve) => {
    const argv = [file, row.name, ...args.map(String)]
    execFile(process.execPath, argv, { timeout }, (error, stdout, stderr) => {
      const ended = error ? { code: error.code, signal: error.signal } : { code: 0, signal: null }
      resolve({ ...ended, stdout, stderr })
    })
  })
}

/**
 * Holds the event loop up for `ms` between calls, and in a callback: a store whose calls may take less must not
 * say that its backend was late.
 */
async function holdUp(store, ms) {
  const hold = () => {
    const end = performance.now() + ms
    while (performance.now() < end) {}
  }
  const first = store.set('a', plain())
  hold()
  await Promise.all([first, store.set('b', plain())])
  await new Promise((resolve, reject) => {
    const end = (error) => (error ? reject(error) : resolve())
    store.destroy('a', (error) => {
      if (error) return reject(error)
      hold()
      store.destroy('b', end)
    })
  })
}

module.exports = {
  holdUp,
  WORKERS,
  assertMaxAge,
  dataOf,
  isStoreError,
  listen,
  load,
  plain,
  quiet,
  rulesOf,
  runChild,
  runLong,
  seed,
  storeError,
  turn,
  visitor,
}
