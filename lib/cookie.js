// Saving the cookie of a session, and nothing else of it: what a touch does where the app has changed
// more of the cookie than its expiry. Knows the engine's operations, and no callback.
'use strict'

const native = require('./native')
const { baseOf, setBase } = require('./base')
const {
  numbers,
  CHANGED,
  COOKIE_ONLY,
  DONE,
  EXTRA,
  MAX_AGE,
  MERGED,
  NOW,
  OUTLINE,
  VERSION,
} = require('./numbers')
const { wholeOf } = require('./outlines')

/** After `engine.ask`. Returns as the engine's operations do. */
function saveCookie(engine, key, session, base) {
  if (engine.isBehind(key, session)) {
    return engine.waiting.behind(key, () => engine.move(key, session))
  }
  const extra = numbers[EXTRA] + COOKIE_ONLY
  const withCookie = (read) => engine.texts.withCookie(wholeOf(read), session)
  const own = withCookie(base)

  function write(text, from) {
    numbers[EXTRA] = extra
    const writing = engine.write(key, session, text, from, session.cookie)
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
      engine.ask(session, base, engine.ttl)
      return write(withCookie(now), now)
    })
  }

  return write(own, base)
}

module.exports = { saveCookie }
