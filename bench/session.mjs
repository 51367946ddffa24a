// The sessions that are measured: 444 bytes of JSON each, under sids of 32 characters.
// Everything is made from an index, so no list of a million sids has to be kept beside the store
// whose memory is measured. Must not know any store.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const { Session, Cookie } = require('express-session')

export const SESSION_BYTES = 444
export const SID_LENGTH = 32
export const MAX_AGE = 86_400_000

const COOKIE = { maxAge: MAX_AGE, secure: true, sameSite: 'lax' }
const scratch = new Uint32Array(6)
const scratchBytes = Buffer.from(scratch.buffer)

function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** The sid of session `index`: 24 bytes in base64url, as express-session's own. */
export function sidText(index) {
  for (let i = 0; i < 6; i++) scratch[i] = mix(index * 6 + i + 1)
  return scratchBytes.toString('base64url')
}

const signature = 'A'.repeat(43)

/**
 * The same sid as a request brings it: cut out of a signed cookie value, so never seen before by
 * the engine and not yet hashed. A string that was used as a key once would flatter plain objects.
 */
export function sidOf(index) {
  const cookie = Buffer.from(`s:${sidText(index)}.${signature}`, 'latin1').latin1Slice()
  return cookie.slice(2).slice(0, SID_LENGTH)
}

let size = SESSION_BYTES
let filling = ''

/** Has sessions made of about `bytes` from now on; of no fewer than a cookie has. */
export function resize(bytes) {
  size = bytes
  filling = 'x'.repeat(Math.max(0, bytes - SESSION_BYTES))
}

function fields(index) {
  if (size < SESSION_BYTES) return {}
  return filling ? { ...usual(index), filling } : usual(index)
}

function usual(index) {
  return {
    passport: { user: `user-${String(index % 1e8).padStart(8, '0')}` },
    cart: {
      'sku-10442': { name: 'Coffee grinder', quantity: 1, price: 7490 },
      'sku-20817': { name: 'Paper filters', quantity: 3, price: 349 },
    },
    preferences: { language: 'en-GB', theme: 'dark', zone: 'Europe/Lisbon', pageSize: 50 },
    views: 100_000,
    csrf: 'p2cQ4Yw7Jk1sVb9fXr3tZa6uHd0e',
  }
}

/** A session as express-session generates it and an app fills it; it was never in a store. */
export function newSession(index, sid, maxAge = MAX_AGE) {
  const session = new Session({ sessionID: sid })
  session.cookie = new Cookie(maxAge === MAX_AGE ? COOKIE : { ...COOKIE, maxAge })
  return Object.assign(session, fields(index))
}

/** What a request does to a session that it changes: one key, the size stays. */
export function change(session) {
  session.views = 100_000 + ((session.views + 1) % 900_000)
}

export function sessionText(index) {
  return JSON.stringify(newSession(index, sidText(index)))
}

const sample = sessionText(1)
if (sample.length !== SESSION_BYTES || sidOf(1).length !== SID_LENGTH) {
  throw new Error(`the sample session has ${sample.length} bytes, not ${SESSION_BYTES}`)
}
