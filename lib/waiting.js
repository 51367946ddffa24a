// Operations whose answers come later: when they are sent, and that each ends once and inside its deadline.
// Knows nothing of sessions, or of who is answered.
'use strict'

const { performance } = require('node:perf_hooks')
// From the module and now: see answer.js.
const { setImmediate } = require('node:timers')
const native = require('./native')
const { Deadlines } = require('./deadlines')
const { RustStoreError, fromEngine } = require('./errors')
const {
  ANSWERS,
  END,
  EXTRA,
  FLUSH,
  HEAR,
  LIST,
  LISTED,
  MAX_AGE,
  NUMBER,
  OUTLINE,
  SHAPE,
  STATUS,
  TOLD,
  VERSION,
  numbers,
} = require('./numbers')
const { Order } = require('./order')
const { Pending, pendingAt, pendingOf } = require('./pending')
const { Sockets } = require('./sockets')

// Operations after which a turn that goes on and on is sent as far as it has come: over a network, where
// each time is a system call, and to a thread of this process, which can as well begin.
const MANY = 32
const SOME = 8

// Answers after which others have their turn of the event loop: what callbacks ask for anew may be answered
// as fast as they take the answers.
const LONG = 4096

// A turn of the event loop that counts as one in which it was held up.
const LONG_TURN_MS = 5

// Operations that one counts as over which a server takes long: it would be left with the last of them when
// the turn ends.
const SLOW = 4

class Waiting {
  #handle
  #timeout
  #many
  #slow
  #onEvents
  // How many operations wait.
  #size = 0
  #sockets
  #turn = 0
  #isScheduled = false
  #isDraining = false
  #now = 0
  // When the first began of those that were begun in this turn of the event loop.
  #first
  #date = 0
  #deadlines = new Deadlines(this)
  #idle = []

  constructor(onEvents) {
    this.#onEvents = onEvents
    // The engine and the sockets hold these functions; they must not hold the store by them.
    const weak = new WeakRef(this)
    this.ready = () => weak.deref()?.drain()
    this.#sockets = new Sockets(() => weak.deref())
    this.order = new Order()
  }

  /**
   * @param timeout ms after which an operation has failed
   * @param isNear whether it is a thread of this process that is waited for
   */
  start(handle, timeout, isNear) {
    this.#handle = handle
    this.#timeout = timeout
    this.#deadlines.start(timeout)
    this.#many = isNear ? SOME : MANY
    this.#slow = isNear ? 1 : SLOW
  }

  /**
   * What the engine has just begun. With a `key`, later operations on that sid may wait for it.
   * `session`: the object that it saves.
   */
  wait(go, key, session, isSlow = false) {
    // Before anything is sent: its place is taken from here on.
    const pending = this.#begin(go, key)
    pending.session = session
    this.#schedule(isSlow)
    if (key !== undefined) this.order.enter(pending)
    return pending
  }

  /** Begins when the operation that `key` is busy with has ended. */
  behind(key, begin) {
    const pending = this.#begin(begin, undefined)
    this.#schedule()
    pending.isSent = false
    pending.behind = key
    this.order.line(pending)
    return pending
  }

  #begin(go, key) {
    if (!this.#isScheduled && !this.#isDraining) this.#now = performance.now()
    if (this.#size++ === 0) this.#deadlines.watch()
    this.#first ??= this.#now
    return new Pending(this, go, key, this.#now, this.#timeout)
  }

  /** Has what begins in this turn of the event loop sent together at its end. */
  #schedule(isSlow = false) {
    this.#turn += isSlow ? this.#slow : 1
    if (this.#turn >= this.#many) this.flush()
    if (this.#isScheduled || this.#isDraining) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#endTurn()
      this.flush()
    })
  }

  /** What was begun in this turn waits from now on: an app that holds its event loop up blames nobody else. */
  #endTurn() {
    const first = this.#first
    this.#first = undefined
    if (first === undefined) return
    const now = performance.now()
    if (now - first < LONG_TURN_MS) return
    for (const pending of pendingOf(this)) if (pending.since >= first) pending.restart(now)
  }

