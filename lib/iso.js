// Times as Date.prototype.toISOString writes them. That is a call into libc's printf, 400 ns, and each
// `get` of a session that was touched would pay it; here the day's part is kept. Knows nothing of
// sessions.
'use strict'

const DAY_MS = 86_400_000

const digits = (count, width) =>
  Array.from({ length: count }, (_, number) => String(number).padStart(width, '0'))
const TWO = digits(60, 2)
const THREE = digits(1000, 3)

let day = Number.NaN
let head = ''

/** `new Date(ms).toISOString()` */
function toIso(ms) {
  const wanted = Math.floor(ms / DAY_MS)
  if (wanted !== day) {
    head = new Date(wanted * DAY_MS).toISOString().slice(0, -'00:00:00.000Z'.length)
    day = wanted
  }
  const rest = ms - day * DAY_MS
  const seconds = Math.floor(rest / 1000)
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  return `${head}${TWO[hours]}:${TWO[minutes % 60]}:${TWO[seconds % 60]}.${THREE[rest % 1000]}Z`
}

module.exports = { toIso }
