// One open store as JavaScript sees it: sessions in and out of text, their bases, and the engine's
// answers turned into results or errors. Knows nothing of callbacks, promises or when to answer.
'use strict'

const native = require('./native')
const { RustStoreError, fromEngine } = require('./errors')
const { Base, baseOf, setBase } = require('./base')
const { KEEP, isCookieChanged, wanted } = require('./expiry')
const { toIso } = require('./iso')

// Numbers cross in this array, most of them for less than an argument would cost: see
// src/binding/answer.rs.
const numbers = new Float64Array(8)
// What the engine leaves.
const STATUS = 0
const VERSION = 1
const NUMBER = 2
// What it is told.
const NOW = 3
const EXPIRES = 4
const RULE = 5
const BASE = 6
const EXTRA = 7
// What STATUS says.
const FAILED = -1
const MERGED = 1
const GONE = 2
const REMOVED = 3

/** The options as JSON text; what JSON cannot say becomes an object of one key. */
function optionsText(options) {
  const { serializer } = options
  const plain = { ...options }
  if (typeof serializer === 'object' && serializer !== null) {
    // Its methods may be inherited, or not enumerable as those of JSON itself.
    plain.serializer = { stringify: serializer.stringify, parse: serializer.parse }
  }
  return JSON.stringify(plain, (_key, value) => {
    if (typeof value === 'function') return { function: true }
    if (typeof value === 'number' && !Number.isFinite(value)) return { number: String(value) }
    if (typeof value === 'bigint' || typeof value === 'symbol') return { number: String(value) }
    if (typeof value === 'string' && !value.isWellFormed()) return { number: 'a lone surrogate' }
    return value
  })
}

class Engine {
  /** @param announce called with the name and arguments of each event */
  constructor(options, announce) {
    const opened = native.open(optionsText(options), numbers)
    if (typeof opened === 'string') throw fromEngine(opened)
    const [handle, facts] = opened
    const { backend, identity, ttlMs } = JSON.parse(facts)
    this.handle = handle
    this.announce = announce
    this.backend = backend
    this.place = identity
    this.ttl = typeof options.ttl === 'function' ? options.ttl : ttlMs
    const serializer = options.serializer ?? JSON
    this.parse = (text) => serializer.parse(text)
    this.stringify = (session) => serializer.stringify(session)
    this.hits = 0
    this.misses = 0
    this.corrupt = 0
    this.errors = {}
  }

  /** The session of a sid, or undefined. */
  get(sid) {
    const key = toKey(sid)
    numbers[NOW] = Date.now()
    const text = native.get(this.handle, key)
    if (text === undefined) {
      this.misses++
      return undefined
    }
    if (numbers[STATUS] === FAILED) throw fromEngine(text)
    const session = this.revive(key, text, numbers[VERSION], numbers[NUMBER])
    if (session === undefined) this.misses++
    else this.hits++
    return session
  }

  /** A session from its text, with a base; undefined and an event where the text is none. */
  revive(sid, text, version, expires) {
    let session
    try {
      session = this.parse(text)
      if (typeof session !== 'object' || session === null) {
        throw new TypeError('the record is not an object')
      }
    } catch (cause) {
      this.corrupt++
      this.announce('corrupt', sid, cause)
      return undefined
    }
    const cookie = session.cookie
    const told = typeof cookie?.expires === 'string'
    // Negative: touched since the text was written.
    if (told && expires < 0) cookie.expires = toIso(-expires)
    const shown = told ? Math.abs(expires) : cookie?.expires
    setBase(session, new Base(this.place, sid, text, version, cookie, shown))
    return session
  }

  /** Saves a session: see "what a save means" in docs/consistency.md. */
  set(sid, session) {
    const key = toKey(sid)
    const text = this.textOf(session)
    this.write(key, session, text, baseOf(session, this.place, key))
  }

  textOf(session) {
    let text
    let cause
    try {
      if (typeof session === 'object' && session !== null) text = this.stringify(session)
    } catch (thrown) {
      cause = thrown
    }
    if (typeof text === 'string') return text
    const why =
      cause instanceof Error ? cause.message : `it is ${session === null ? 'null' : typeof session}`
    throw new RustStoreError(
      'ERR_STORE_DECODE',
      `the session cannot be turned into text: ${why}; what was stored before is kept`,
      { cause },
    )
  }

