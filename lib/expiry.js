// When a session ends, and who moved that: read from its cookie and the `ttl` option. Knows nothing
// of records. All times are ms since the epoch.
'use strict'

const { HANDED } = require('./base')
const { RustStoreError } = require('./errors')
const { fromIso, isIso, toIso } = require('./iso')

// How a save weighs its expiry against the record's; the engine has the same numbers.
const KEEP = 0
const LATER = 1
const SET = 2
const ALWAYS = 3

// express-session's Cookie computes originalMaxAge from the clock when it is set, and again at each
// touch (session/cookie.js, `set expires`): a difference this small, in ms, is drift.
const DRIFT_MS = 1000

/** A cookie's `expires` in ms; NaN where it does not say. */
function toMs(expires) {
  if (typeof expires === 'number') return expires
  if (typeof expires === 'string') return fromIso(expires)
  // Not `instanceof`: Jest's Date is another realm's.
  return typeof expires?.getTime === 'function' ? Number(expires.getTime()) : Number.NaN
}

function ttlMs(ttl, session) {
  if (typeof ttl !== 'function') return ttl
  let seconds
  try {
    seconds = ttl(session)
  } catch (cause) {
    throw new RustStoreError('ERR_STORE_CONFIG', 'the function "ttl" threw', { cause })
  }
  if (typeof seconds !== 'number' || Number.isNaN(seconds)) {
    throw new RustStoreError(
      'ERR_STORE_CONFIG',
      `the function "ttl" must return a number of seconds; got ${String(seconds)}`,
    )
  }
  return seconds * 1000
}

/** Whether a cookie's originalMaxAge is another than before, beyond drift. */
function isMaxAgeMoved(before, after) {
  if (typeof before === 'number' && typeof after === 'number') {
    return Math.abs(before - after) > DRIFT_MS
  }
  // null, undefined and absent all say that there is none.
  return (before ?? null) !== (after ?? null)
}

/**
 * What a save of `session` asks for.
 *
 * @param ttl the option, in ms, or the user's function
 * @returns `{ expires, moved, rule }`; `moved`: the session's text does not tell `expires`
 */
function wanted(session, ttl, base, now) {
  const cookie = session.cookie
  const date = toMs(cookie?.expires)
  const told = !Number.isNaN(date)
  if (typeof ttl === 'function') {
    const expires = clamp(now + ttlMs(ttl, session))
    return { expires, moved: told && date < expires, rule: ALWAYS }
  }
  const expires = clamp(told ? date : now + ttl)
  let rule = LATER
  if (base === undefined || isMaxAgeMoved(base.originalMaxAge, cookie?.originalMaxAge)) rule = SET
  else if (told && base.isExpiryOf(cookie, date)) rule = KEEP
  // Moved into the past. One that was moved ahead, and that time has overtaken, was not.
  else if (told && date <= now && !(date >= base.expires)) rule = SET
  return { expires, moved: false, rule }
}

// The last time a Date can hold, and as long before 1970 the first.
const LAST_MS = 8.64e15
const clamp = (ms) => Math.max(Math.min(ms, LAST_MS), -LAST_MS)

/**
 * What decides about the expiry of a session, as it is now: `{ cookie, ttl }` for `wanted` at a later
 * time, and for the base that the save leaves.
 */
function frozen(session, ttl) {
  const { cookie } = session
  const known = typeof cookie === 'object' && cookie !== null
  const seconds = typeof ttl === 'function' ? ttlMs(ttl, session) / 1000 : undefined
  const { originalMaxAge, expires } = cookie ?? {}
  return {
    cookie: known
      ? { ...attributesOf(cookie), expires: toMs(expires), [HANDED]: expires, originalMaxAge }
      : undefined,
    ttl: seconds === undefined ? ttl : () => seconds,
  }
}

/**
 * The expiry to show for a record of which only the text is known, whose cookie tells one. A touch may have
 * moved it since: then by what express-session moves it by, or by the `ttl` function; of such a touch what is
 * shown is never before the real one. A record that is there does not end in the past, whoever moved it. Puts it into
 * the cookie.
 */
function showExpiry(session, ttl, now) {
  const { cookie } = session
  const touched = touchedExpiry(session, ttl, now)
  const text = Number.isNaN(touched) ? '' : toIso(touched)
  // Mostly they can be compared without being read: texts of one form are in the order of their times, but
  // for days that no month has.
  if (isIso(text) && isIso(cookie.expires) && cookie.expires <= text) {
    cookie.expires = text
    return touched
  }
  const told = fromIso(cookie.expires)
  if (touched > told) {
    cookie.expires = text
    return touched
  }
  if (!(told <= now) || typeof ttl !== 'number') return told
  const ahead = clamp(Math.trunc(now + ttl))
  cookie.expires = toIso(ahead)
  return ahead
}

/** When a record ends that was touched just now, as far as it can be told: NaN where it cannot. */
function touchedExpiry(session, ttl, now) {
  const { originalMaxAge } = session.cookie
  let ms = typeof originalMaxAge === 'number' ? originalMaxAge : Number.NaN
  if (typeof ttl === 'function') {
    try {
      const own = ttlMs(ttl, session)
      ms = ms > own ? ms : own
    } catch {
      // A function that fails is told to whoever saves.
    }
  }
  return clamp(Math.trunc(now + ms))
}

/** Whether the app changed more of the cookie than its expiry since it was handed out. */
function isCookieChanged(base, session) {
  const { cookie } = session
  if (typeof cookie !== 'object' || cookie === null || base.attributes === undefined) return false
  return (
    isMaxAgeMoved(base.originalMaxAge, cookie.originalMaxAge) ||
    !hasAttributes(cookie, base.attributes)
  )
}

/**
 * What express-session's Cookie serialises besides the expiry, and what it takes a missing one for
 * (session/cookie.js). One by one: this runs at each touch, and a loop over names is slow.
 */
function hasAttributes(cookie, attributes) {
  return (
    (cookie.path === undefined ? '/' : cookie.path) === attributes.path &&
    (cookie.httpOnly === undefined ? true : cookie.httpOnly) === attributes.httpOnly &&
    cookie.secure === attributes.secure &&
    cookie.sameSite === attributes.sameSite &&
    cookie.domain === attributes.domain &&
    cookie.partitioned === attributes.partitioned &&
    cookie.priority === attributes.priority
  )
}

// Those of the last cookie: the sessions of an app mostly have the same.
let recent = {
  path: '/',
  httpOnly: true,
  secure: undefined,
  sameSite: undefined,
  domain: undefined,
  partitioned: undefined,
  priority: undefined,
}

/** A cookie's attributes as they are now. */
function attributesOf(cookie) {
  if (!hasAttributes(cookie, recent)) {
    const { path = '/', httpOnly = true, secure, sameSite, domain, partitioned, priority } = cookie
    recent = { path, httpOnly, secure, sameSite, domain, partitioned, priority }
  }
  return recent
}

module.exports = { KEEP, LATER, attributesOf, frozen, isCookieChanged, showExpiry, toMs, wanted }
