// Operations whose answers come later: when they are sent, in which order those of one sid run, and
// that each ends once and inside its deadline. Knows nothing of sessions, or of who is answered.
'use strict'

const { AsyncResource } = require('node:async_hooks')
const { closeSync } = require('node:fs')
const { performance } = require('node:perf_hooks')
// From the module and now: see answer.js.
const { clearTimeout, setImmediate, setTimeout } = require('node:timers')
const native = require('./native')
const { RustStoreError, fromEngine } = require('./errors')
const {
  ANSWERS,
  EXTRA,
  FLUSH,
  HEAR,
  ID,
  LIST,
  LISTED,
  NUMBER,
  STATUS,
  VERSION,
  numbers,
} = require('./numbers')
const { carry, newBuffer } = require('./sockets')

// Operations after which a turn that goes on and on is sent as far as it has come: over a network, where
// each time is a system call, and to a thread of this process, which can as well begin.
const MANY = 32
const SOME = 8

// Characters of text that count as one operation more over a network: a server takes longer over them, and
// would be left with the last of them when the turn ends.
const MUCH = 256

// Sids after which the Map of them is made anew: see `places`.
const FRESH = 512

/** The key of an operation that all others come after. */
const ALL = Symbol('all')

const MANUAL = { requireManualDestroy: true }

// All operations that wait, of all stores: each has its place here as its number. Not a Map by a number
// that rises: its tables, which it gives up one after the other, each lead to the next and to what was in
// them, and once one of them is old, the garbage collector takes all of it for alive.
const places = []
const vacant = []

function enter(pending) {
  const id = numbers[ID]
  if (id === places.length) places.push(pending)
  else places[vacant.pop()] = pending
  numbers[ID] = vacant.at(-1) ?? places.length
  return id
}

function leave(id) {
  places[id] = undefined
  vacant.push(id)
  numbers[ID] = id
}

/**
 * An operation that waits, in the AsyncLocalStorage context of the call. Whoever made the call sets
 * `answer(error, result, ms)`, which does not throw, before its turn ends; `ms` is how long it took.
 */
class Pending extends AsyncResource {
  /** `go`: goes on with the engine's answer, to a result or to another Pending. */
  constructor(owner, go, key, since, timeout) {
    super('RustStore', MANUAL)
    this.id = enter(this)
    this.owner = owner
    this.go = go
    // The sid whose later operations wait for this one.
    this.key = key
    // The object that it saves.
    this.session = undefined
    // The sid that it waits for itself.
    this.behind = undefined
    // Whether it removes the session.
    this.removes = false
    // The turn it began in and the end of its time, by performance.now().
    this.since = since
    this.deadline = since + timeout
    this.isSent = true
    this.answer = undefined
  }

  /** Takes it out; nothing hangs on it any more, should something still know it. */
  leave() {
    leave(this.id)
    this.emitDestroy()
    this.go = undefined
    this.session = undefined
    this.answer = undefined
  }
}

class Waiting {
  #handle
  #timeout
  #many
  #much
  #onEvents
  // How many operations wait.
  #size = 0
  // The connections that this event loop carries for the engine, by their number.
  #sockets = new Map()
  // Where the engine leaves what is to be written over them.
  #room
  // Sid -> the operation on it that is under way, or, where there is another, both kinds: those that are
  // under way and those that wait for them to end.
  #busy = new Map()
  #occupied = 0
  #turn = 0
  #isScheduled = false
  #isDraining = false
  #now = 0
  #date = 0
  #timer
  #idle = []

  constructor(onEvents) {
    this.#onEvents = onEvents
    // The engine and the sockets hold these functions; they must not hold the store by them.
    const weak = new WeakRef(this)
    this.ready = () => weak.deref()?.drain()
    this.self = () => weak.deref()
  }

  /**
   * @param timeout ms after which an operation has failed
   * @param isNear whether it is a thread of this process that is waited for
   */
  start(handle, timeout, isNear) {
    this.#handle = handle
    this.#timeout = timeout
    this.#many = isNear ? SOME : MANY
    this.#much = isNear ? Number.POSITIVE_INFINITY : MUCH
  }

  /** Whether operations on this sid have to wait for one before them. */
  isBusy(key) {
    return this.#busy.size !== 0 && (this.#busy.has(key) || this.#busy.has(ALL))
  }