  write(key, session, text, base) {
    const now = Date.now()
    const { expires, moved, rule } = wanted(session, this.ttl, base, now)
    numbers[EXTRA] = moved ? 1 : 0
    this.ask(now, expires, rule, base)
    const news = native.set(this.handle, key, text, base === undefined ? '' : base.text)
    const status = numbers[STATUS]
    if (status === FAILED) throw fromEngine(news)
    if (status === GONE) this.announce('gone', key)
    if (status === GONE || status === REMOVED) return
    // What was merged in is not in this object: its next save starts from its own text.
    const version = status === MERGED ? 0 : numbers[VERSION]
    setBase(
      session,
      new Base(this.place, key, text, version, session.cookie, session.cookie?.expires),
    )
    if (news === undefined) return
    const [conflicts, ...evicted] = news
    if (conflicts !== '') this.announce('conflict', key, JSON.parse(conflicts))
    for (const sid of evicted) this.announce('evict', sid)
  }

  /** Moves the expiry of a session; saves its cookie where the app changed more of that. */
  touch(sid, session) {
    const key = toKey(sid)
    if (typeof session !== 'object' || session === null) {
      throw new RustStoreError('ERR_STORE_DECODE', 'touch wants the session as its second argument')
    }
    const base = baseOf(session, this.place, key)
    if (base !== undefined && isCookieChanged(base, session, this.parse)) {
      const mine = this.parse(base.text)
      mine.cookie = session.cookie
      this.write(key, session, this.textOf(mine), base)
      return
    }
    const now = Date.now()
    const { expires, rule } = wanted(session, this.ttl, base, now)
    if (rule === KEEP) return
    this.ask(now, expires, rule, base)
    this.check(native.touch(this.handle, key, base === undefined ? '' : base.text))
  }

  ask(now, expires, rule, base) {
    numbers[NOW] = now
    numbers[EXPIRES] = expires
    numbers[RULE] = rule
    numbers[BASE] = base === undefined ? -1 : base.version
  }

  destroy(sid) {
    this.check(native.destroy(this.handle, toKey(sid)))
  }

  /** One step of a walk: `{ sessions: [[sid, session], ...], next }`; `next` -1 at the end. */
  page(from) {
    numbers[NOW] = Date.now()
    numbers[EXTRA] = from
    const flat = this.check(native.page(this.handle))
    const next = numbers[NUMBER]
    const sessions = []
    for (let i = 0; i < flat.length; i += 4) {
      const session = this.revive(flat[i], flat[i + 1], flat[i + 2], flat[i + 3])
      if (session !== undefined) sessions.push([flat[i], session])
    }
    return { sessions, next }
  }

  /** One step of counting: `{ live, next }`. */
  count(from) {
    numbers[NOW] = Date.now()
    numbers[EXTRA] = from
    this.check(native.count(this.handle))
    return { live: numbers[VERSION], next: numbers[NUMBER] }
  }

  clear() {
    this.check(native.clear(this.handle))
  }

  ping() {
    this.check(native.ping(this.handle))
  }

  stats() {
    const { hits, misses, corrupt } = this
    const stats = JSON.parse(this.check(native.stats(this.handle)))
    return { ...stats, hits, misses, corrupt, errors: { ...this.errors } }
  }

  close() {
    native.close(this.handle)
  }

  check(result) {
    if (numbers[STATUS] === FAILED) throw fromEngine(result)
    return result
  }

  /** Any failure as the error that the caller is told, counted. */
  failure(error, operation) {
    const told =
      error instanceof RustStoreError
        ? error
        : new RustStoreError('ERR_STORE_INTERNAL', error?.message ?? String(error), {
            cause: error,
          })
    told.backend ||= this.backend
    told.operation = operation
    this.errors[told.code] = (this.errors[told.code] ?? 0) + 1
    return told
  }
}

const toKey = (sid) => (typeof sid === 'string' ? sid : String(sid))

module.exports = { Engine }
