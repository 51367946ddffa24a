'use strict'
// When a session ends: cookie.expires, the ttl option in its forms, and what "expired" means for
// every method. Times are in minutes of the suite's clock.

const assert = require('node:assert/strict')
const h = require('./harness.js')

// What a session's cookie may hold when it does not say when it ends.
const SILENT = {
  null: null,
  false: false,
  missing: undefined,
  'Invalid Date': new Date(Number.NaN),
  'text that is no date': 'soon',
}

const withExpires = (expires, data = {}) => ({
  cookie: { originalMaxAge: null, ...(expires === undefined ? {} : { expires }) },
  ...data,
})

module.exports = (row) => {
  const rule = h.rulesOf(row)

  rule('cookie.expires: a Date is the expiry, to the millisecond', async ({ open, clock }) => {
    const store = await open()
    const time = clock()
    const expires = Date.now() + 2 * time.minute
    await store.set('a', withExpires(new Date(expires)))
    await time.livesUntil(store, 'a', expires, 'a Date')
  })

  rule('cookie.expires: an ISO string is the expiry', async ({ open, clock }) => {
    const store = await open()
    const time = clock()
    const expires = Date.now() + 2 * time.minute
    await store.set('a', withExpires(new Date(expires).toISOString()))
    await time.livesUntil(store, 'a', expires, 'an ISO string')
  })

  rule('cookie.expires: as express-session sets it', async ({ open, clock }) => {
    const store = await open()
    const time = clock()
    const expires = Date.now() + 2 * time.minute
    await store.set('a', h.visitor(store, 'a', {}, 2 * time.minute))
    await time.livesUntil(store, 'a', expires, 'a Cookie of express-session')
  })

  for (const [what, expires] of Object.entries(SILENT)) {
    rule(`ttl: decides where cookie.expires is ${what}`, async ({ open, clock }) => {
      const time = clock()
      const store = await open({ ttl: time.seconds(3) })
      const end = Date.now() + 3 * time.minute
      await store.set('a', withExpires(expires))
      await time.livesUntil(store, 'a', end, `cookie.expires ${what}`)
    })

    rule(
      `ttl: the default holds where cookie.expires is ${what}`,
      { clock: 'caller' },
      async (ctx) => {
        const time = ctx.clock()
        const store = await ctx.open()
        const end = Date.now() + row.capabilities.defaultTtl * 1000
        await store.set('a', withExpires(expires))
        await time.livesUntil(store, 'a', end, `cookie.expires ${what}`)
      },
    )
  }

  rule('ttl: decides where there is no cookie at all', async ({ open, clock }) => {
    const time = clock()
    const store = await open({ ttl: time.seconds(3) })
    const end = Date.now() + 3 * time.minute
    await store.set('a', { n: 1 })
    await time.livesUntil(store, 'a', end, 'no cookie')
  })

  rule('ttl: a cookie that is no object says nothing', async ({ open, clock }) => {
    const time = clock()
    const store = await open({ ttl: time.seconds(2) })
    const end = Date.now() + 2 * time.minute
    for (const cookie of [null, 'x', 7]) await store.set(`c${cookie}`, { cookie })
    assert.equal((await store.get('cnull')).cookie, null)
    await time.livesUntil(store, 'cx', end, 'cookie is text')
    assert.equal(await store.length(), 0)
  })

  rule('ttl: a number does not decide where cookie.expires does', async ({ open, clock }) => {
    const time = clock()
    const store = await open({ ttl: time.seconds(1) })
    const end = Date.now() + 3 * time.minute
    await store.set('a', withExpires(new Date(end)))
    await time.livesUntil(store, 'a', end, 'ttl of one minute')
  })

  rule('ttl: a function always decides, longer and shorter than cookie.expires', async (ctx) => {
    const time = ctx.clock()
    const seen = []
    const ttl = (session) => {
      seen.push(session.name)
      return time.seconds(session.minutes)
    }
    const store = await ctx.open({ ttl })
    const start = Date.now()
    const expires = new Date(start + 2 * time.minute)
    await store.set('short', withExpires(expires, { name: 'short', minutes: 1 }))
    await store.set('long', withExpires(expires, { name: 'long', minutes: 3 }))
    await store.set('none', withExpires(null, { name: 'none', minutes: 3 }))
    assert.deepEqual([...new Set(seen)], ['short', 'long', 'none'])
    await time.livesUntil(store, 'short', start + time.minute, 'one minute')
    await time.livesUntil(store, 'long', start + 3 * time.minute, 'three minutes')
    assert.equal(await store.get('none'), undefined)
  })

  rule('ttl: what get shows is never past, nor earlier than what a function gave', async (ctx) => {
    const time = ctx.clock()
    const store = await ctx.open({ ttl: () => time.seconds(4) })
    const start = Date.now()
    await store.set('a', withExpires(new Date(start + time.minute)))
    await time.until(start + 2 * time.minute)
    const shown = Date.parse((await store.get('a')).cookie.expires)
    assert.ok(shown >= start + 4 * time.minute, `shows ${shown - start} ms after the save`)
  })

  rule('ttl: a function decides for touch as well', async ({ open, clock }) => {
    const time = clock()
    const store = await open({ ttl: () => time.seconds(2) })
    const start = Date.now()
    await store.set('a', withExpires(new Date(start + 9 * time.minute)))
    await time.until(start + time.minute)
    await store.touch('a', withExpires(new Date(start + 9 * time.minute)))
    await time.livesUntil(store, 'a', start + 3 * time.minute, 'touched after one minute')
  })

  for (const seconds of [0, -1, -0.001]) {
    rule(`ttl: a function that returns ${seconds} stores the session as gone`, async ({ open }) => {
      let answer = 60
      const store = await open({ ttl: () => answer })
      await store.set('a', h.plain())
      assert.equal(await store.length(), 1)
      answer = seconds
      await store.set('a', h.plain())
      await store.set('b', h.plain())
      assert.equal(await store.get('a'), undefined)
      assert.equal(await store.get('b'), undefined)
      assert.equal(await store.length(), 0)
    })
  }

  for (const wrong of [Number.NaN, undefined, null, '60', {}, new Date()]) {
    rule(
      `ttl: a function that returns ${String(wrong)} is cb(err), nothing stored`,
      async ({ open }) => {
        let answer = 60
        const store = await open({ ttl: () => answer })
        await store.set('a', h.plain({ n: 1 }))
        answer = wrong
        await assert.rejects(
          store.set('a', h.plain({ n: 2 })),
          h.storeError('ERR_STORE_CONFIG', 'set'),
        )
        await assert.rejects(store.touch('a', h.plain()), h.storeError('ERR_STORE_CONFIG', 'touch'))
        assert.equal((await store.get('a')).n, 1)
      },
    )
  }

  for (const huge of [1e10, 1e13, 1e15, Number.MAX_VALUE, Number.POSITIVE_INFINITY]) {
    rule(
      `ttl: a function that returns ${huge} is honoured or refused, not lost`,
      async ({ open }) => {
        const store = await open({ ttl: () => huge })
        for (const expires of [null, new Date(Date.now() + 1000)]) {
          const error = await store.set('a', withExpires(expires, { n: 1 })).catch((err) => err)
          if (error) {
            h.isStoreError(error, 'ERR_STORE_CONFIG', 'set')
            continue
          }
          const got = await store.get('a')
          assert.equal(got?.n, 1)
          if (expires) assert.ok(Date.parse(got.cookie.expires) > Date.now())
          assert.equal(await store.length(), 1)
        }
      },
    )
  }

  rule('ttl: a function that throws is cb(err), never a throw', async ({ open }) => {
    const reason = new Error('no ttl today')
    const store = await open({
      ttl() {
        throw reason
      },
    })
    for (const method of ['set', 'touch']) {
      const error = await new Promise((resolve) => store[method]('a', h.plain(), resolve))
      assert.ok(error instanceof Error)
      assert.ok(error === reason || error.cause === reason, `${method} says what was thrown`)
    }
    assert.equal(await store.length(), 0)
  })

  for (const [what, shift] of Object.entries({ past: -1000, 'this moment': 0, zero: null })) {
    rule(`set: expires in the ${what} stores the session as gone`, async ({ open, clock }) => {
      const store = await open()
      clock()
      const end = shift === null ? 0 : Date.now() + shift
      for (const expires of [new Date(end), new Date(end).toISOString()]) {
        await store.set('a', h.plain({ n: 1 }))
        assert.equal(await store.length(), 1)
        await store.set('a', withExpires(expires))
        assert.equal(await store.get('a'), undefined)
        assert.equal(await store.length(), 0)
        await store.set('b', withExpires(expires))
        assert.equal(await store.get('b'), undefined)
        assert.deepEqual(await store.ids(), [])
      }
    })
  }

  rule('set: a maxAge of zero or less stores the session as gone', async ({ open, clock }) => {
    const store = await open()
    clock()
    for (const maxAge of [0, -1, -1e12]) {
      await store.set('a', h.visitor(store, 'a', {}, maxAge))
      assert.equal(await store.get('a'), undefined, `maxAge ${maxAge}`)
    }
    assert.equal(await store.length(), 0)
  })

  rule('expired: missing for get, not in all, length, ids, entries, stats', async (ctx) => {
    const time = ctx.clock()
    const store = await openReady(ctx)
    const end = Date.now() + time.minute
    await store.set('short', withExpires(new Date(end)))
    await store.set('long', withExpires(new Date(end + 60 * time.minute)))
    await time.until(end + 300)
    const args = await new Promise((resolve) => store.get('short', (...all) => resolve(all)))
    assert.deepEqual([args[0], args[1]], [null, undefined])
    await expectOnlyLong(store)
  })

  rule('expired: not in any view even when nobody asked for it first', async (ctx) => {
    const time = ctx.clock()
    const views = ['all', 'array', 'length', 'ids', 'entries', 'stats']
    const stores = await Promise.all(views.map(() => openReady(ctx)))
    const end = Date.now() + time.minute
    for (const store of stores) {
      await store.set('short', withExpires(new Date(end)))
      await store.set('long', withExpires(new Date(end + 60 * time.minute)))
    }
    await time.until(end + 300)
    for (const [i, view] of views.entries()) await VIEWS[view](stores[i])
  })

  rule('expired: a new session may take the sid', async (ctx) => {
    const time = ctx.clock()
    const store = await openReady(ctx)
    const end = Date.now() + time.minute
    await store.set('a', withExpires(new Date(end), { n: 1 }))
    await time.until(end + 300)
    await store.set('a', h.plain({ n: 2 }))
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 2 })
  })

  rule('expiry: far dates and fractions of a millisecond are taken', async ({ open }) => {
    const store = await open()
    await store.set('far', withExpires(new Date(8.64e15), { n: 1 }))
    assert.equal((await store.get('far')).n, 1)
    assert.equal((await store.get('far')).cookie.expires, new Date(8.64e15).toISOString())
    const lasting = await open({ ttl: 1e12 })
    await lasting.set('a', { n: 1 })
    assert.deepEqual(await lasting.get('a'), { n: 1 })
    const short = await open({ ttl: 3600.0005 })
    await short.set('a', { n: 1 })
    assert.deepEqual(await short.get('a'), { n: 1 })
  })
}

/** A store that is connected: what a save asks for while it is not takes effect later, and so lives longer. */
async function openReady(ctx) {
  const store = await ctx.open()
  await store.ping()
  return store
}

const VIEWS = {
  all: async (store) => assert.deepEqual(Object.keys(await store.all()), ['long']),
  array: async (store) => assert.equal((await store.all({ as: 'array' })).length, 1),
  length: async (store) => assert.equal(await store.length(), 1),
  ids: async (store) => assert.deepEqual(await store.ids(), ['long']),
  stats: async (store) => assert.equal((await store.stats()).sessions, 1),
  async entries(store) {
    const walked = []
    for await (const [sid] of store.entries()) walked.push(sid)
    assert.deepEqual(walked, ['long'])
  },
}

async function expectOnlyLong(store) {
  for (const view of Object.values(VIEWS)) await view(store)
}