  /** Sends what has begun. */
  flush() {
    this.#turn = 0
    if (this.#handle === undefined) return
    native.flush(this.#handle)
    this.#sockets.write(this.#handle)
  }

  /** Something was read from a connection. */
  received(id, bytes, length) {
    if (this.#handle === undefined) return
    numbers[EXTRA] = id
    numbers[NUMBER] = length
    this.#date = Date.now()
    this.#answer(native.received(this.#handle, bytes))
  }

  /** What was left to a connection is written. */
  written(id) {
    if (this.#handle !== undefined) native.written(this.#handle, id)
  }

  /** A connection has ended. */
  lost(id) {
    this.#sockets.forget(id)
    if (this.#handle === undefined) return
    native.lost(this.#handle, id)
    this.drain()
  }

  /** Takes the answers that are there, and says whether these were all. */
  drain() {
    return this.#handle === undefined || this.#answer(native.next(this.#handle))
  }

  /** The same, of which the engine has just told the first; `value` is that of the only one that has any. */
  #answer(value) {
    this.#isDraining = true
    this.#now = performance.now()
    let todo = 0
    let left = LONG
    try {
      for (let next = value; ; next = native.next(this.#handle)) {
        todo = numbers[EXTRA]
        left -= numbers[ANSWERS]
        this.#takeAll(next)
        if (todo & END || this.#handle === undefined) break
        if (left <= 0) {
          setImmediate(this.ready)
          break
        }
      }
    } finally {
      this.#isDraining = false
      this.#date = 0
    }
    this.#endTurn()
    if (this.#turn > 0 || todo & FLUSH) this.flush()
    if (todo & HEAR) this.#hear()
    return (todo & END) !== 0 || this.#handle === undefined
  }

  /** Takes the answers of the list. */
  #takeAll(value) {
    const count = numbers[ANSWERS]
    if (count === 0) return
    const outline = numbers[OUTLINE]
    const maxAge = numbers[MAX_AGE]
    const shape = numbers[SHAPE]
    const told = numbers[TOLD]
    for (let i = 1; i < count; i++) this.#take(i - 1, undefined)
    // Of the only one that has a value; those before it may have begun other things.
    numbers[OUTLINE] = outline
    numbers[MAX_AGE] = maxAge
    numbers[SHAPE] = told === numbers[TOLD] ? shape : -1
    this.#take(count - 1, value)
  }

  /** The time in ms since the epoch, or that at which the answers were read that are being taken. */
  date() {
    return this.#date || Date.now()
  }

  /** Takes an answer from the list. */
  #take(index, value) {
    const at = LIST + index * LISTED
    const pending = pendingAt(numbers[at])
    numbers[STATUS] = numbers[at + 1]
    numbers[VERSION] = numbers[at + 2]
    numbers[NUMBER] = numbers[at + 3]
    this.#step(pending, value)
  }

  #hear() {
    const events = this.#handle === undefined ? undefined : native.events(this.#handle)
    if (events === undefined) return
    for (const [name, detail] of JSON.parse(events)) {
      if (name === 'socket') this.#sockets.carry(this.#handle, detail)
      else if (name === 'late') this.#deadlines.blame()
      else this.#onEvents(name, name === 'down' ? fromEngine(detail) : detail)
    }
    // What has waited for a socket: only now that all of them are known.
    this.flush()
  }

  /** Goes on with an operation: to its end, or until it waits again. */
  #step(pending, answer) {
    pending.runInAsyncScope(this.#goOn, this, pending, answer)
  }

  #goOn(pending, answer) {
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
    // It is one operation still.
    this.#size--
    result.answer = pending.answer
    result.since = pending.since
    if (!result.hasOwnDeadline) result.deadline = pending.deadline
    if (pending.key !== undefined) this.order.replace(pending, result)
    pending.leave()
  }

  /** Ends an operation whose answer is not waited for any more. */
  giveUp(pending, error) {
    if (pending.isSent && this.#handle !== undefined) native.cancel(this.#handle, pending.id)
    pending.runInAsyncScope(this.#end, this, pending, error)
  }

  /** Has connections given up whose server owes an answer for long. */
  blame() {
    if (this.#handle !== undefined) native.late(this.#handle)
  }

  #end(pending, error, result) {
    const { answer } = pending
    this.#size--
    pending.leave()
    answer?.(error, result, this.#now - pending.since)
    if (pending.key !== undefined) this.#free(pending)
    if (this.#size === 0) this.#rest()
  }

  #rest() {
    this.#deadlines.rest()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Begins what waited for this sid, up to the next that the others have to wait for. */
  #free(ended) {
    const queue = this.order.leave(ended)
    if (queue.length === 0) return
    const now = performance.now()
    for (const pending of queue) {
      // One that is late is not begun any more; `#expire` ends it.
      if (pending.deadline <= now || !pending.isAlive) continue
      if (this.order.isBusy(pending.behind)) this.order.line(pending)
      else this.#step(pending)
    }
  }

  /** Resolves when nothing waits. */
  idle() {
    if (this.#size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** No answer comes any more. */
  stop() {
    this.#deadlines.stop()
    this.#handle = undefined
    this.#sockets.end()
    // A step of a walk that began while the store was being closed. First those that wait for others, so that
    // none begins.
    const left = pendingOf(this).sort((one, other) => one.isSent - other.isSent)
    for (const pending of left) {
      this.giveUp(pending, new RustStoreError('ERR_STORE_CLOSED', 'the store was closed'))
    }
  }
}

module.exports = { Waiting }
