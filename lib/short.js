// The text of a session as it crosses to the engine: in short where its cookie has an outline, else as
// JSON.stringify writes it. Knows nothing of stores.
'use strict'

const { isPlain, isUsualDate, textOf, withPlainCookie, withPlainDate } = require('./json')
const { mayBeShort, outlineOf } = require('./outlines')

// Whole numbers that have no more digits than the engine reads.
const MOST = 999_999_999_999_999
// Of a time of the years 0 to 9999.
const DATE_LENGTH = 24
const MOST_FORMS = 8

// Types of values that are written in one way.
const SURE = new Set(['string', 'boolean', 'undefined', 'symbol'])

// Stands for what is not the same in all cookies of an outline.
const GAP = Symbol('gap')

// Data of cookies that were written in short: `{ isTimed, names, values, outline }`.
const forms = []
// Cookies that are looked at: see outlines.js.
let looks = 64

// Of the text that was written last: its outline, or -1, and the originalMaxAge that it goes without.
const written = { outline: -1, maxAge: 0 }

// The same of the cookie that was, taken at once: whatever else is written may run code of the app's, which
// may save another session.
let outline = -1
let maxAge = 0

/** The text of a session; leaves in `written` what it goes without. */
function shorten(session) {
  const copy = withPlainCookie(session, mayBeShort() ? inShort : withPlainDate)
  const takenOutline = outline
  const takenMaxAge = maxAge
  outline = -1
  const text = JSON.stringify(copy)
  written.outline = takenOutline
  written.maxAge = takenMaxAge
  return text
}

/** What is written in place of the data of a cookie. */
function inShort(data) {
  if (typeof data !== 'object' || data === null || !isPlain(data)) return data
  // Of what is inherited nothing is written.
  if (Object.getPrototypeOf(data) !== Object.prototype) return withPlainDate(data)
  const { originalMaxAge, expires } = data
  const isTimed = originalMaxAge !== null || expires !== null
  let date = ''
  if (isTimed) {
    if (!isWhole(originalMaxAge) || !isUsualDate(expires)) return withPlainDate(data)
    date = textOf(expires)
    if (date?.length !== DATE_LENGTH) return withPlainDate(data)
  }
  const form = forms.find((form) => isOf(data, isTimed, form)) ?? formOf(data, isTimed)
  if (form === undefined) return withPlainDate(data)
  outline = form.outline
  // -0 is written as 0.
  maxAge = originalMaxAge + 0
  return date
}

/** Whether it can be told apart from the text, and put back. */
const isWhole = (number) => Number.isInteger(number) && number >= 0 && number <= MOST

/** Whether a cookie's data is of a form: what is written of it differs in nothing but the gaps. */
function isOf(data, isTimed, form) {
  if (isTimed !== form.isTimed) return false
  const { names, values } = form
  let index = 0
  for (const name in data) {
    if (name !== names[index]) return false
    const value = values[index++]
    if (value !== data[name] && value !== GAP) return false
  }
  return index === names.length
}

/** The form of a cookie's data, if it has an outline. */
function formOf(data, isTimed) {
  if (looks === 0 || forms.length === MOST_FORMS) return undefined
  looks--
  const names = []
  for (const name in data) names.push(name)
  const values = names.map((name) =>
    isTimed && (name === 'originalMaxAge' || name === 'expires') ? GAP : data[name],
  )
  // Another value may be written as text, and as another one the next time.
  if (!values.every((value) => value === null || SURE.has(typeof value))) return undefined
  const outline = outlineOf(`{"cookie":${JSON.stringify(withPlainDate(data))}}`)
  if (outline < 0) return undefined
  const form = { isTimed, names, values, outline }
  forms.push(form)
  return form
}

module.exports = { shorten, written }
