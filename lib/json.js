// The JSON text of a session, as JSON.stringify writes it. Knows nothing of stores.
//
// Four tenths of the time that takes for a session of 444 bytes are for the Date in its cookie: V8 calls its
// toJSON, and that its toISOString, by way of C++, and the text is written by libc's printf. So it is given a
// copy of the session, which takes a twentieth, in whose cookie the text stands already.
'use strict'

const { toIso } = require('./iso')

// Objects that got their properties one after the other, as express-session makes a session, are tables in
// V8 from 23 properties on. A copy of those takes as long as to write them.
const MOST_KEYS = 20

const { getTime, toISOString, toJSON, valueOf: toNumber } = Date.prototype
const { toString: tagOf } = Object.prototype
const toPrimitive = Date.prototype[Symbol.toPrimitive]

/** Whether a method is the one that it was born with. */
const isNative = (object, name) =>
  Function.prototype.toString.call(object[name]) === `function ${name}() { [native code] }`

// An app may have taught all Dates another text before it loaded this.
const areNative = isNative(Date.prototype, 'toISOString') && isNative(Date.prototype, 'toJSON')

/** `JSON.stringify(session)`, of an object. */
const stringify = (session) => JSON.stringify(withPlainCookie(session, withPlainDate))

/**
 * What JSON.stringify writes the same text of: the session itself, or a copy whose cookie is what `written`
 * returns for its data.
 */
function withPlainCookie(session, written) {
  const { cookie } = session
  if (typeof cookie?.toJSON !== 'function' || !isPlain(session)) return session
  const keys = Object.keys(session)
  // As express-session has it. What is written before may change the cookie.
  if (keys[0] !== 'cookie' || keys.length > MOST_KEYS) return session
  const copy = { ...session }
  const data = cookie.toJSON('cookie')
  // Of what a toJSON returns, JSON.stringify calls none.
  copy.cookie = data?.toJSON === undefined ? written(data) : { toJSON: () => data }
  return copy
}

/** The same of the data of a cookie. */
function withPlainDate(data) {
  if (typeof data !== 'object' || !isUsualDate(data?.expires) || !isPlain(data)) return data
  const copy = { ...data }
  // Else it is inherited, which is not written.
  if (isUsualDate(copy.expires)) copy.expires = textOf(copy.expires)
  return copy
}

/** What is written of a usual Date. */
function textOf(date) {
  const ms = getTime.call(date)
  return Number.isNaN(ms) ? null : toIso(ms)
}

/**
 * Whether it is written as an object, with its own properties, which an array and a `new Number(1)` are not. Not
 * asked of util.types: amid a request, a call into C++ takes longer than all else here.
 */
const isPlain = (object) =>
  object.toJSON === undefined &&
  object[Symbol.toStringTag] === undefined &&
  tagOf.call(object) === '[object Object]'

/** Whether it is a Date, and written as all of them are. */
const isUsualDate = (date) =>
  areNative &&
  typeof date === 'object' &&
  date !== null &&
  date.toJSON === toJSON &&
  date.toISOString === toISOString &&
  date.valueOf === toNumber &&
  date[Symbol.toPrimitive] === toPrimitive

module.exports = {
  isNative,
  isPlain,
  isUsualDate,
  stringify,
  textOf,
  withPlainCookie,
  withPlainDate,
}
