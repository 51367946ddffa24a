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
const DONE = 0
const MERGED = 1
const GONE = 2
const CHANGED = 4
// What EXTRA says of a save, added up.
const MOVED = 1
const COOKIE_ONLY = 2

/** The options as JSON text; what JSON cannot say becomes an object of one key. */
function optionsText(options) {
  const described = Object.create(null)
  for (const name of Object.keys(options)) described[name] = describe(options[name])
  const { serializer } = options
  if (typeof serializer === 'object' && serializer !== null) {
    // Its methods may be inherited, or not enumerable as those of JSON itself.
    const { stringify, parse } = serializer
    described.serializer = { stringify: describe(stringify), parse: describe(parse) }
  }
  return JSON.stringify(described)
}

function describe(value) {
  switch (typeof value) {
    case 'undefined':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : { number: String(value) }
    case 'string':
      return value.isWellFormed() ? value : { number: 'a lone surrogate' }
    case 'function':
      return { function: true }
    case 'object':
      if (Array.isArray(value)) return value.map(describe)
      return value === null ? null : { object: true }
    default:
      return { number: String(value) }
  }
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
    // With JSON, what `parse` would give back as no object is refused at once.
    this.isText = serializer === JSON ? (text) => text[0] === '{' || text[0] === '[' : () => true
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

  /** Saves a session: see "what a save does" in docs/consistency.md. */
  set(sid, session) {
    const key = toKey(sid)
    const text = this.textOf(session)
    const base = baseOf(session, this.place, key)
    this.ask(session, base)
    this.write(key, session, text, base)
  }

  textOf(session) {
    let text
    let cause
    try {
      if (typeof session === 'object' && session !== null) text = this.stringify(session)
    } catch (thrown) {
      cause = thrown
    }
    if (typeof text === 'string' && this.isText(text)) return text
    const why =
      cause instanceof Error ? cause.message : `it is ${session === null ? 'null' : typeof session}`
    throw unreadable(
      `the session cannot be turned into text: ${why}; what was stored before is kept`,
      cause,
    )
  }

  /** Hands the numbers of a save or a touch to the engine. Returns the rule of its expiry. */
  ask(session, base) {
    const now = Date.now()
    let asked
    try {
      asked = wanted(session, this.ttl, base, now)
    } catch (cause) {
      if (cause instanceof RustStoreError) throw cause
      throw unreadable("the session's cookie cannot be read", cause)
    }
    numbers[NOW] = now
    numbers[EXPIRES] = asked.expires
    numbers[RULE] = asked.rule
    numbers[EXTRA] = asked.moved ? MOVED : 0
    return asked.rule
  }

  /**
   * Writes `text`, made of what was read as `from`, with the numbers of `ask`. Returns the status,
   * and leaves `session` with the base of its next save.
   */
  write(key, session, text, from) {
    numbers[BASE] = from === undefined ? -1 : from.version
    const news = native.set(this.handle, key, text, from === undefined ? '' : from.text)
    const status = numbers[STATUS]
    if (status === FAILED) throw fromEngine(news)
    if (status === GONE) this.announce('gone', key)
    if (status !== DONE && status !== MERGED) return status
    // What was merged in is not in this object: its next save starts from its own text.
    const version = status === MERGED ? 0 : numbers[VERSION]
    setBase(
      session,
      new Base(this.place, key, text, version, session.cookie, session.cookie?.expires),
    )
    if (news === undefined) return status
    const [conflicts, ...evicted] = news
    if (conflicts !== '') this.announce('conflict', key, JSON.parse(conflicts))
    for (const sid of evicted) this.announce('evict', sid)
    return status
  }

  /** Moves the expiry of a session; saves its cookie where the app changed more of that. */
  touch(sid, session) {
    const key = toKey(sid)
    if (typeof session !== 'object' || session === null) {
      throw unreadable('touch wants the session as its second argument')
    }
    const base = baseOf(session, this.place, key)
    const rule = this.ask(session, base)
    if (base !== undefined && isCookieChanged(base, session, this.parse)) {
      this.saveCookie(key, session, base)
    } else if (rule !== KEEP) {
      numbers[BASE] = base === undefined ? -1 : base.version
      this.check(native.touch(this.handle, key, base === undefined ? '' : base.text))
    }
  }

  /** Saves the cookie of a session, and nothing else of it. */
  saveCookie(key, session, base) {
    const extra = numbers[EXTRA] + COOKIE_ONLY
    const withCookie = ({ text }) => this.textOf({ ...this.parse(text), cookie: session.cookie })
    numbers[EXTRA] = extra
    const own = withCookie(base)
    let status = this.write(key, session, own, base)
    // Text that is not JSON cannot be merged: the cookie goes into what the record is by now.
    while (status === CHANGED) {
      const text = native.get(this.handle, key)
      if (text === undefined) return
      const now = { text: this.check(text), version: numbers[VERSION] }
      this.ask(session, base)
      numbers[EXTRA] = extra
      status = this.write(key, session, withCookie(now), now)
      const { place, cookie } = baseOf(session, this.place, key)
      setBase(session, new Base(place, key, own, 0, cookie, cookie?.expires))
    }
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

function toKey(sid) {
  if (typeof sid === 'string') return sid
  try {
    return String(sid)
  } catch (cause) {
    throw unreadable('the sid cannot be turned into text', cause)
  }
}

const unreadable = (message, cause) => new RustStoreError('ERR_STORE_DECODE', message, { cause })

module.exports = { Engine }
