// Sessions on a clock that the test moves.
'use strict'

const assert = require('node:assert/strict')
const { fakeClock, signedIn, HOUR } = require('./app')

const HOURLY = { cookie: { maxAge: HOUR } }

/** An app with a clock, and a browser whose session holds `data` since now. */
async function signedInNow(t, data, session, storeOptions) {
  const clock = fakeClock(t)
  const flow = await signedIn(t, data, { session, storeOptions })
  // A client that sends its cookie past its time too: what counts is the store.
  flow.tab.forgets = false
  return { ...flow, clock }
}

/** Asserts that the session is there for exactly `ms` more. */
async function assertLives({ app, clock, sid }, ms) {
  clock.forward(ms - 1)
  assert.notEqual(await app.stored(sid), undefined, 'it is over too early')
  clock.forward(1)
  assert.equal(await app.stored(sid), undefined, 'it lives too long')
}

module.exports = { HOURLY, assertLives, signedInNow }
