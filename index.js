// RustStore: express-session's Store as apps see it. Who is answered, how and when; no storage
// logic, and no knowledge of any one backend.
'use strict'

const { EventEmitter } = require('node:events')
const { performance } = require('node:perf_hooks')
const { RustStoreError } = require('./lib/errors')
const { Engine } = require('./lib/engine')
const { copyBase } = require('./lib/base')
const { Events } = require('./lib/events')
const { checkOptions } = require('./lib/options')
const { Pending } = require('./lib/pending')
const { countLive, pages, settled, withId } = require('./lib/walk')
const { answerTo, checkCallback, later, now, promised, throwLater } = require('./lib/answer')

// express-session is an optional peer: @fastify/session needs none of its classes.
function findStore() {
  let path
  try {
    path = require.resolve('express-session')
  } catch {
    return EventEmitter
  }
  return require(path).Store
}

const Store = findStore()

// A symbol rather than a private field, so that a plain proxy of a store, or an object made from
// one, works as the store does.
const STATE = Symbol('rust-session-store')

class RustStore extends Store {
  constructor(options) {
    super()
    const events = new Events(this)
    const engine = new Engine(checkOptions(options), (...event) => events.announce(...event))
    const state = { engine, events, closed: undefined, pending: new Set(), slow: {} }
    Object.defineProperty(this, STATE, { value: state })
    if (engine.passThrough) events.tellLatecomers()
  }

  // An answer inside the call: see "timing" in docs/consistency.md.

  get(sid, callback) {
    if (arguments.length < 2) return promised((answer) => get(this, sid, answer))
    get(this, sid, callback)
  }

  set(sid, session, callback) {
    if (arguments.length < 3) return promised((answer) => set(this, sid, session, answer))
    set(this, sid, session, callback)
  }

  touch(sid, session, callback) {
    if (arguments.length < 3) return promised((answer) => touch(this, sid, session, answer))
    touch(this, sid, session, callback)
  }

  // An answer later than the call.

  destroy(sid, callback) {
    return act(this, 'destroy', arguments.length > 1, callback, (engine) => engine.destroy(sid))
  }

  all(options, callback) {
    const hasOptions = typeof options === 'object' && options !== null
    const given = arguments.length > (hasOptions ? 1 : 0)
    const as = (hasOptions ? options.as : undefined) ?? 'object'
    return defer(
      this,
      'all',
      given,
      hasOptions ? callback : (callback ?? options),
      async ({ engine }) => {
        if (as !== 'object' && as !== 'array') {
          throw new RustStoreError(
            'ERR_STORE_CONFIG',
            `"as" must be "object" or "array"; got ${String(as)}`,
          )
        }
        // No prototype: a sid may be "__proto__". An id that is not enumerable: it is not saved.
        const sessions = as === 'array' ? [] : Object.create(null)
        for await (const page of pages(engine)) {
          for (const [sid, session] of page) {
            if (as === 'object') sessions[sid] = session
            else sessions.push(withId(session, sid))
          }
        }
        return sessions
      },
    )
  }

  ids(callback) {
    return defer(this, 'ids', arguments.length > 0, callback, async ({ engine }) => {
      const ids = []
      for await (const page of pages(engine)) for (const [sid] of page) ids.push(sid)
      return ids
    })
  }

  length(callback) {
    return defer(this, 'length', arguments.length > 0, callback, ({ engine }) => countLive(engine))
  }

  clear(callback) {
    return act(this, 'clear', arguments.length > 0, callback, (engine) => engine.clear())
  }

  ping(callback) {
    return act(this, 'ping', arguments.length > 0, callback, (engine) => engine.ping())
  }

  stats(callback) {
    return defer(this, 'stats', arguments.length > 0, callback, async ({ engine, slow }) => ({
      backend: engine.backend,
      sessions: await countLive(engine),
      ...engine.stats(),
      slow: structuredClone(slow),
    }))
  }

  async *entries() {
    const { engine } = open(this, 'entries')
    const walk = pages(engine)
    for (;;) {
      let page
      try {
        page = await walk.next()
      } catch (error) {
        throw engine.failure(error, 'entries')
      }
      if (page.done) return
      for (const entry of page.value) {
        open(this, 'entries')
        yield entry
      }
    }
  }

  close(callback) {
    checkCallback(callback)
    const state = this[STATE]
    state.events.end()
    state.closed ??= end(state)
    return answerTo(arguments.length > 0, callback, (answer) => {
      state.closed.then(() => answer && later(answer, null))
    })
  }

  // express-session's own.

  createSession(req, session) {
    if (Store === EventEmitter) throw needsExpressSession('createSession')
    const made = super.createSession(req, session)
    copyBase(session, made)
    return made
  }

  regenerate(req, callback) {
    return answerTo(arguments.length > 1, callback, (answer) => {
      const told = answer ?? orEvent(this)
      if (Store === EventEmitter) later(told, needsExpressSession('regenerate'))
      else if (typeof this.generate !== 'function') later(told, needsSession())
      else super.regenerate(req, told)
    })
  }