  /** Whether operations on this sid do wait. */
  isHeld(key) {
    return this.#queueOf(key)?.length > 0
  }

  /** Whether the last of the operations on this sid that wait removes it. */
  endsGone(key) {
    return this.#queueOf(key)?.findLast(({ behind }) => behind === key)?.removes === true
  }

  /** Whether a save of this object is under way. */
  isSaving(key, session) {
    const busy = session === undefined ? undefined : this.#busy.get(key)
    if (busy instanceof Pending) return busy.session === session
    return busy?.running.some((pending) => pending.session === session) ?? false
  }

  /**
   * What the engine has just begun. With a `key`, later operations on that sid may wait for it.
   * `session`: the object that it saves, in so many characters of text.
   */
  wait(go, key, session, length = 0) {
    // Before anything is sent: its place is taken from here on.
    const pending = this.#begin(go, key)
    pending.session = session
    this.#schedule(length)
    if (key === undefined) return pending
    if (this.#busy.has(key)) this.#crowd(key).running.push(pending)
    else this.#occupy(key, pending)
    return pending
  }

  #occupy(key, pending) {
    if (++this.#occupied % FRESH === 0) this.#busy = new Map(this.#busy)
    this.#busy.set(key, pending)
  }

  /** The operations on a sid that is busy, as lists. */
  #crowd(key) {
    const busy = this.#busy.get(key)
    if (!(busy instanceof Pending)) return busy
    const crowd = { running: [busy], queue: [] }
    this.#busy.set(key, crowd)
    return crowd
  }

  /** Begins when the operation that `key` is busy with has ended. */
  behind(key, begin) {
    const pending = this.#begin(begin, undefined)
    this.#schedule()
    pending.isSent = false
    pending.behind = key
    this.#line(pending)
    return pending
  }

