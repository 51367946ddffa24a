'use strict'
// Places on a real server for the tests of what is MongoDB's own: a collection for each test, with stores of
// both kinds on it. Knows nothing of what is tried there.

const assert = require('node:assert/strict')
const { MongoStore } = require('connect-mongo')
const { Cookie, Session } = require('express-session')
const { MongoClient } = require('mongodb')
const { RustStore } = require('../..')
const servers = require('../servers/mongodb.js')

const { after, before, describe, test } = servers.testing()

// Test files run side by side, and each drops its own.
const DATABASE = `rust-session-store-${process.pid}`
const HOUR = 3_600_000

let base
let client
let collections = 0

before(async () => {
  base = await servers.sharedUrl()
  client = await MongoClient.connect(base)
})

after(async () => {
  await client?.close()
  await servers.dropDatabase(DATABASE)
  await servers.stopShared()
})

const freshName = () => `own-${++collections}`

/** A place of its own: stores of both kinds on it, and its documents. */
async function place(t) {
  const collection = freshName()
  await client.db(DATABASE).createCollection(collection)
  const stores = []
  t.after(() => Promise.all(stores.map((store) => store.close())))
  const keep = (store) => {
    stores.push(store)
    return store
  }
  return {
    documents: client.db(DATABASE).collection(collection),
    elsewhere: servers.urlOf(base, 'elsewhere'),
    rust: (options) =>
      keep(new RustStore({ url: servers.urlOf(base, DATABASE, { collection }), ...options })),
    peer: (options) =>
      keep(
        promised(
          MongoStore.create({
            mongoUrl: base,
            dbName: DATABASE,
            collectionName: collection,
            ...options,
          }),
        ),
      ),
  }
}

/** connect-mongo's methods as promises, beside its own close. */
function promised(store) {
  const call =
    (name) =>
    (...args) =>
      new Promise((resolve, reject) => {
        store[name](...args, (error, result) => (error ? reject(error) : resolve(result)))
      })
  return {
    store,
    get: call('get'),
    set: call('set'),
    touch: call('touch'),
    destroy: call('destroy'),
    createSession: (...args) => store.createSession(...args),
    close: () => store.close(),
  }
}

/** A session as express-session makes it. */
function fresh(store, sid, data, maxAge = HOUR) {
  const session = new Session({ sessionID: sid, sessionStore: store })
  session.cookie = new Cookie({ maxAge })
  return Object.assign(session, data)
}

/** What express-session does before a request. */
async function load(store, sid) {
  const found = await store.get(sid)
  assert.ok(found, `${sid} is there`)
  return store.createSession({ sessionID: sid, sessionStore: store.store ?? store }, found)
}

module.exports = { HOUR, describe, fresh, load, place, test }
