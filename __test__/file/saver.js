'use strict'
// Child process: saves numbered values as fast as it can, and tells each that was acknowledged. Meant
// to be killed at any moment.

const fs = require('node:fs')
const { RustStore } = require('../..')

const [, , url, name, first] = process.argv
const SESSIONS = 5

/** A session that shows whether all of it is there. */
function numbered(n) {
  return { cookie: { originalMaxAge: 3_600_000 }, n, text: `${n},`.repeat(50 + (n % 200)), end: n }
}

async function save(store, sid, from) {
  for (let n = from; ; n++) {
    await store.set(sid, numbered(n))
    // A pipe keeps what was written to it, whatever becomes of the writer.
    fs.writeSync(1, `${sid} ${n}\n`)
    await store.get(sid)
  }
}

const store = new RustStore({ url, commandTimeout: 60_000 })
for (let i = 0; i < SESSIONS; i++) save(store, `${name}-${i}`, Number(first))
