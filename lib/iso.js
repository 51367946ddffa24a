// Times as Date.prototype.toISOString writes them, written and read. Writing one is a call into libc's
// printf, 400 ns, reading one takes 200, and each `get` of a session that was touched would pay that;
// here the day's part is kept. Knows nothing of sessions.
'use strict'

// That of now: a test may put another in its place, which makes one and the same time of everything.
const RealDate = Date

const DAY_MS = 86_400_000

const digits = (count, width) =>
  Array.from({ length: count }, (_, number) => String(number).padStart(width, '0'))
const TWO = digits(60, 2)
const THREE = digits(1000, 3)

const TAIL = '00:00:00.000Z'.length

let day = Number.NaN
let head = ''
let lastMs = Number.NaN
let lastText = ''

/** `new Date(ms).toISOString()` */
function toIso(ms) {
  // Answers that come together are given the same time.
  if (ms === lastMs) return lastText
  const wanted = Math.floor(ms / DAY_MS)
  if (wanted !== day) {
    head = new RealDate(wanted * DAY_MS).toISOString().slice(0, -TAIL)
    day = wanted
  }
  const rest = ms - day * DAY_MS
  const seconds = Math.floor(rest / 1000)
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  lastMs = ms
  lastText = `${head}${TWO[hours]}:${TWO[minutes % 60]}:${TWO[seconds % 60]}.${THREE[rest % 1000]}Z`
  return lastText
}

const LENGTH = 'YYYY-MM-DDT'.length + TAIL
const ZERO = '0'.charCodeAt(0)

/** Whether a text has the form of those that `toIso` makes of the years 0 to 9999. */
const isIso = (text) =>
  text.length === LENGTH &&
  text[4] === '-' &&
  text[7] === '-' &&
  text[10] === 'T' &&
  text[23] === 'Z'

let readDate = ' '
let readDay = Number.NaN

/** `Date.parse(text)` */
function fromIso(text) {
  const isKnown = text.length === LENGTH && text.startsWith(readDate)
  const ms = isKnown ? readDay + timeOf(text) : Number.NaN
  if (!Number.isNaN(ms)) return ms
  const parsed = RealDate.parse(text)
  if (text.length === LENGTH && !Number.isNaN(parsed) && toIso(parsed) === text) {
    readDate = text.slice(0, -TAIL)
    readDay = Math.floor(parsed / DAY_MS) * DAY_MS
  }
  return parsed
}

/** The time of day in ms of a text whose last characters are like `23:59:59.999Z`; else NaN. */
function timeOf(text) {
  const at = (index) => {
    const digit = text.charCodeAt(index) - ZERO
    return digit >= 0 && digit <= 9 ? digit : Number.NaN
  }
  const hours = at(11) * 10 + at(12)
  const minutes = at(14) * 10 + at(15)
  const seconds = at(17) * 10 + at(18)
  const ms = at(20) * 100 + at(21) * 10 + at(22)
  const isTime =
    text[13] === ':' &&
    text[16] === ':' &&
    text[19] === '.' &&
    text[23] === 'Z' &&
    hours < 24 &&
    minutes < 60 &&
    seconds < 60
  return isTime ? ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms : Number.NaN
}

module.exports = { fromIso, isIso, toIso }
