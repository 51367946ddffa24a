// The order of operations on one sid: which of them wait for which. Knows nothing of when they are sent,
// or of how they end.
'use strict'

const { Pending } = require('./pending')

// Sids after which the Map of them is made anew, for the reason that lib/pending.js has none.
const FRESH = 512

/** The key of an operation that all others come after. */
const ALL = Symbol('all')

const NONE = []

class Order {
  // Sid -> the operation on it that is under way, or, where there is another, both kinds: those that are
  // under way and those that wait for them to end.
  #busy = new Map()
  #occupied = 0
  // How many have waited, and how many do.
  #lined = 0
  #waiting = 0

  /** Whether operations on this sid have to wait for one before them. */
  isBusy(key) {
    if (this.#busy.size === 0) return false
    return this.#busy.has(key) || this.#busy.has(ALL) || (key === ALL && this.#waiting > 0)
  }

  /** Whether operations on this sid, or on all of them, do wait. */
  isHeld(key) {
    if (key === ALL) return this.#waiting > 0
    // What came before a clear waits in the queue of its sid, and the rest in that of all.
    return this.#holds(ALL, key) || this.#holds(key, key)
  }

  #holds(place, key) {
    const queue = this.#busy.get(place)?.queue
    return queue?.some(({ behind }) => behind === key || behind === ALL) === true
  }

  /** Whether the last of the operations on this sid that wait removes it. */
  endsGone(key) {
    return (this.#lastOf(key, ALL) ?? this.#lastOf(key, key))?.removes === true
  }

  /** The last of the operations on this sid that wait in the queue of a place. */
  #lastOf(key, place) {
    const queue = this.#busy.get(place)?.queue
    return queue?.findLast(({ behind }) => behind === key || behind === ALL)
  }

  /** Whether a save of this object is under way. */
  isSaving(key, session) {
    const busy = session === undefined ? undefined : this.#busy.get(key)
    if (busy instanceof Pending) return busy.session === session
    return busy?.running.some((pending) => pending.session === session) ?? false
  }

  /** An operation is under way that others on its sid may wait for. */
  enter(pending) {
    const { key } = pending
    if (this.#busy.has(key)) {
      this.#crowd(key).running.push(pending)
      return
    }
    if (++this.#occupied % FRESH === 0) this.#busy = new Map(this.#busy)
    this.#busy.set(key, pending)
  }

  /** An operation waits for the sid that it is behind; one that has waited before, ahead of those after it. */
  line(pending) {
    this.#waiting++
    if (pending.behind === ALL && !this.#busy.has(ALL)) this.#close()
    const { queue } = this.#crowd(this.#busy.has(ALL) ? ALL : pending.behind)
    pending.place ??= this.#lined++
    let at = queue.length
    while (at > 0 && queue[at - 1].place > pending.place) at--
    queue.splice(at, 0, pending)
  }

  /** What is on all sids waits for those operations on which others wait, and what comes after it for it. */
  #close() {
    const crowds = [...this.#busy.values()].filter((busy) => busy.queue?.length > 0)
    this.#busy.set(ALL, { running: crowds.flatMap(({ running }) => running), queue: [] })
  }

  /** The operations on a sid that is busy, as lists. */
  #crowd(key) {
    const busy = this.#busy.get(key)
    if (!(busy instanceof Pending)) return busy
    const crowd = { running: [busy], queue: [] }
    this.#busy.set(key, crowd)
    return crowd
  }

  /** An operation goes on as another. */
  replace(pending, next) {
    const { key } = pending
    const { running } = this.#crowd(key)
    running.splice(running.indexOf(pending), 1)
    if (next.key === undefined) running.push(next)
    next.key = key
    next.session ??= pending.session
    const all = this.#busy.get(ALL)?.running
    const at = all?.indexOf(pending) ?? -1
    if (at >= 0) all[at] = next
  }

  /** An operation has ended. Returns those that may begin, if nothing else is in their way. */
  leave(ended) {
    const { key } = ended
    const freed = this.#leave(key, ended)
    if (key === ALL || !this.#busy.get(ALL)?.running?.includes(ended)) return freed
    return [...freed, ...this.#leave(ALL, ended)].sort((one, other) => one.place - other.place)
  }

  #leave(key, ended) {
    const busy = this.#busy.get(key)
    if (busy !== ended && busy.running.length > 1) {
      busy.running.splice(busy.running.indexOf(ended), 1)
      return NONE
    }
    this.#busy.delete(key)
    if (busy === ended) return NONE
    this.#waiting -= busy.queue.length
    return busy.queue
  }
}

module.exports = { ALL, Order }
