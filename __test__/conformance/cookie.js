'use strict'
// The cookie of a session, where an app changes more of it than its expiry, and what a store makes
// of cookies and sessions that are out of the ordinary.

const assert = require('node:assert/strict')
const h = require('./harness.js')

const DAY = 86_400_000

// Text that is not JSON: JSON with a mark before it.
const marked = {
  stringify: (session) => `#${JSON.stringify(session)}`,
  parse: (text) => JSON.parse(text.slice(1)),
}

module.exports = (row) => {
  const rule = h.rulesOf(row)

  for (const [what, options] of [
    ['merge: false', { merge: false }],
    ['text that is not JSON', { serializer: marked }],
    ['the defaults', {}],
  ]) {
    rule(`cookie: touch saves it, and undoes no other request's save (${what})`, async (ctx) => {
      const [store, other] = await ctx.pair(options)
      await h.seed(store, 'a', { n: 1 })
      const slow = await h.load(store, 'a')
      const quick = await h.load(other, 'a')
      quick.paid = true
      await other.set('a', quick)
      slow.cookie.maxAge = 30 * DAY
      slow.touch()
      await store.touch('a', slow)

      const got = await store.get('a')
      assert.deepEqual(h.dataOf(got), { n: 1, paid: true })
      assert.ok(Math.abs(got.cookie.originalMaxAge - 30 * DAY) < 1000)
      assert.ok(Date.parse(got.cookie.expires) > Date.now() + 29 * DAY)
    })

    rule(`cookie: touch does not bring back a session that is gone (${what})`, async (ctx) => {
      const [store, other] = await ctx.pair(options)
      await h.seed(store, 'a', { n: 1 })
      const slow = await h.load(store, 'a')
      await other.destroy('a')
      slow.cookie.maxAge = 30 * DAY
      slow.touch()
      await store.touch('a', slow)
      assert.equal(await store.get('a'), undefined)
    })
  }

  rule('cookie: after a touch has saved it, the next save undoes nothing', async (ctx) => {
    const [store, other] = await ctx.pair({ serializer: marked })
    await h.seed(store, 'a', { n: 1 })
    const slow = await h.load(store, 'a')
    const quick = await h.load(other, 'a')
    quick.paid = true
    await other.set('a', quick)
    slow.cookie.maxAge = 30 * DAY
    await store.touch('a', slow)
    // Changed by nobody since its text was read: the other's record stays.
    await store.set('a', slow)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 1, paid: true })
  })

  rule(
    'cookie: "remember me" is kept beside a ttl function, which decides the end',
    async (ctx) => {
      const [store, other] = await ctx.pair({ ttl: () => 60 })
      await h.seed(store, 'a', { n: 1 })
      const slow = await h.load(store, 'a')
      const quick = await h.load(other, 'a')
      quick.cookie.maxAge = 30 * DAY
      await other.set('a', quick)
      slow.n = 2
      slow.touch()
      await store.set('a', slow)
      const got = await store.get('a')
      assert.equal(got.n, 2)
      assert.ok(Math.abs(got.cookie.originalMaxAge - 30 * DAY) < 1000)
    },
  )

  for (const expires of [1e17, Number.POSITIVE_INFINITY, new Date(8.64e15)]) {
    rule(`cookie: an expiry of ${Number(expires)} breaks nothing`, async ({ open }) => {
      const store = await open()
      await store.set('a', { cookie: { expires: new Date(Date.now() + DAY) }, n: 1 })
      await store.touch('a', { cookie: { expires } })
      assert.equal((await store.get('a')).n, 1)
      assert.deepEqual(Object.keys(await store.all()), ['a'])
      await store.set('b', { cookie: { expires }, n: 2 })
      assert.equal((await store.get('b')).n, 2)
    })
  }

  rule('values: a session whose toJSON gives no object is refused', async ({ open }) => {
    const store = await open()
    await store.set('a', h.plain({ n: 1 }))
    for (const json of ['x', 1, null, true]) {
      const saved = store.set('a', { toJSON: () => json })
      await assert.rejects(saved, h.storeError('ERR_STORE_DECODE', 'set'))
    }
    assert.equal((await store.get('a')).n, 1)
  })

  rule('values: a cookie or a sid that throws when it is read is cb(err)', async ({ open }) => {
    const store = await open()
    const cookie = () => {
      throw new Error('no cookie for you')
    }
    const session = Object.defineProperty({}, 'cookie', { get: cookie, enumerable: false })
    for (const method of ['set', 'touch']) {
      await assert.rejects(store[method]('a', session), h.storeError('ERR_STORE_DECODE', method))
    }
    const sid = { toString: cookie }
    for (const method of ['get', 'destroy']) {
      await assert.rejects(store[method](sid), h.storeError('ERR_STORE_DECODE', method))
    }
    await assert.rejects(store.set(sid, {}), h.storeError('ERR_STORE_DECODE', 'set'))
  })

  rule('forms: load and regenerate give promises too', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    assert.equal((await store.load('a')).n, 1)
    assert.equal(await store.load('none'), undefined)
    const req = { sessionID: 'a', sessionStore: store }
    store.generate = (request) => {
      request.sessionID = 'b'
    }
    await store.regenerate(req)
    assert.deepEqual([req.sessionID, await store.get('a')], ['b', undefined])
    req.sessionID = 'c'
    assert.equal(store.regenerate(req, undefined), undefined)
    assert.equal(store.load('none', undefined), undefined)
    await h.quiet(store)
  })
}
