// Operations whose answers come later: when they are sent, in which order those of one sid run, and
// that each ends once and inside its deadline. Knows nothing of sessions, or of who is answered.
'use strict'

const { performance } = require('node:perf_hooks')
// From the module and now: see answer.js.
const { clearTimeout, setImmediate, setTimeout } = require('node:timers')
const native = require('./native')
const { RustStoreError, fromEngine } = require('./errors')
const { ID, numbers } = require('./numbers')

// Operations after which a turn that goes on and on is sent as far as it has come.
const MANY = 256

/** An operation that waits. Whoever started it sets `answer(error, result)` before its turn ends. */
class Pending {
  /** `go`: goes on with the engine's answer, to a result or to another Pending. */
  constructor(go, key, deadline) {
    this.go = go
    // The sid whose later operations wait for this one.
    this.key = key
    // By performance.now().
    this.deadline = deadline
    this.id = 0
    this.answer = undefined
  }
}

class Waiting {
  #handle
  #timeout
  #onEvents
  #pending = new Map()
  // Sid -> operations that wait for a save of it to end.
  #busy = new Map()
  // Those that were never sent have numbers of their own, below zero.
  #unsent = 0
  #turn = 0
  #isScheduled = false
  #isDraining = false
  #deadline = 0
  #timer
  #idle = []

  constructor(onEvents) {
    this.#onEvents = onEvents
    // The engine holds this function; it must not hold the store by it.
    const weak = new WeakRef(this)
    this.ready = () => weak.deref()?.drain()
  }

  /** @param timeout ms after which an operation has failed */
  start(handle, timeout) {
    this.#handle = handle
    this.#timeout = timeout
  }

  /** Whether operations on this sid have to wait for one before them. */
  isBusy(key) {
    return this.#busy.size !== 0 && this.#busy.has(key)
  }

  /** What the engine has just begun. With a `key`, later operations on that sid come after it. */
  wait(go, key) {
    this.#schedule()
    const pending = new Pending(go, key, this.#deadline)
    this.#add(pending, numbers[ID])
    if (key !== undefined && !this.#busy.has(key)) this.#busy.set(key, [])
    return pending
  }

  /** Begins when the operation that `key` is busy with has ended. */
  behind(key, begin) {
    this.#schedule()
    const pending = new Pending(begin, undefined, this.#deadline)
    this.#add(pending, --this.#unsent)
    this.#busy.get(key).push(pending)
    return pending
  }

  #add(pending, id) {
    pending.id = id
    this.#pending.set(id, pending)
    if (this.#pending.size > 1) return
    // An operation that waits keeps the process alive, by this timer.
    if (this.#timer === undefined) this.#arm(this.#timeout)
    else this.#timer.ref()
  }

  /** Has what begins in this turn of the event loop sent together at its end. */
  #schedule() {
    if (++this.#turn >= MANY) this.#flush()
    if (this.#isScheduled || this.#isDraining) return
    this.#isScheduled = true
    this.#deadline = performance.now() + this.#timeout
    setImmediate(() => {
      this.#isScheduled = false
      this.#flush()
    })
  }

  #flush() {
    this.#turn = 0
    if (this.#handle !== undefined) native.flush(this.#handle)
  }

  /** Takes the answers that are there. */
  drain() {
    if (this.#handle === undefined) return
    this.#isDraining = true
    this.#deadline = performance.now() + this.#timeout
    while (this.#handle !== undefined) {
      const answer = native.next(this.#handle)
      const id = numbers[ID]
      if (id < 0) break
      const pending = this.#pending.get(id)
      if (pending !== undefined) this.#step(pending, answer)
    }
    this.#isDraining = false
    this.#flush()
    this.#hear()
  }

  #hear() {
    const events = this.#handle === undefined ? undefined : native.events(this.#handle)
    if (events !== undefined) {
      for (const [name, detail] of JSON.parse(events)) {
        this.#onEvents(name, name === 'down' ? fromEngine(detail) : detail)
      }
    }
  }

  /** Goes on with an operation: to its end, or until it waits again. */
  #step(pending, answer) {
    let result
    try {
      result = pending.go(answer)
    } catch (error) {
      this.#end(pending, error)
      return
    }
    if (!(result instanceof Pending)) {
      this.#end(pending, null, result)
      return
    }
    this.#pending.delete(pending.id)
    result.answer = pending.answer
    result.deadline = pending.deadline
    result.key ??= pending.key
  }

  #end(pending, error, result) {
    this.#pending.delete(pending.id)
    pending.answer?.(error, result)
    if (pending.key !== undefined) this.#free(pending.key)
    if (this.#pending.size === 0) this.#rest()
  }

  #rest() {
    this.#timer?.unref()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Begins what waited for this sid, up to the next that the others have to wait for. */
  #free(key) {
    const queue = this.#busy.get(key)
    this.#busy.delete(key)
    while (queue.length > 0) {
      const pending = queue.shift()
      if (this.#pending.has(pending.id)) this.#step(pending)
      const next = this.#busy.get(key)
      if (next !== undefined) {
        next.push(...queue)
        return
      }
    }
  }

  #arm(ms) {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      // What has come while the event loop was held up is no failure.
      this.drain()
      this.#expire()
    }, ms)
  }

  #expire() {
    const now = performance.now()
    let next = Number.POSITIVE_INFINITY
    // Each in its turn, also those that a queue begins meanwhile.
    for (const pending of this.#pending.values()) {
      if (pending.deadline > now) {
        next = Math.min(next, pending.deadline)
        continue
      }
      if (pending.id > 0 && this.#handle !== undefined) {
        numbers[ID] = pending.id
        native.cancel(this.#handle)
      }
      this.#end(pending, late(this.#timeout))
    }
    this.#flush()
    if (this.#pending.size > 0 && this.#timer === undefined) this.#arm(Math.max(1, next - now))
  }

  /** Resolves when nothing waits. */
  idle() {
    if (this.#pending.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** No answer comes any more. */
  stop() {
    clearTimeout(this.#timer)
    this.#handle = undefined
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

module.exports = { Pending, Waiting }
