// What one operation costs: the driver and the rows. Runs in the child process of one contender.
// Only the store's own calls are inside the clock; what express-session or the app does between
// them is prepared outside it, except in the rows that say so.
import { performance } from 'node:perf_hooks'
import { change, newSession, sessionText, sidOf } from '../session.mjs'

/** Operations under way at once. MemoryStore answers by setImmediate: with one, it would be idle. */
const IN_FLIGHT = 64
let inFlight = IN_FLIGHT
/** Sessions prepared, then timed, at a time: few, so that they are still in the CPU's cache, as in a request. */
const BATCH = 192

const bareTexts = []

/** Fills the store with sessions 0 to count - 1. */
export function fill(store, count, maxAge) {
  return run(count, (index, done) => {
    const sid = sidOf(index)
    store.set(sid, newSession(index, sid, maxAge), done)
  })
}

export function fillBare(count) {
  for (let index = 0; index < count; index++) bareTexts.push(sessionText(index))
}

/**
 * Calls op(0) to op(count - 1), `inFlight` at once; the next one starts when one has answered.
 * A store that answers inside the call is called again from this loop, not from its own callback.
 */
function run(count, op) {
  return new Promise((resolve, reject) => {
    let next = 0
    let pending = 0
    let looping = false

    function done(error) {
      if (error) return reject(error)
      pending--
      if (!looping) loop()
    }

    function loop() {
      looping = true
      while (pending < inFlight && next < count) {
        pending++
        op(next++, done)
      }
      looping = false
      if (pending === 0 && next === count) resolve()
    }

    loop()
  })
}

class Clock {
  wall = 0
  active = 0
  cpu = 0

  /** Adds what `work` takes: wall time, time the event loop was not idle, CPU of all threads. */
  async time(work) {
    const cpu = process.cpuUsage()
    const loop = performance.eventLoopUtilization()
    const start = performance.now()
    await work()
    this.wall += performance.now() - start
    this.active += performance.eventLoopUtilization(loop).active
    const used = process.cpuUsage(cpu)
    this.cpu += (used.user + used.system) / 1000
  }

  perOperation(count) {
    const nanoseconds = (ms) => Math.round((ms * 1e6) / count)
    return {
      wall: nanoseconds(this.wall),
      active: nanoseconds(this.active),
      cpu: nanoseconds(this.cpu),
    }
  }
}

const found = (done) => (error, session) =>
  done(error || (session ? undefined : new Error('a session is missing')))

/** What express-session makes of the answer to `get`: req.session, with its expiry moved. */
function inflate(store, sid, data) {
  const session = store.createSession({ sessionID: sid, sessionStore: store }, data)
  session.touch()
  return session
}

async function inflateAll(store, sids, changed) {
  const sessions = new Array(sids.length)
  await run(sids.length, (i, done) => {
    store.get(sids[i], (error, data) => {
      if (error || !data) return done(error || new Error('a session is missing'))
      sessions[i] = inflate(store, sids[i], data)
      if (changed) change(sessions[i])
      done()
    })
  })
  return sessions
}

/** Each row: one batch, timed where it says so. `indexes` are the sessions of this batch. */
const rows = {
  async get(store, clock, indexes) {
    const sids = indexes.map(sidOf)
    await clock.time(() => run(sids.length, (i, done) => store.get(sids[i], found(done))))
  },

  async setBase(store, clock, indexes) {
    const sids = indexes.map(sidOf)
    const sessions = await inflateAll(store, sids, true)
    await clock.time(() => run(sids.length, (i, done) => store.set(sids[i], sessions[i], done)))
  },

  async setNew(store, clock, indexes) {
    const sids = indexes.map(sidOf)
    const sessions = indexes.map((index, i) => newSession(index, sids[i]))
    await clock.time(() => run(sids.length, (i, done) => store.set(sids[i], sessions[i], done)))
  },

  async touch(store, clock, indexes) {
    const sids = indexes.map(sidOf)
    const sessions = await inflateAll(store, sids)
    await clock.time(() => run(sids.length, (i, done) => store.touch(sids[i], sessions[i], done)))
  },

  // The two calls of the usual request, each timed, with express-session's part between them not.
  async getTouch(store, clock, indexes) {
    const sids = indexes.map(sidOf)
    const data = new Array(sids.length)
    await clock.time(() =>
      run(sids.length, (i, done) => {
        store.get(sids[i], (error, session) => {
          data[i] = session
          done(error)
        })
      }),
    )
    const sessions = data.map((session, i) => inflate(store, sids[i], session))
    await clock.time(() => run(sids.length, (i, done) => store.touch(sids[i], sessions[i], done)))
  },

  // Whole requests: express-session's createSession and session.touch() are in the clock too.
  async requestRead(store, clock, indexes) {
    const sids = indexes.map(sidOf)
    await clock.time(() =>
      run(sids.length, (i, done) => {
        store.get(sids[i], (error, data) => {
          if (error) return done(error)
          store.touch(sids[i], inflate(store, sids[i], data), done)
        })
      }),
    )
  },

  async requestWrite(store, clock, indexes) {
    const sids = indexes.map(sidOf)
    await clock.time(() =>
      run(sids.length, (i, done) => {
        store.get(sids[i], (error, data) => {
          if (error) return done(error)
          const session = inflate(store, sids[i], data)
          change(session)
          store.set(sids[i], session, done)
        })
      }),
    )
  },

  async login(store, clock, indexes) {
    const sids = indexes.map((index) => sidOf(-1 - index))
    const sessions = indexes.map((index, i) => newSession(index, sids[i]))
    await clock.time(() =>
      run(sids.length, (i, done) => {
        store.set(sids[i], sessions[i], (error) => {
          if (error) return done(error)
          store.destroy(sids[i], done)
        })
      }),
    )
  },
}

/** The bare JSON calls that `get` and `set` cannot do without: no store, no driver, no callback. */
const bareRows = {
  async get(clock, indexes) {
    let total = 0
    await clock.time(() => {
      for (const index of indexes) total += JSON.parse(bareTexts[index]).views
    })
    return total
  },

  async setNew(clock, indexes) {
    const sessions = indexes.map((index) => newSession(index, sidOf(index)))
    let total = 0
    await clock.time(() => {
      for (const session of sessions) total += JSON.stringify(session).length
    })
    return total
  },
}

let cursor = 0

/** Walks the population in a fixed order that looks random and repeats no session within a batch. */
function pick(count, population) {
  // Odd and no multiple of five: a walk over a round number of sessions meets each of them once.
  const stride = Math.floor(population * 0.618) | 1
  const indexes = new Array(count)
  for (let i = 0; i < count; i++) {
    indexes[i] = cursor % population
    cursor += stride
  }
  return indexes
}

export const rowNames = Object.keys(rows)
export const bareRowNames = Object.keys(bareRows)

/**
 * One round of one row: `count` operations on a population; ns per operation. Garbage of the
 * rounds before is collected first; of the whole heap, which takes a second where a million
 * sessions are on it, only before the `first`.
 */
export async function round(store, args) {
  const { row, count, population, first, concurrency = IN_FLIGHT, batch = BATCH } = args
  const clock = new Clock()
  inFlight = concurrency
  globalThis.gc(first ? undefined : { type: 'minor' })
  for (let left = count; left > 0; left -= batch) {
    const indexes = pick(Math.min(batch, left), population)
    if (store) await rows[row](store, clock, indexes)
    else await bareRows[row](clock, indexes)
  }
  return clock.perOperation(count)
}
