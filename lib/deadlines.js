// When what waits has failed, and a server with it: one timer for all operations of a store. Knows nothing of how
// an answer comes.
'use strict'

const { performance } = require('node:perf_hooks')
// From the module and now: see answer.js.
const { clearTimeout, setImmediate, setTimeout } = require('node:timers')
const { RustStoreError } = require('./errors')
const { pendingOf } = require('./pending')

// Turns of the event loop that are waited for, where there is more to read than one takes, before what is late
// has failed.
const TURNS = 8

// How often within a deadline an operation without one is looked after, once it has taken as long.
const STEPS = 8

class Deadlines {
  #waiting
  #timeout
  #timer

  /** @param waiting whose operations these are; it drains, gives up and blames */
  constructor(waiting) {
    this.#waiting = waiting
  }

  /** @param timeout ms after which an operation has failed */
  start(timeout) {
    this.#timeout = timeout
  }

  /** Something waits: it keeps the process alive, by the timer. */
  watch() {
    if (this.#timer === undefined) this.#arm(this.#timeout)
    else this.#timer.ref()
  }

  /** Nothing waits. */
  rest() {
    this.#timer?.unref()
  }

  stop() {
    clearTimeout(this.#timer)
  }

  /** Has connections given up whose server owes an answer for long, when all that has come is read. */
  blame() {
    this.#whenRead(() => this.#waiting.blame())
  }

  #arm(ms) {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#whenRead(() => this.#expire())
    }, ms)
  }

  /** What has come while the event loop was held up is no failure, and is read after the timers. */
  #whenRead(act, turns = TURNS) {
    setImmediate(() => {
      if (this.#waiting.drain() || turns === 0) act()
      else this.#whenRead(act, turns - 1)
    })
  }

  #expire() {
    const now = performance.now()
    const own = pendingOf(this.#waiting)
    // Each in its turn.
    for (const pending of own.sort((one, other) => one.since - other.since)) {
      // One that another has ended meanwhile is gone.
      if (pending.deadline <= now && pending.isAlive) {
        this.#waiting.giveUp(pending, late(this.#timeout))
      }
    }
    // Also one that has no deadline, and holds up the others.
    if (own.some(({ since }) => since + this.#timeout <= now)) this.#waiting.blame()
    this.#waiting.flush()
    this.#goOn(now)
  }

  /** Looks again when the next is late. */
  #goOn(now) {
    const left = pendingOf(this.#waiting)
    if (left.length === 0 || this.#timer !== undefined) return
    let next = now + this.#timeout
    for (const { since, deadline } of left) {
      const isBounded = deadline !== Number.POSITIVE_INFINITY
      const own = isBounded
        ? deadline
        : Math.max(since + this.#timeout, now + this.#timeout / STEPS)
      next = Math.min(next, own)
    }
    this.#arm(Math.max(1, next - now))
  }
}

function late(timeout) {
  return new RustStoreError(
    'ERR_STORE_TIMEOUT',
    `no answer within ${timeout} ms ("commandTimeout"): the backend, or the network to it, is slow or silent; ` +
      'what was asked for may still take effect',
    { retryable: true },
  )
}

module.exports = { Deadlines }
