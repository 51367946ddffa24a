'use strict'
// The contract's table, the rows about single calls: missing, snapshot, unserialisable, corrupt,
// size, no cookie, prototype, and what express-session expects of a store object.

const assert = require('node:assert/strict')
const { EventEmitter, once } = require('node:events')
const session = require('express-session')
const { RustStore } = require('../..')
const h = require('./harness.js')

const METHODS = ['get', 'set', 'touch', 'destroy', 'all', 'length', 'clear', 'ids', 'entries']
const MORE = ['close', 'ping', 'stats', 'createSession', 'regenerate', 'load']

const cycle = () => {
  const data = h.plain()
  data.self = data
  return data
}
const reason = new Error('toJSON says no')
const UNSERIALISABLE = {
  'a cycle': cycle,
  'a BigInt': () => h.plain({ big: 10n }),
  'a throwing toJSON': () =>
    h.plain({
      toJSON() {
        throw reason
      },
    }),
  'a throwing getter': () => ({
    get bad() {
      throw reason
    },
  }),
  'nothing at all': () => undefined,
}

module.exports = (row) => {
  const rule = h.rulesOf(row)

  rule('missing: get answers cb(null) with no session', async ({ open }) => {
    const store = await open()
    const args = await new Promise((resolve) => store.get('none', (...all) => resolve(all)))
    assert.equal(args[0], null)
    assert.equal(args[1], undefined)
    assert.equal(await store.get('none'), undefined)
  })

  rule('missing: touch and destroy succeed and make nothing', async ({ open }) => {
    const store = await open()
    await store.touch('none', h.plain())
    await store.destroy('none')
    assert.equal(await store.get('none'), undefined)
    assert.equal(await store.length(), 0)
  })

  rule('destroy: the session is gone from every view', async ({ open }) => {
    const store = await open()
    await store.set('a', h.plain())
    await store.set('b', h.plain())
    await store.destroy('a')
    assert.equal(await store.get('a'), undefined)
    assert.equal(await store.length(), 1)
    assert.deepEqual(await store.ids(), ['b'])
    assert.deepEqual(Object.keys(await store.all()), ['b'])
  })

  rule('snapshot: a change after set has returned is not stored', async ({ open }) => {
    const store = await open()
    const data = h.plain({ list: [1], deep: { n: 1 } })
    const done = store.set('a', data)
    data.deep.n = 2
    data.list.push(2)
    data.late = true
    await done
    const got = await store.get('a')
    assert.deepEqual(h.dataOf(got), { list: [1], deep: { n: 1 } })
  })

  rule('snapshot: the session is serialised once, before set returns', async ({ open }) => {
    const store = await open()
    let calls = 0
    const watched = h.plain({
      inner: {
        toJSON() {
          calls++
          return 'x'
        },
      },
    })
    const done = store.set('a', watched)
    assert.equal(calls, 1)
    await done
    await store.get('a')
    assert.equal(calls, 1)
  })

  rule('snapshot: every get makes a fresh object', async ({ open }) => {
    const store = await open()
    await store.set('a', h.plain({ deep: { n: 1 } }))
    const first = await store.get('a')
    const second = await store.get('a')
    assert.notEqual(first, second)
    first.deep.n = 2
    first.cookie.path = '/other'
    assert.deepEqual(second.deep, { n: 1 })
    const third = await store.get('a')
    assert.deepEqual(third.deep, { n: 1 })
    assert.equal(third.cookie.path, '/')
  })

  for (const [what, make] of Object.entries(UNSERIALISABLE)) {
    rule(`unserialisable: ${what} is cb(err), never a throw, and keeps the record`, async (ctx) => {
      const store = await ctx.open()
      await store.set('a', h.plain({ n: 1 }))
      let inside = true
      const error = await new Promise((resolve) => {
        store.set('a', make(), (err) => resolve(inside ? new Error('answered inside') : err))
        inside = false
      })
      h.isStoreError(error, 'ERR_STORE_DECODE', 'set')
      if (what !== 'nothing at all') assert.ok(error.cause instanceof Error)
      if (/throwing/.test(what)) assert.equal(error.cause, reason)
      await assert.rejects(store.set('a', make()), h.storeError('ERR_STORE_DECODE', 'set'))
      const heard = once(store, 'error')
      assert.equal(store.set('a', make(), undefined), undefined)
      h.isStoreError((await heard)[0], 'ERR_STORE_DECODE', 'set')
      assert.equal((await store.get('a')).n, 1)
      assert.equal((await store.stats()).errors.ERR_STORE_DECODE, 3)
    })
  }

  rule('corrupt: answered as missing, with an event, counted; walks go past it', async (ctx) => {
    const bad = new Error('cannot read this')
    const serializer = {
      stringify: JSON.stringify,
      parse(text) {
        if (text.includes('"rotten"')) throw bad
        return JSON.parse(text)
      },
    }
    const store = await ctx.open({ serializer })
    await store.set('a', h.plain({ n: 1 }))
    await store.set('b', h.plain({ rotten: true }))
    await store.set('c', h.plain({ n: 3 }))

    let heard = once(store, 'corrupt')
    const args = await new Promise((resolve) => store.get('b', (...all) => resolve(all)))
    assert.deepEqual([args[0], args[1]], [null, undefined])
    assert.deepEqual(await heard, ['b', bad])
    const { corrupt, hits, misses } = await store.stats()
    assert.deepEqual([corrupt, hits, misses], [1, 0, 1], 'a get that found none is a miss')

    heard = once(store, 'corrupt')
    assert.deepEqual(Object.keys(await store.all()).sort(), ['a', 'c'])
    assert.equal((await heard)[0], 'b')
    assert.equal((await store.all({ as: 'array' })).length, 2)
    const walked = []
    for await (const [sid] of store.entries()) walked.push(sid)
    assert.deepEqual(walked.sort(), ['a', 'c'])
    assert.ok((await store.stats()).corrupt >= 2)

    await store.set('b', h.plain({ n: 2 }))
    assert.equal((await store.get('b')).n, 2, 'a new session takes the place of a corrupt record')
  })

  for (const wrong of [undefined, null, 42, Buffer.from('{}'), Promise.resolve('{}')]) {
    const what = wrong instanceof Promise ? 'a promise' : (wrong?.constructor.name ?? wrong)
    rule(`serializer: one that stringifies to ${what} is cb(err), nothing stored`, async (ctx) => {
      const store = await ctx.open({ serializer: { stringify: () => wrong, parse: JSON.parse } })
      await assert.rejects(store.set('a', {}), h.storeError('ERR_STORE_DECODE', 'set'))
      assert.equal(await store.length(), 0)
    })
  }

  rule('serializer: one that parses to a promise is corrupt, and why is told', async (ctx) => {
    // Its rejection is nobody's to hear of.
    const parse = async () => {
      throw new Error('cannot read this')
    }
    const store = await ctx.open({ serializer: { stringify: JSON.stringify, parse } })
    await store.set('a', h.plain())
    const heard = once(store, 'corrupt')
    assert.equal(await store.get('a'), undefined)
    const [sid, cause] = await heard
    assert.equal(sid, 'a')
    assert.match(cause.message, /"parse" .*"serializer".*synchronous/)
  })

  rule("no callback: a failure in express-session's own methods is an event, too", async (ctx) => {
    const store = await ctx.open()
    store.generate = () => {}
    await store.close()
    for (const [operation, call] of [
      ['destroy', (none) => store.regenerate({ sessionID: 'a' }, none)],
      ['get', (none) => store.load('a', none)],
    ]) {
      for (const none of [undefined, null]) {
        const heard = once(store, 'error')
        assert.equal(call(none), undefined)
        h.isStoreError((await heard)[0], 'ERR_STORE_CLOSED', operation)
      }
    }
  })

  rule('size: over maxSessionBytes is ERR_STORE_TOO_LARGE, the old record kept', async (ctx) => {
    const store = await ctx.open({ maxSessionBytes: 1000 })
    // A text of `bytes` bytes of UTF-8, three to a character.
    const sized = (bytes) => {
      const frame = JSON.stringify({ a: '', b: '' }).length
      const wide = Math.floor((bytes - frame) / 3)
      return { a: '\u20ac'.repeat(wide), b: 'x'.repeat(bytes - frame - wide * 3) }
    }
    await store.set('a', sized(1000))
    assert.equal(Buffer.byteLength(JSON.stringify(await store.get('a'))), 1000)
    await store.set('a', { n: 1 })
    await assert.rejects(store.set('a', sized(1001)), h.storeError('ERR_STORE_TOO_LARGE', 'set'))
    assert.deepEqual(await store.get('a'), { n: 1 })
    await assert.rejects(store.set('b', sized(1001)), h.storeError('ERR_STORE_TOO_LARGE'))
    assert.equal(await store.get('b'), undefined)
    assert.equal((await store.stats()).errors.ERR_STORE_TOO_LARGE, 2)
  })

  rule('size: a merge that grows over maxSessionBytes keeps the old record', async (ctx) => {
    const [store, other] = await ctx.pair({ maxSessionBytes: 1000 })
    await h.seed(store, 'a')
    const mine = await h.load(store, 'a')
    const theirs = await h.load(other, 'a')
    theirs.x = 'x'.repeat(600)
    await other.set('a', theirs)
    mine.y = 'y'.repeat(600)
    await assert.rejects(store.set('a', mine), h.storeError('ERR_STORE_TOO_LARGE', 'set'))
    assert.deepEqual(h.dataOf(await store.get('a')), { x: 'x'.repeat(600) })
  })

  rule('size: the default is 1 MiB', async ({ open }) => {
    const store = await open()
    const sized = (bytes) => ({ x: 'x'.repeat(bytes - JSON.stringify({ x: '' }).length) })
    await store.set('a', sized(1_048_576))
    assert.equal((await store.get('a')).x.length, 1_048_576 - 8)
    await assert.rejects(store.set('a', sized(1_048_577)), h.storeError('ERR_STORE_TOO_LARGE'))
  })

  rule('no cookie on the session: stored and returned', async ({ open }) => {
    const store = await open()
    await store.set('a', { n: 1 })
    assert.deepEqual(await store.get('a'), { n: 1 })
    await store.touch('a', { n: 2 })
    assert.deepEqual(await store.get('a'), { n: 1 })
    await store.set('b', {})
    assert.deepEqual(await store.get('b'), {})
    assert.equal(await store.length(), 2)
  })

  rule('prototype: every method can be replaced, on an object and on the class', async (ctx) => {
    const store = await ctx.open()
    for (const name of [...METHODS, ...MORE]) {
      assert.equal(typeof store[name], 'function', name)
      const own = Object.getOwnPropertyDescriptor(RustStore.prototype, name)
      if (own) assert.ok(own.writable && own.configurable, `${name} is writable`)
      const before = store[name]
      const mine = () => 'mine'
      store[name] = mine
      assert.equal(store[name], mine)
      delete store[name]
      assert.equal(store[name], before)
    }
  })

  rule('prototype: a replaced method that calls the first one works, load uses it', async (ctx) => {
    const store = await ctx.open()
    await h.seed(store, 'a', { n: 1 })
    const first = store.get
    const seen = []
    store.get = function get(sid, ...rest) {
      seen.push(sid)
      return first.call(this, sid, ...rest)
    }
    assert.equal((await store.get('a')).n, 1)
    const loaded = await new Promise((resolve, reject) =>
      store.load('a', (err, got) => (err ? reject(err) : resolve(got))),
    )
    assert.equal(loaded.n, 1)
    assert.deepEqual(seen, ['a', 'a'])
  })

  rule('prototype: a method replaced on the class serves every store', async ({ open, t }) => {
    const store = await open()
    const first = RustStore.prototype.set
    const seen = []
    t.after(() => {
      RustStore.prototype.set = first
    })
    RustStore.prototype.set = function set(sid, ...rest) {
      // Other tests may be under way.
      if (this === store) seen.push(sid)
      return first.call(this, sid, ...rest)
    }
    const req = { sessionID: 'a', sessionStore: store }
    req.session = h.visitor(store, 'a', { n: 1 })
    await new Promise((resolve) => req.session.save(resolve))
    assert.deepEqual(seen, ['a'])
    assert.equal((await store.get('a')).n, 1)
  })

  rule(
    'prototype: a Proxy of a store, and an object made from it, work as it does',
    async (ctx) => {
      const store = await ctx.open()
      for (const front of [new Proxy(store, {}), Object.create(store)]) {
        await front.set('a', h.plain({ n: 1 }))
        assert.equal((await front.get('a')).n, 1)
        assert.equal(await front.length(), 1)
        await front.destroy('a')
        assert.equal(await store.get('a'), undefined)
      }
    },
  )

  rule('express-session: a Store, with createSession, load and regenerate', async ({ open }) => {
    const store = await open()
    assert.ok(store instanceof session.Store)
    assert.ok(store instanceof EventEmitter)
    await h.seed(store, 'a', { n: 1 })
    const req = { sessionID: 'a', sessionStore: store }
    const made = store.createSession(req, await store.get('a'))
    assert.equal(req.session, made)
    assert.ok(made instanceof session.Session)
    assert.ok(made.cookie instanceof session.Cookie)
    assert.ok(made.cookie.expires instanceof Date)
    assert.deepEqual(Object.keys(made).sort(), ['cookie', 'n'], 'no key is added')

    const missing = await new Promise((resolve) => store.load('none', (...all) => resolve(all)))
    assert.ok(!missing[0] && !missing[1])

    store.generate = (request) => {
      request.sessionID = 'b'
      request.session = h.visitor(store, 'b')
    }
    let inside = true
    await new Promise((resolve, reject) => {
      store.regenerate(req, (err) => (err || inside ? reject(err ?? 'inside') : resolve()))
      inside = false
    })
    assert.equal(req.sessionID, 'b')
    assert.equal(await store.get('a'), undefined)
  })

  rule('stats: counts what happened, and errors by code', async ({ open }) => {
    const store = await open()
    const before = await store.stats()
    assert.equal(typeof before.backend, 'string')
    assert.deepEqual([before.hits, before.misses, before.saves, before.sessions], [0, 0, 0, 0])
    await store.set('a', h.plain())
    await store.set('b', h.plain())
    await store.get('a')
    await store.get('none')
    await store.get('none')
    await store.destroy('b')
    await store.all()
    const after = await store.stats()
    assert.deepEqual([after.hits, after.misses, after.saves, after.sessions], [1, 2, 2, 1])
    for (const key of ['merges', 'conflicts', 'refused', 'corrupt'])
      assert.equal(after[key], 0, key)
    const { gauges } = row.capabilities
    for (const key of ['expired', 'evicted']) assert.equal(after[key], gauges ? 0 : null, key)
    assert.deepEqual(after.errors, {})
    assert.ok(gauges ? after.bytes > 0 : after.bytes === null)
    assert.equal(after.slow.all.count, 1)
    assert.ok(after.slow.all.totalMs >= after.slow.all.maxMs)
  })
}
