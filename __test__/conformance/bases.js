'use strict'
// Whose base a session object carries: the sid's and the store's it was read from, and nobody
// else's. A copy carries none.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const h = require('./harness.js')

module.exports = (row) => {
  const rule = h.rulesOf(row)

  /** Asserts that saving `session` in `store` is a save with a base: it merges and is refused. */
  async function hasBase(store, sid, session) {
    const { refused } = await store.stats()
    const quick = await store.get(sid)
    quick.theirs = true
    await store.set(sid, quick)
    session.mine = true
    await store.set(sid, session)
    const got = await store.get(sid)
    assert.deepEqual([got.theirs, got.mine], [true, true], 'merged')
    await store.destroy(sid)
    await store.set(sid, session)
    assert.equal(await store.get(sid), undefined, 'refused')
    assert.equal((await store.stats()).refused, refused + 1)
  }

  /** Asserts that saving `session` is the last write: nothing is merged, nothing refused. */
  async function hasNone(store, sid, session) {
    const quick = await store.get(sid)
    quick.theirs = true
    await store.set(sid, quick)
    session.mine = true
    await store.set(sid, session)
    const got = await store.get(sid)
    assert.deepEqual([got.theirs, got.mine], [undefined, true], 'the last write won')
    assert.equal((await store.stats()).merges, 0)
  }

  const READERS = {
    'get, as express-session makes it a Session': (store) => h.load(store, 'a'),
    'get, as it is': (store) => store.get('a'),
    'get with a callback': (store) =>
      new Promise((resolve) => store.get('a', (_error, session) => resolve(session))),
    load: (store) => new Promise((resolve) => store.load('a', (_error, got) => resolve(got))),
    all: async (store) => (await store.all()).a,
    'all as array': async (store) => {
      const [session] = await store.all({ as: 'array' })
      delete session.id
      return session
    },
    entries: async (store) => {
      for await (const [sid, session] of store.entries()) if (sid === 'a') return session
    },
    'entries, as a Session': async (store) => {
      for await (const [sessionID, session] of store.entries()) {
        return store.createSession({ sessionID, sessionStore: store }, session)
      }
    },
  }
  for (const [how, read] of Object.entries(READERS)) {
    rule(`base: carried by what came from ${how}`, async ({ open }) => {
      const store = await open()
      await h.seed(store, 'a', { n: 1 })
      await hasBase(store, 'a', await read(store))
    })
  }

  rule('base: renewed by each save, so that nothing is merged with itself', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const session = await h.load(store, 'a')
    for (let n = 2; n < 5; n++) {
      session.n = n
      await store.set('a', session)
    }
    assert.equal((await store.get('a')).n, 4)
    assert.equal((await store.stats()).merges, 0)
  })

  rule('base: of what was read, also once the Session made of it was saved', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const read = await store.get('a')
    const session = store.createSession({ sessionID: 'a', sessionStore: store }, read)
    session.cart = 'full'
    await store.set('a', session)
    read.n = 2
    await store.set('a', read)
    const got = await store.get('a')
    assert.deepEqual([got.n, got.cart], [2, 'full'], 'it knows nothing of the cart, and keeps it')
  })

  rule('base: carried by a session made and saved, as for a new visitor', async ({ open }) => {
    const store = await open()
    const session = h.visitor(store, 'a', { n: 1 })
    await store.set('a', session)
    await hasBase(store, 'a', session)
  })

  rule('base: carried when createSession is wrapped', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const first = store.createSession
    store.createSession = function createSession(req, sess) {
      const made = first.call(this, req, sess)
      made.wrapped = true
      return made
    }
    await hasBase(store, 'a', await h.load(store, 'a'))
  })

  rule('base: reload starts from what it read', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const session = await h.load(store, 'a')
    const quick = await h.load(store, 'a')
    quick.n = 2
    await store.set('a', quick)
    await new Promise((resolve, reject) =>
      session.reload((error) => (error ? reject(error) : resolve())),
    )
    const reloaded = session.req.session
    assert.equal(reloaded.n, 2)
    const conflicts = h.listen(store, 'conflict')
    reloaded.n = 3
    await store.set('a', reloaded)
    assert.equal((await store.get('a')).n, 3)
    await h.quiet(store)
    assert.deepEqual(conflicts, [])
  })

  const COPIES = {
    'a spread': (session) => ({ ...session }),
    'Object.assign': (session) => Object.assign({}, session),
    structuredClone: (session) => structuredClone(session),
    'JSON and back': (session) => JSON.parse(JSON.stringify(session)),
    'Object.create and assign': (session) =>
      Object.assign(Object.create(Object.getPrototypeOf(session)), session),
  }
  for (const [how, copy] of Object.entries(COPIES)) {
    rule(
      `base: a copy by ${how} has none; the last write wins, also over a logout`,
      async (ctx) => {
        const store = await ctx.open()
        await h.seed(store, 'a', { n: 1 })
        await hasNone(store, 'a', copy(await store.get('a')))
        const again = copy(await store.get('a'))
        await store.destroy('a')
        await store.set('a', again)
        assert.equal((await store.get('a')).n, 1)
      },
    )
  }

  rule('base: createSession of a copy has none', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const copy = { ...(await store.get('a')) }
    await hasNone(store, 'a', store.createSession({ sessionID: 'a', sessionStore: store }, copy))
  })

  rule('base: under another sid it is a new session', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const gone = h.listen(store, 'gone')
    const session = await store.get('a')
    await store.set('b', session)
    assert.equal((await store.get('b')).n, 1, 'written, although there is no such record')
    const held = await store.get('a')
    await h.seed(store, 'c', { theirs: true })
    held.n = 2
    await store.set('c', held)
    assert.deepEqual(h.dataOf(await store.get('c')), { n: 2 }, 'written over, not merged')
    await h.quiet(store)
    assert.deepEqual(gone, [])
  })

  rule('base: a session moved to another sid is bound there from then on', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const session = await store.get('a')
    await store.set('b', session)
    await store.destroy('b')
    const heard = once(store, 'gone')
    await store.set('b', session)
    assert.deepEqual(await heard, ['b'])
    assert.equal(await store.get('b'), undefined)
  })

  rule('base: in a store on another place it is a new session', async ({ open }) => {
    const store = await open()
    const elsewhere = await open()
    await h.seed(store, 'a', { n: 1 })
    const gone = h.listen(elsewhere, 'gone')
    const session = await store.get('a')
    await elsewhere.set('a', session)
    assert.equal((await elsewhere.get('a')).n, 1)
    const held = await store.get('a')
    await h.seed(elsewhere, 'a', { theirs: true })
    await elsewhere.set('a', held)
    assert.deepEqual(h.dataOf(await elsewhere.get('a')), { n: 1 })
    await h.quiet(elsewhere)
    assert.deepEqual(gone, [])
  })

  rule('base: stays where the object is saved elsewhere as well', async ({ open }) => {
    const stores = [await open(), await open(), await open()]
    const [store, ...elsewhere] = stores
    await h.seed(store, 'a', { n: 1 })
    const mine = await h.load(store, 'a')
    const theirs = await h.load(store, 'a')
    theirs.theirs = true
    await store.set('a', theirs)
    for (const saves of [1, 2]) {
      mine.saves = saves
      for (const other of elsewhere) await other.set('a', mine)
      await store.set('b', mine)
      await store.set('a', mine)
      assert.deepEqual(h.dataOf(await store.get('a')), { n: 1, theirs: true, saves })
      for (const other of elsewhere) {
        assert.deepEqual(h.dataOf(await other.get('a')), { n: 1, saves })
      }
    }
    // In none of them is it brought back.
    for (const one of stores) {
      await one.destroy('a')
      await one.set('a', mine)
      assert.equal(await one.get('a'), undefined)
    }
    assert.ok(await store.get('b'))
  })

  rule('base: under another prefix it is a new session', { shared: true }, async (ctx) => {
    const store = await ctx.open({ prefix: 'one:' })
    const elsewhere = await ctx.again(store, { prefix: 'two:' })
    await h.seed(store, 'a', { n: 1 })
    const session = await store.get('a')
    await elsewhere.set('a', session)
    assert.equal((await elsewhere.get('a')).n, 1)
  })

  rule('base: holds in another store object on the same place', { shared: true }, async (ctx) => {
    const store = await ctx.open()
    const other = await ctx.again(store)
    await h.seed(store, 'a', { n: 1 })
    const session = await h.load(store, 'a')
    await hasBase(other, 'a', session)
  })

  rule('base: says nothing to the app, and leaves the object as it is', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const got = await store.get('a')
    assert.deepEqual(Reflect.ownKeys(got), ['n', 'cookie'].sort().reverse().sort(byStored(got)))
    assert.ok(Object.isExtensible(got))
    const session = await h.load(store, 'a')
    const keys = Reflect.ownKeys(session).filter((key) => !['req', 'id'].includes(key))
    assert.deepEqual(keys.sort(), ['cookie', 'n'])
  })

  rule('base: a frozen or sealed session is saved all the same', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const got = await store.get('a')
    got.n = 2
    await store.set('a', Object.freeze(got))
    assert.equal((await store.get('a')).n, 2)
    await store.set('b', Object.freeze(h.plain({ n: 3 })))
    await store.set('c', Object.seal(h.plain({ n: 4 })))
    assert.equal((await store.get('b')).n, 3)
    assert.equal((await store.get('c')).n, 4)
  })

  rule('base: a Proxy around a session is saved all the same', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const watched = new Proxy(await h.load(store, 'a'), {})
    watched.n = 2
    await store.set('a', watched)
    assert.equal((await store.get('a')).n, 2)
  })
}

// The order of keys is the stored one; only the set of keys is asked for here.
const byStored = (got) => {
  const order = Object.keys(got)
  return (a, b) => order.indexOf(a) - order.indexOf(b)
}
