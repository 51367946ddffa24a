// Sessions out of what a backend has kept, each with its base. Knows how a record is read, and nothing of
// who asks for it.
'use strict'

const native = require('./native')
const { Base, setBase, setFirstBase } = require('./base')
const { attributesOf, showExpiry, toMs } = require('./expiry')
const { toIso } = require('./iso')
const { numbers, MAX_AGE } = require('./numbers')
const { complete, learn, mayBeShort } = require('./outlines')
const { make } = require('./shapes')

/**
 * A session with its base, of what the engine has told of a record: `expires` as it tells it (NaN where
 * only the text does, negative where the text does not), and the numbers of the text's outline and shape or -1.
 * Undefined and an event where the text is that of no session.
 */
function revive(engine, sid, text, version, expires, spot, outline, shape) {
  const maxAge = numbers[MAX_AGE]
  const isOfForm = outline >= 0 || shape >= 0
  if (isOfForm && !mayBeShort()) {
    return reviveWhole(engine, sid, text, version, expires, spot, outline, maxAge)
  }
  let session
  let attributes
  try {
    session = shape >= 0 ? make(shape, text) : engine.texts.parse(text)
    if (outline >= 0) attributes = complete(session, outline, maxAge)
    else if (engine.texts.isJson) learn(text)
  } catch (cause) {
    // What is told of it is to be about the text that is there.
    if (isOfForm) return reviveWhole(engine, sid, text, version, expires, spot, outline, maxAge)
    engine.corrupt++
    engine.announce('corrupt', sid, cause)
    return undefined
  }
  const cookie = session.cookie
  if (typeof cookie === 'object' && cookie !== null) attributes ??= attributesOf(cookie)
  let shown
  let handed
  if (typeof cookie?.expires !== 'string') shown = toMs(cookie?.expires)
  else if (Number.isNaN(expires)) {
    shown = showExpiry(session, engine.ttl, engine.waiting.date())
    handed = cookie.expires
  } else {
    // Negative: touched since the text was written.
    if (expires < 0) cookie.expires = toIso(-expires)
    shown = Math.abs(expires)
  }
  const base = new Base(
    engine.place,
    sid,
    text,
    // A small whole number, as those of all bases: see base.js.
    outline | 0,
    maxAge,
    version,
    spot,
    shown,
    attributes && cookie.originalMaxAge,
    attributes,
    handed,
  )
  if (engine.texts.isJson) setFirstBase(session, base)
  // A serializer may hand out what it has handed out before, or what is frozen.
  else setBase(session, base)
  return session
}

/** The same by JSON.parse, of the whole text. */
function reviveWhole(engine, sid, text, version, expires, spot, outline, maxAge) {
  const whole = outline < 0 ? text : native.lengthen(text, outline, maxAge)
  return revive(engine, sid, whole, version, expires, spot, -1, -1)
}

module.exports = { revive }
