// Saving a session: its text, and what it was read as, are handed to the engine, and the base of its next save
// is kept. Knows the engine's operations, and no callback. What is done here returns as those do.
'use strict'

const native = require('./native')
const { RustStoreError, fromEngine, unreadable } = require('./errors')
const { Base, baseOf, setBase } = require('./base')
const { attributesOf, frozen, toMs, wanted } = require('./expiry')
const { wholeOf } = require('./outlines')
const {
  numbers,
  BASE,
  CHANGED,
  COOKIE_ONLY,
  DONE,
  EXPIRES,
  EXTRA,
  FAILED,
  GONE,
  MAX_AGE,
  MERGED,
  MOVED,
  NOW,
  OUTLINE,
  PENDING,
  RULE,
  SPOT,
  STATUS,
  TEXT_MAX_AGE,
  TEXT_OUTLINE,
  VERSION,
} = require('./numbers')

/** Saves a session. */
function save(engine, key, session) {
  const text = engine.texts.shorten(session)
  const { outline, maxAge } = engine.texts
  if (engine.isBehind(key, session)) return saveBehind(engine, key, session, text, outline, maxAge)
  const base = baseOf(session, engine.place, key)
  // What cannot be merged, and was read as it is now but for its cookie.
  if (
    base !== undefined &&
    !engine.texts.isJson &&
    engine.texts.withCookie(wholeOf(base), session) === text
  ) {
    return saveCookie(engine, key, session, base)
  }
  ask(session, base, engine.ttl)
  return write(engine, key, session, text, base, session.cookie, outline, maxAge)
}

/** Saves what the session is now, from the base that the save before it will leave. */
function saveBehind(engine, key, session, text, outline, maxAge) {
  const { cookie, ttl } = frozen(session, engine.ttl)
  return engine.waiting.behind(key, () => {
    const base = baseOf(session, engine.place, key)
    ask({ cookie }, base, ttl)
    return write(engine, key, session, text, base, cookie, outline, maxAge)
  })
}

/**
 * Saves the cookie of a session, and nothing else of it: what a touch does where the app has changed more of
 * the cookie than its expiry.
 */
function saveCookie(engine, key, session, base) {
  if (engine.isBehind(key, session)) {
    return engine.waiting.behind(key, () => engine.move(key, session))
  }
  const withCookie = (read) => engine.texts.withCookie(wholeOf(read), session)
  const own = withCookie(base)
  // Not before: what makes a text may run code of the app's, which may call the store.
  ask(session, base, engine.ttl)
  const extra = numbers[EXTRA] + COOKIE_ONLY

  function writeCookie(text, from) {
    numbers[EXTRA] = extra
    const writing = write(engine, key, session, text, from, session.cookie)
    return engine.after(writing, (status) => {
      if (status === CHANGED) return retry()
      // What the others wrote is not in this object: its next save starts from its own text.
      if (from !== base && (status === DONE || status === MERGED)) {
        const left = baseOf(session, engine.place, key).copy()
        left.text = own
        left.outline = -1
        left.version = 0
        left.spot = 0
        setBase(session, left)
      }
    })
  }

  /** Text that is not JSON cannot be merged: the cookie goes into what the record is by now. */
  function retry() {
    numbers[NOW] = Date.now()
    return engine.after(engine.answerOf(native.get(engine.handle, key)), (text) => {
      if (text === undefined) return undefined
      const now = {
        text,
        version: numbers[VERSION],
        spot: 0,
        outline: numbers[OUTLINE],
        maxAge: numbers[MAX_AGE],
      }
      const renewed = withCookie(now)
      ask(session, base, engine.ttl)
      return writeCookie(renewed, now)
    })
  }

  return writeCookie(own, base)
}

/** Hands the numbers of a save or a touch to the engine. Returns the rule of its expiry. */
function ask(session, base, ttl) {
  const now = Date.now()
  let asked
  try {
    asked = wanted(session, ttl, base, now)
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
 * Writes `text`, made of what was read as `from`, with the numbers of `ask`. Returns the status, and leaves
 * `session` with the base of its next save, in which `cookie` is as it is now. `outline`, `maxAge`: where the
 * text is in short.
 */
function write(engine, key, session, text, from, cookie, outline = -1, maxAge = 0) {
  numbers[TEXT_OUTLINE] = outline
  numbers[TEXT_MAX_AGE] = maxAge
  const news = native.set(engine.handle, key, text, tell(from))
  const status = numbers[STATUS]
  if (status === PENDING) {
    const made = based(engine, key, text, outline, maxAge, 0, 0, cookie)
    const go = (news) => {
      const status = numbers[STATUS]
      if (status === DONE) made.version = numbers[VERSION]
      if (status === DONE || status === MERGED) setBase(session, made)
      return wrote(engine, key, status, news)
    }
    // A backend compares before it writes.
    return engine.waiting.wait(go, key, session, from !== undefined)
  }
  if (status === DONE || status === MERGED) {
    // What was merged in is not in this object: its next save starts from its own text, of which no
    // record has the version.
    const version = status === DONE ? numbers[VERSION] : 0
    setBase(session, based(engine, key, text, outline, maxAge, version, numbers[SPOT], cookie))
  }
  return wrote(engine, key, status, news)
}

/** A base of what is in the object that was saved. */
function based(engine, key, text, outline, maxAge, version, spot, cookie) {
  const known = typeof cookie === 'object' && cookie !== null
  return new Base(
    engine.place,
    key,
    text,
    outline,
    maxAge,
    version,
    spot,
    toMs(cookie?.expires),
    known ? cookie.originalMaxAge : undefined,
    known ? attributesOf(cookie) : undefined,
    undefined,
  )
}

/** Says what there is to say about a save. */
function wrote(engine, key, status, news) {
  if (status === FAILED) throw fromEngine(news)
  if (status === GONE) engine.announce('gone', key)
  if (news === undefined) return status
  const [conflicts, ...evicted] = news
  if (conflicts !== '') engine.announce('conflict', key, JSON.parse(conflicts))
  for (const sid of evicted) engine.announce('evict', sid)
  return status
}

/** Tells the engine what a session was read as, and returns the text of that. */
function tell(base) {
  if (base === undefined) {
    numbers[BASE] = -1
    return ''
  }
  numbers[BASE] = base.version
  numbers[SPOT] = base.spot
  numbers[OUTLINE] = base.outline
  numbers[MAX_AGE] = base.maxAge
  return base.text
}

module.exports = { ask, save, saveCookie, tell }
