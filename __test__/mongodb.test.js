'use strict'
// What is MongoDB's own, with a real server: indexes and documents as others left them, its limits, and its
// URLs. What connect-mongo does beside it is in mongodb-peer.test.js; a server in trouble, in
// mongodb-faults.test.js.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { RustStore } = require('..')
const { HOUR, fresh, load, place, test } = require('./mongodb/place.js')

test('an index that stands in the way is told in one warning, and all works', async (t) => {
  const { rust, documents } = await place(t)
  await documents.createIndex({ expires: 1 }, { name: 'expires_1', expireAfterSeconds: 99 })
  const warned = once(process, 'warning')
  const store = rust()
  await store.set('a', fresh(store, 'a', { n: 1 }))
  const [warning] = await warned
  assert.equal(warning.name, 'RustStoreWarning')
  assert.match(warning.message, /createIndex\(\{ expires: 1 \}, \{ expireAfterSeconds: 0 \}\)/)
  assert.equal((await store.get('a')).n, 1)
})

test('a document without expires never ends, and saves and touches keep it so', async (t) => {
  const { rust, documents } = await place(t)
  const store = rust()
  const session = JSON.stringify({ cookie: { originalMaxAge: null, path: '/' }, n: 1 })
  await documents.insertOne({ _id: 'a', session })
  const held = await load(store, 'a')
  held.n = 2
  await store.touch('a', held)
  await store.set('a', held)
  const document = await documents.findOne({ _id: 'a' })
  assert.equal('expires' in document, false)
  assert.equal(JSON.parse(document.session).n, 2)
  assert.deepEqual(await store.ids(), ['a'])
})

test('a document without expires is there, whatever its cookie says', async (t) => {
  const { rust, documents } = await place(t)
  const store = rust()
  const expires = new Date(Date.now() - 1000)
  const session = JSON.stringify({ cookie: { originalMaxAge: 1000, expires }, n: 1 })
  await documents.insertOne({ _id: 'a', session })
  const held = await store.get('a')
  assert.ok(new Date(held.cookie.expires) > Date.now(), 'a session that is there is not over')
  held.n = 2
  await store.set('a', held)
  const document = await documents.findOne({ _id: 'a' })
  assert.equal('expires' in document, false)
  assert.equal(JSON.parse(document.session).n, 2)
})

test('a document that is no session is missing, told as corrupt, and passed over', async (t) => {
  const { rust, documents } = await place(t)
  const store = rust()
  const expires = new Date(Date.now() + HOUR)
  await documents.insertMany([
    { _id: 'number', session: 5, expires },
    { _id: 'nothing', expires },
    { _id: 'text', session: '{oops', expires },
  ])
  await store.set('good', fresh(store, 'good', { n: 1 }))
  const corrupt = []
  store.on('corrupt', (sid) => corrupt.push(sid))
  for (const sid of ['number', 'nothing', 'text']) {
    assert.equal(await store.get(sid), undefined)
  }
  assert.deepEqual(Object.keys(await store.all()), ['good'])
  assert.deepEqual(
    corrupt.sort(),
    ['number', 'number', 'nothing', 'nothing', 'text', 'text'].sort(),
  )
})

test('beyond 16 MiB a save is refused, and the old record kept', async (t) => {
  const { rust, documents } = await place(t)
  const store = rust({ maxSessionBytes: 64 << 20, commandTimeout: 30_000 })
  await store.set('a', fresh(store, 'a', { n: 1 }))
  const refused = async (session) => {
    await assert.rejects(store.set('a', session), (error) => {
      assert.equal(error.code, 'ERR_STORE_TOO_LARGE')
      assert.equal(error.retryable, false)
      return true
    })
    assert.equal((await store.get('a')).n, 1)
  }
  const held = await load(store, 'a')
  held.text = 'x'.repeat(16 << 20)
  await refused(held)
  // What others keep beside it counts too, which only the server knows.
  await documents.updateOne({ _id: 'a' }, { $set: { other: 'y'.repeat(4 << 20) } })
  held.text = 'x'.repeat(13 << 20)
  await refused(held)
  await refused({ cookie: {}, text: held.text })
  held.text = 'x'.repeat(1 << 20)
  await store.set('a', held)
  assert.equal((await store.get('a')).text.length, 1 << 20)
})

test('the URL and the options name the place', async (t) => {
  const { documents, elsewhere } = await place(t)
  const options = {
    url: elsewhere,
    database: documents.dbName,
    collection: documents.collectionName,
  }
  const store = new RustStore({ ...options, prefix: 'app:' })
  t.after(() => store.close())
  await store.set('a', fresh(store, 'a', {}))
  const document = await documents.findOne({ _id: 'app:a' })
  assert.ok(document)
  assert.equal((await store.stats()).backend, 'mongodb')
})

test('what is wrong with a URL is said at once, without its secrets', () => {
  for (const url of [
    'mongodb://user:hunter2@h/?replicaSett=a',
    'mongodb://user:hunter2/x@h',
    'mongodb://user:hunter2@h:port',
    'mongodb://h/?tlsCertificateKeyFilePassword=hunter2&tls=hunter2',
    'mongodb:',
  ]) {
    assert.throws(
      () => new RustStore(url),
      (error) => {
        assert.equal(error.code, 'ERR_STORE_CONFIG')
        assert.ok(!`${error.message} ${error.stack} ${error.cause}`.includes('hunter2'), url)
        return true
      },
    )
  }
})