  /** Has it wait for the sid that it is behind. */
  #line(pending) {
    this.#crowd(this.#busy.has(ALL) ? ALL : pending.behind).queue.push(pending)
  }

  #queueOf(key) {
    return (this.#busy.get(ALL) ?? this.#busy.get(key))?.queue
  }

  #begin(go, key) {
    if (!this.#isScheduled && !this.#isDraining) this.#now = performance.now()
    // An operation that waits keeps the process alive, by this timer.
    if (this.#size++ === 0) {
      if (this.#timer === undefined) this.#arm(this.#timeout)
      else this.#timer.ref()
    }
    return new Pending(this, go, key, this.#now, this.#timeout)
  }

  /** Has what begins in this turn of the event loop sent together at its end. */
  #schedule(length = 0) {
    this.#turn += 1 + length / this.#much
    if (this.#turn >= this.#many) this.#flush()
    if (this.#isScheduled || this.#isDraining) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#flush()
    })
  }

  #flush() {
    this.#turn = 0
    if (this.#handle === undefined) return
    native.flush(this.#handle)
    for (let more = numbers[EXTRA]; more; more = numbers[NUMBER]) {
      const length = native.output(this.#handle, this.#room)
      if (length === 0) return
      const socket = this.#sockets.get(numbers[EXTRA])
      if (socket === undefined) continue
      const bytes = this.#room.subarray(0, length)
      const isHeldUp = socket.writableLength > 0
      socket.write(isHeldUp ? Buffer.from(bytes) : bytes)
      // It is mostly written by now. Else the socket needs it longer.
      if (!isHeldUp && socket.writableLength > 0) this.#room = newBuffer()
    }
  }

  /** Something was read from a connection. */
  received(id, bytes, length) {
    if (this.#handle === undefined) return
    native.received(this.#handle, id, bytes, length)
    this.drain()
  }

  /** A connection has ended. */
  lost(id) {
    this.#sockets.delete(id)
    if (this.#handle === undefined) return
    native.lost(this.#handle, id)
    this.drain()
  }

  /** Takes the answers that are there. */
  drain() {
    if (this.#handle === undefined) return
    this.#isDraining = true
    this.#now = performance.now()
    this.#date = 0
    let todo = 0
    try {
      while (this.#handle !== undefined) {
        const value = native.next(this.#handle)
        const count = numbers[ANSWERS]
        if (count === 0) {
          todo = numbers[EXTRA]
          break
        }
        for (let i = 1; i < count; i++) this.#take(i - 1, undefined)
        this.#take(count - 1, value)
      }
    } finally {
      this.#isDraining = false
    }
    if (this.#turn > 0 || todo & FLUSH) this.#flush()
    if (todo & HEAR) this.#hear()
  }

  /** The time in ms since the epoch, or that at which the answers were there that are being taken. */
  date() {
    if (!this.#isDraining) return Date.now()
    this.#date ||= Date.now()
    return this.#date
  }

  /** Takes an answer from the list. */
  #take(index, value) {
    const at = LIST + index * LISTED
    const pending = places[numbers[at]]
    numbers[STATUS] = numbers[at + 1]
    numbers[VERSION] = numbers[at + 2]
    numbers[NUMBER] = numbers[at + 3]
    this.#step(pending, value)
  }

  #hear() {
    const events = this.#handle === undefined ? undefined : native.events(this.#handle)
    if (events === undefined) return
    for (const [name, detail] of JSON.parse(events)) {
      if (name === 'socket') this.#carry(...detail)
      else this.#onEvents(name, name === 'down' ? fromEngine(detail) : detail)
    }
    // What has waited for a socket: only now that all of them are known.
    this.#flush()
  }

  #carry(id, fd) {
    this.#room ??= newBuffer()
    try {
      this.#sockets.set(id, carry(id, fd, this.self))
    } catch {
      closeSync(fd)
      native.lost(this.#handle, id)
    }
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
    // Of several steps that are answered for one by one, the whole has none.
    if (result.deadline !== Number.POSITIVE_INFINITY) result.deadline = pending.deadline
    if (pending.key !== undefined) {
      const { running } = this.#crowd(pending.key)
      running.splice(running.indexOf(pending), 1)
      if (result.key === undefined) running.push(result)
      result.key = pending.key
      result.session ??= pending.session
    }
    pending.leave()
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
    this.#timer?.unref()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Begins what waited for this sid, up to the next that the others have to wait for. */
  #free(ended) {
    const busy = this.#busy.get(ended.key)
    if (busy === ended) {
      this.#busy.delete(ended.key)
      return
    }
    if (busy.running.length > 1) {
      busy.running.splice(busy.running.indexOf(ended), 1)
      return
    }
    this.#busy.delete(ended.key)
    const now = busy.queue.length > 0 ? performance.now() : 0
    for (const pending of busy.queue) {
      // One that is late is not begun any more; `#expire` ends it.
      if (pending.deadline <= now || places[pending.id] !== pending) continue
      if (this.isBusy(pending.behind)) this.#line(pending)
      else this.#step(pending)
    }
  }

  #arm(ms) {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      // What has come while the event loop was held up is no failure, and is read after the timers.
      setImmediate(() => {
        this.drain()
        this.#expire()
      })
    }, ms)
  }

  #expire() {
    const now = performance.now()
    let next = Number.POSITIVE_INFINITY
    const own = places.filter((pending) => pending?.owner === this)
    // Each in its turn.
    for (const pending of own.sort((one, other) => one.since - other.since)) {
      // One that another has ended meanwhile is gone.
      if (pending.deadline > now || places[pending.id] !== pending) continue
      if (pending.isSent && this.#handle !== undefined) native.cancel(this.#handle, pending.id)
      pending.runInAsyncScope(this.#end, this, pending, late(this.#timeout))
    }
    // Also one that has no deadline, and holds up the others.
    const isLate = own.some(({ since }) => since + this.#timeout <= now)
    if (isLate && this.#handle !== undefined) native.late(this.#handle)
    this.#flush()
    for (const { owner, deadline } of places.filter(Boolean)) {
      if (owner === this) next = Math.min(next, deadline)
    }
    if (this.#size > 0 && this.#timer === undefined)
      this.#arm(Math.min(this.#timeout, Math.max(1, next - now)))
  }

  /** Resolves when nothing waits. */
  idle() {
    if (this.#size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** No answer comes any more. */
  stop() {
    clearTimeout(this.#timer)
    this.#handle = undefined
    for (const socket of this.#sockets.values()) socket.destroy()
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

module.exports = { ALL, Pending, Waiting }