  load(sid, callback) {
    return answerTo(arguments.length > 1, callback, (answer) => {
      const told = answer ?? orEvent(this)
      if (Store === EventEmitter) later(told, needsExpressSession('load'))
      else super.load(sid, told)
    })
  }
}

/** In place of a callback, where express-session's own code wants one: a failure is an event. */
const orEvent = (store) => (error) => {
  if (error) store[STATE].events.announce('error', error)
}

/** The state of a store that is not closed. */
function open(store, operation) {
  const state = store[STATE]
  if (state.closed !== undefined) {
    throw state.engine.failure(
      new RustStoreError('ERR_STORE_CLOSED', `${operation}: the store was closed`),
      operation,
    )
  }
  return state
}

// Three functions of one shape, since a shared one would be slow: the call to the engine is then
// another at each call. None may call back inside its `try`. What is answered later than the call is so
// always, also where the answer happens to be there.

function get(store, sid, callback) {
  checkCallback(callback)
  let engine
  let session
  try {
    engine = open(store, 'get').engine
    session = engine.get(sid)
  } catch (error) {
    return fail(store, 'get', error, callback)
  }
  if (session instanceof Pending) wait(store, 'get', session, callback)
  else if (callback && engine.inside.get) now(callback, session)
  else if (callback) later(callback, null, session)
}

function set(store, sid, session, callback) {
  checkCallback(callback)
  let engine
  let status
  try {
    engine = open(store, 'set').engine
    status = engine.set(sid, session)
  } catch (error) {
    return fail(store, 'set', error, callback)
  }
  if (status instanceof Pending) wait(store, 'set', status, callback)
  else if (callback && engine.inside.set) now(callback)
  else if (callback) later(callback, null)
}

function touch(store, sid, session, callback) {
  checkCallback(callback)
  let engine
  let status
  try {
    engine = open(store, 'touch').engine
    status = engine.touch(sid, session)
  } catch (error) {
    return fail(store, 'touch', error, callback)
  }
  if (status instanceof Pending) wait(store, 'touch', status, callback)
  else if (callback && engine.inside.touch) now(callback)
  else if (callback) later(callback, null)
}

/** Answers when the operation does. */
function wait(store, operation, pending, callback) {
  const { engine, events, slow } = store[STATE]
  pending.answer = (error, result, ms) => {
    count(slow, operation, ms)
    const told = error && engine.failure(error, operation)
    if (callback) answer(callback, told, operation === 'get' ? result : undefined)
    else if (told) events.announce('error', told)
  }
}

/** Answers one of many: an exception of one callback must not keep the others from being called. */
function answer(callback, error, result) {
  try {
    if (error) callback(error)
    else if (result === undefined) callback(null)
    else callback(null, result)
  } catch (thrown) {
    throwLater(thrown)
  }
}

/** Lets what is under way end, then ends the engine. */
async function end({ engine, pending }) {
  await Promise.allSettled(pending)
  await engine.idle()
  try {
    await settled(engine.end())
  } catch {
    // What cannot be ended in good order is ended all the same.
  }
  engine.close()
}

function fail(store, operation, error, callback) {
  const { engine, events } = store[STATE]
  const told = engine.failure(error, operation)
  if (callback) later(callback, told)
  else events.announce('error', told)
}

/** Does something inside the call, so that what follows the call sees it, and answers after it. */
function act(store, operation, given, callback, task) {
  return answerTo(given, callback, (answer) => {
    let result
    try {
      result = task(open(store, operation).engine)
    } catch (error) {
      fail(store, operation, error, answer)
      return
    }
    if (result instanceof Pending) wait(store, operation, result, answer)
    else if (answer) later(answer, null)
  })
}

/** Runs a task that may take several turns of the event loop, and answers after the call. */
function defer(store, operation, given, callback, task) {
  return answerTo(given, callback, (answer) => {
    const state = store[STATE]
    const started = performance.now()
    const running = (async () => task(open(store, operation)))()
    state.pending.add(running)
    running.then(
      (result) => {
        finish(state, operation, started, running)
        if (answer) later(answer, null, result)
      },
      (error) => {
        finish(state, operation, started, running)
        fail(store, operation, error, answer)
      },
    )
  })
}

function finish(state, operation, started, running) {
  state.pending.delete(running)
  count(state.slow, operation, performance.now() - started)
}

function count(slow, operation, ms) {
  slow[operation] ??= { count: 0, totalMs: 0, maxMs: 0 }
  const times = slow[operation]
  times.count++
  times.totalMs += ms
  times.maxMs = Math.max(times.maxMs, ms)
}

function needsExpressSession(operation) {
  return new RustStoreError(
    'ERR_STORE_UNSUPPORTED',
    `${operation}: install express-session, whose classes this needs`,
    { operation },
  )
}

/** express-session's own `regenerate` calls what `session()` has given to the store. */
function needsSession() {
  const operation = 'regenerate'
  return new RustStoreError(
    'ERR_STORE_UNSUPPORTED',
    `${operation}: give this store to express-session's session() first, which tells it how`,
    { operation },
  )
}

module.exports = { RustStore, RustStoreError }
