// One operation whose answer comes later, and the number it is known by. Knows nothing of what it does, or
// of what it waits for.
'use strict'

const { AsyncResource } = require('node:async_hooks')
const { ID, numbers } = require('./numbers')

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
    // How many have waited before it.
    this.place = undefined
    // Whether it removes the session.
    this.removes = false
    // The turn it began in and the end of its time, by performance.now().
    this.since = since
    this.deadline = since + timeout
    // Whether that is another than what it is a step of has.
    this.hasOwnDeadline = false
    this.isSent = true
    this.answer = undefined
  }

  /** Whether it waits still. */
  get isAlive() {
    return places[this.id] === this
  }

  /** Waits from `now` on only. */
  restart(now) {
    this.deadline += now - this.since
    this.since = now
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

/** The operation of a number. */
const pendingAt = (id) => places[id]

/** All operations of an owner that wait. */
const pendingOf = (owner) => places.filter((pending) => pending?.owner === owner)

module.exports = { Pending, pendingAt, pendingOf }
