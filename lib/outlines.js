// Texts of sessions that cross to and from the engine in short, their cookie being written as others were:
// src/binding/outline.rs says how. Here is known what an outline stands for. Knows nothing of bases.
'use strict'

const native = require('./native')

// A cookie as express-session writes it, its first key: with a time, or without one.
const ATTRIBUTE = ',"[A-Za-z]+":(?:true|false|null|"[ !#-\\[\\]-~]*")'
const TIME = '"[-\\d:.TZ]{24}'
const TIMED = new RegExp(
  `^(\\{"cookie":\\{"originalMaxAge":)\\d+((?:${ATTRIBUTE})*?,"expires":)${TIME}("(?:${ATTRIBUTE})*\\})`,
)
const TIMELESS = new RegExp(
  `^(\\{"cookie":\\{"originalMaxAge":null(?:${ATTRIBUTE})*?,"expires":null(?:${ATTRIBUTE})*\\})`,
)

// Cookies that are looked at in vain before no more are.
let tries = 64

// By the numbers of their outlines: what the data of cookies of that outline have in common.
const cookies = []

/** The outline of a text that has one, learned if need be; -1 where there is none. */
function learn(text) {
  if (tries === 0) return -1
  const [found, before = '', between = '', after = ''] =
    TIMED.exec(text) ?? TIMELESS.exec(text) ?? []
  // Not one that has a key twice.
  const isPlain = found !== undefined && JSON.stringify(JSON.parse(`${found}}`)) === `${found}}`
  const outline = isPlain ? native.outline(before, between && `${between}"`, after) : -1
  if (outline < 0) tries--
  return outline
}

/** Puts its cookie into a session that was read without. */
function complete(session, outline, maxAge) {
  const expires = session.cookie
  cookies[outline] ??= JSON.parse(
    native.lengthen(`{"cookie":"${expires}"}`, outline, maxAge),
  ).cookie
  const cookie = { ...cookies[outline] }
  if (expires !== '') {
    cookie.originalMaxAge = maxAge
    cookie.expires = expires
  }
  session.cookie = cookie
}

module.exports = { complete, learn }
