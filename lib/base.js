// What an object was read as. Knows nothing of how it is saved.
//
// A base is kept in a private field of the session object itself, stamped onto it by a constructor
// that returns its argument: a WeakMap entry made each `get` a third slower. A copy of the object
// has no base, which is what the contract wants; no key is added to the user's session.
'use strict'

class Returned {
  constructor(object) {
    // biome-ignore lint/correctness/noConstructorReturn: the point of the trick
    return object
  }
}

// Handed to the field by this rather than set afterwards, which would be a second write.
let next

class Stamped extends Returned {
  #base = next

  static read(object) {
    return #base in object ? object.#base : undefined
  }

  static write(object, base) {
    if (#base in object) object.#base = base
    // What cannot take a field (a frozen object) goes without a base: its last write wins.
    else if (Object.isExtensible(object)) Stamped.first(object, base)
  }

  static first(object, base) {
    next = base
    new Stamped(object)
    next = undefined
  }
}

// On a cookie as it was, whose `expires` is a number: the value that `expires` had.
const HANDED = Symbol('handed')

// How many places or sids an object may have a base of.
const MOST_BASES = 4

/**
 * What an object was read as. Once an object has it, it is not changed: others may have the same.
 *
 * `place` and `sid`: under another sid, or in another store, the object is a new session.
 * `text`, `version`, `spot`: of the record; version 0 never equals a record's.
 * `outline`, `maxAge`: where `text` is in short, what it goes without (see outlines.js); else -1.
 * `expires` (ms, or NaN; a Date could be changed in place), `originalMaxAge`, `attributes` (undefined without a
 * cookie): of its cookie, as handed out.
 * `handed`: where `expires` is only as much as is known, the very value that was handed out: one of
 * the same time that the app has set is a touch.
 * `other`: the base of the same object under another sid or in another store, where it was saved there, too.
 */
class Base {
  constructor(
    place,
    sid,
    text,
    outline,
    maxAge,
    version,
    spot,
    expires,
    originalMaxAge,
    attributes,
    handed,
  ) {
    this.place = place
    this.sid = sid
    this.text = text
    this.outline = outline
    this.maxAge = maxAge
    this.version = version
    this.spot = spot
    this.expires = expires
    this.originalMaxAge = originalMaxAge
    this.attributes = attributes
    this.handed = handed
    this.other = undefined
  }

  /** The same once more, to be given to an object when it has been changed. */
  copy() {
    const copy = new Base(
      this.place,
      this.sid,
      this.text,
      this.outline,
      this.maxAge,
      this.version,
      this.spot,
      this.expires,
      this.originalMaxAge,
      this.attributes,
      this.handed,
    )
    copy.other = this.other
    return copy
  }

  isOf(place, sid) {
    return this.place === place && this.sid === sid
  }

  /** Whether a cookie that tells the time `date` has its expiry as it was handed out. */
  isExpiryOf(cookie, date) {
    if (date !== this.expires) return false
    const { handed } = this
    return handed === undefined || handed === cookie.expires || handed === cookie[HANDED]
  }
}

// One before any other, whose numbers are not whole: a field that has held small whole numbers alone, and
// then another, changes its form in V8 and makes the maps of all bases stale. Code that was being optimized
// is then given up, again and again where a backend has large versions: a `get` took half as long again.
new Base('', '', '', -1, 0.5, 0.5, 0.5, 0.5, undefined, undefined, '')

/** Gives `session` a base that no other object has yet, beside those of other places or sids. */
function setBase(session, base) {
  base.other = withoutOf(Stamped.read(session), base, MOST_BASES - 1)
  Stamped.write(session, base)
}

/** The same of an object that was just made: looking whether it has one would take longer. */
const setFirstBase = Stamped.first

/** Of a base and its others the first so many, without that of the place and the sid of `base`. */
function withoutOf(former, base, most) {
  if (former === undefined || most === 0) return undefined
  if (former.isOf(base.place, base.sid)) return withoutOf(former.other, base, most)
  const other = withoutOf(former.other, base, most - 1)
  if (other === former.other) return former
  const copy = former.copy()
  copy.other = other
  return copy
}

/** The base of `session`, if it was read at this place under this sid. */
function baseOf(session, place, sid) {
  let base = Stamped.read(session)
  while (base !== undefined && !base.isOf(place, sid)) base = base.other
  return base
}

/** Gives an object that was made from another the base of that. */
function copyBase(from, to) {
  const base = Stamped.read(from)
  if (base !== undefined) setFirstBase(to, handedOver(base, to.cookie))
}

/** A base and its others, of an object whose cookie express-session has put a Date into, in place of the text. */
function handedOver(base, cookie) {
  if (base === undefined) return undefined
  const other = handedOver(base.other, cookie)
  if (base.handed === undefined && other === base.other) return base
  const own = base.copy()
  if (own.handed !== undefined) own.handed = cookie.expires
  own.other = other
  return own
}

module.exports = { Base, HANDED, baseOf, copyBase, setBase, setFirstBase }
