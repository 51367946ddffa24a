// Texts of sessions that cross to and from the engine in short, their cookie being written as others were:
// src/binding/outline.rs says how. Here is known what an outline stands for. Knows nothing of sessions.
'use strict'

const native = require('./native')
const { attributesOf } = require('./expiry')
const { isNative } = require('./json')
const { numberOf } = require('./numbers')

// A cookie as express-session writes it, its first key: with a time, or without one.
const ATTRIBUTE = ',"[A-Za-z]+":(?:true|false|null|"[ !#-\\[\\]-~]*")'
const TIME = '"[-\\d:.TZ]{24}'
const TIMED = new RegExp(
  `^(\\{"cookie":\\{"originalMaxAge":)\\d+((?:${ATTRIBUTE})*?,"expires":)${TIME}("(?:${ATTRIBUTE})*\\})`,
)
const TIMELESS = new RegExp(
  `^(\\{"cookie":\\{"originalMaxAge":null(?:${ATTRIBUTE})*?,"expires":null(?:${ATTRIBUTE})*\\})`,
)

const { parse, stringify } = JSON
const areNative = isNative(JSON, 'parse') && isNative(JSON, 'stringify')

/** Whether texts may be in short: an app may have given JSON other ways to read and to write. */
const mayBeShort = () => areNative && JSON.parse === parse && JSON.stringify === stringify

/** The outline of a text that has one, -1 where there is none; the engine knows it from then on. */
function outlineOf(text) {
  const [found, before = '', between = '', after = ''] =
    TIMED.exec(text) ?? TIMELESS.exec(text) ?? []
  // Not one that has a key twice.
  if (found === undefined || stringify(parse(`${found}}`)) !== `${found}}`) return -1
  return native.outline(before, between && `${between}"`, after)
}

// Texts that are looked at: what an app's sessions have in common is soon seen.
let looks = 64

/** Looks whether a text that came whole begins as others may. */
function learn(text) {
  if (looks === 0) return
  looks--
  outlineOf(text)
}

// By the numbers of their outlines: a cookie of each, and its attributes.
const likes = []

/** Puts its cookie into a session that was read without. Returns the attributes of that. */
function complete(session, outline, maxAge) {
  const expires = session.cookie
  likes[outline] ??= likeOf(parse(native.lengthen(`{"cookie":"${expires}"}`, outline, maxAge)))
  const { like, attributes } = likes[outline]
  const cookie = { ...like }
  if (expires !== '') {
    cookie.originalMaxAge = numberOf(maxAge)
    cookie.expires = expires
  }
  session.cookie = cookie
  return attributes
}

const likeOf = ({ cookie }) => ({ like: cookie, attributes: attributesOf(cookie) })

/** The text of a base, as the backend has it. */
const wholeOf = ({ text, outline, maxAge }) =>
  outline < 0 ? text : native.lengthen(text, outline, maxAge)

module.exports = { complete, learn, mayBeShort, outlineOf, wholeOf }
