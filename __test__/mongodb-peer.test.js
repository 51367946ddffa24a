'use strict'
// Documents that connect-mongo and RustStore share on a real server, under traffic of both.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { setImmediate: turn, setTimeout: sleep } = require('node:timers/promises')
const { HOUR, describe, fresh, load, place, test } = require('./mongodb/place.js')

const plain = (session) => JSON.parse(JSON.stringify(session))

describe('with connect-mongo on one collection', () => {
  test('each reads what the other writes, in the same documents', async (t) => {
    const { rust, peer, documents } = await place(t)
    const [ours, theirs] = [rust(), peer()]
    const data = { user: 'é\u{1F980}', list: [1, { a: null }], $set: 1, 'a.b': 2 }
    await ours.set('ours', fresh(ours, 'ours', data))
    await theirs.set('theirs', fresh(theirs.store, 'theirs', data))
    for (const sid of ['ours', 'theirs']) {
      assert.deepEqual(plain(await ours.get(sid)), plain(await theirs.get(sid)))
    }
    const shapes = await documents.find().sort({ _id: 1 }).toArray()
    const [one, other] = shapes
    assert.deepEqual(Object.keys(one).sort(), Object.keys(other).sort())
    for (const { session, expires } of shapes) {
      assert.equal(typeof session, 'string')
      assert.ok(expires instanceof Date)
      assert.equal(expires.toISOString(), JSON.parse(session).cookie.expires)
    }
    assert.deepEqual(
      [...Object.keys(JSON.parse(one.session))].sort(),
      [...Object.keys(JSON.parse(other.session))].sort(),
    )
  })

  test('each touches, saves and destroys what the other wrote', async (t) => {
    const { rust, peer, documents } = await place(t)
    for (const [writer, other] of [
      [rust(), peer()],
      [peer(), rust()],
    ]) {
      await writer.set('a', fresh(writer.store ?? writer, 'a', { n: 1 }))
      const before = await documents.findOne({ _id: 'a' })
      const touched = await load(other, 'a')
      // As express-session moves it: by as much as has passed since.
      while (Date.now() <= before.expires.getTime() - HOUR) await turn()
      touched.touch()
      await other.touch('a', touched)
      const moved = await documents.findOne({ _id: 'a' })
      assert.equal(moved.session, before.session, 'a touch leaves the text alone')
      assert.equal(moved.expires.getTime(), touched.cookie.expires.getTime())
      assert.ok(moved.expires > before.expires)

      const saved = await load(other, 'a')
      saved.n = 2
      await other.set('a', saved)
      assert.equal((await writer.get('a')).n, 2)
      await other.destroy('a')
      assert.ok(!(await writer.get('a')))
      assert.equal(await documents.countDocuments(), 0)
    }
  })

  test('what both change at once is kept where RustStore saves last', async (t) => {
    const { rust, peer } = await place(t)
    const [ours, theirs] = [rust(), peer()]
    await theirs.set('a', fresh(theirs.store, 'a', { cart: { apple: 1 } }))
    const mine = await load(ours, 'a')
    const other = await load(theirs, 'a')
    other.cart.pear = 2
    await theirs.set('a', other)
    mine.theme = 'dark'
    await ours.set('a', mine)
    const { cart, theme } = await theirs.get('a')
    assert.deepEqual({ cart, theme }, { cart: { apple: 1, pear: 2 }, theme: 'dark' })
  })

  test('a logout through connect-mongo is not undone by a late save', async (t) => {
    const { rust, peer, documents } = await place(t)
    const [ours, theirs] = [rust(), peer()]
    await ours.set('a', fresh(ours, 'a', { user: 1 }))
    const late = await load(ours, 'a')
    await theirs.destroy('a')
    late.n = 1
    const gone = once(ours, 'gone')
    await ours.set('a', late)
    assert.deepEqual(await gone, ['a'])
    assert.equal(await documents.countDocuments(), 0)
  })

  test('traffic of both, at once: every request counts, every session lives', async (t) => {
    const { rust, peer, documents } = await place(t)
    const stores = [rust(), peer(), rust(), peer()]
    const SESSIONS = 24
    const REQUESTS = 8
    const visitor = async (n) => {
      const sid = `visitor-${n}`
      const first = stores[n % stores.length]
      await first.set(sid, fresh(first.store ?? first, sid, { visits: 0, seen: {} }))
      for (let request = 1; request <= REQUESTS; request++) {
        const store = stores[(n + request) % stores.length]
        const session = await load(store, sid)
        if (request % 3 === 0) {
          session.touch()
          await store.touch(sid, session)
        } else {
          session.visits++
          session.seen[request] = (n + request) % stores.length
          await store.set(sid, session)
        }
      }
      if (n % 6 === 0) await stores[(n + 1) % stores.length].destroy(sid)
    }
    await Promise.all(Array.from({ length: SESSIONS }, (_, n) => visitor(n)))
    const writes = Array.from({ length: REQUESTS }, (_, i) => i + 1).filter((r) => r % 3 !== 0)
    for (let n = 0; n < SESSIONS; n++) {
      const sessions = await Promise.all(stores.map((store) => store.get(`visitor-${n}`)))
      for (const session of sessions) {
        if (n % 6 === 0) {
          assert.ok(!session, 'destroyed for all')
          continue
        }
        assert.equal(session.visits, writes.length)
        assert.deepEqual(Object.keys(session.seen).map(Number), writes)
      }
    }
    assert.equal(await documents.countDocuments(), SESSIONS - SESSIONS / 6)
    assert.equal(await stores[0].length(), SESSIONS - SESSIONS / 6)
  })

  test('stringify: false is read, and its first save turns it into text', async (t) => {
    const { rust, peer, documents } = await place(t)
    const [ours, theirs] = [rust(), peer({ stringify: false })]
    await theirs.set('a', fresh(theirs.store, 'a', { n: 1, when: new Date(0), list: [{ x: 0.5 }] }))
    const { session, expires } = await documents.findOne({ _id: 'a' })
    assert.equal(typeof session, 'object')
    const read = await load(ours, 'a')
    assert.deepEqual([read.n, read.when, read.list], [1, '1970-01-01T00:00:00.000Z', [{ x: 0.5 }]])
    assert.equal(new Date(read.cookie.expires).getTime(), expires.getTime())
    // A touch leaves it as it is.
    read.touch()
    await ours.touch('a', read)
    assert.equal(typeof (await documents.findOne({ _id: 'a' })).session, 'object')

    const save = await load(ours, 'a')
    const other = await load(ours, 'a')
    save.n = 2
    await ours.set('a', save)
    const text = (await documents.findOne({ _id: 'a' })).session
    assert.equal(JSON.parse(text).n, 2)
    // One that was read as a document before is merged.
    other.m = 3
    await ours.set('a', other)
    const { n, m } = await ours.get('a')
    assert.deepEqual([n, m], [2, 3])
    assert.equal((await ours.stats()).errors.ERR_STORE_DECODE, undefined)
  })

  test('what others keep in a document stays', async (t) => {
    const { rust, peer, documents } = await place(t)
    const [ours, theirs] = [rust(), peer({ touchAfter: 1, timestamps: true })]
    await theirs.set('a', fresh(theirs.store, 'a', { n: 1 }))
    await documents.updateOne({ _id: 'a' }, { $set: { note: { by: 'ops' } } })
    const strip = ({ session, expires, ...rest }) => rest
    const before = await documents.findOne({ _id: 'a' })
    assert.ok(before.lastModified && before.createdAt && before.updatedAt)
    const session = await load(ours, 'a')
    session.touch()
    await ours.touch('a', session)
    session.n = 2
    await ours.set('a', session)
    await ours.set('a', { cookie: { expires: new Date(Date.now() + HOUR) }, n: 3 })
    const after = await documents.findOne({ _id: 'a' })
    assert.deepEqual(strip(after), strip(before))
    assert.equal(JSON.parse(after.session).n, 3)
  })

  test('one index for both, whoever comes first', async (t) => {
    const warnings = []
    const hear = (warning) => warnings.push(warning)
    process.on('warning', hear)
    t.after(() => process.off('warning', hear))
    for (const order of [
      ['rust', 'peer', 'rust'],
      ['peer', 'rust'],
    ]) {
      const here = await place(t)
      for (const kind of order) {
        const store = here[kind]()
        await store.set('a', fresh(store.store ?? store, 'a', {}))
        await indexed(here.documents)
      }
      const indexes = await here.documents.indexes()
      assert.deepEqual(
        indexes.map(({ name, key, expireAfterSeconds }) => [name, key, expireAfterSeconds]),
        [
          ['_id_', { _id: 1 }, undefined],
          ['expires_1', { expires: 1 }, 0],
        ],
      )
    }
    assert.deepEqual(warnings, [])
  })
})

/** Waits for the index, which is made in the background. */
async function indexed(documents) {
  const end = Date.now() + 30_000
  while (!(await documents.indexes()).some(({ name }) => name === 'expires_1')) {
    assert.ok(Date.now() < end, 'an index is made')
    await sleep(20)
  }
}
