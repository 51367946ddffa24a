'use strict'
// Expiry in a save with a base is merged by who moved it. Times are in minutes of the suite's
// clock; every session starts with a maxAge of four.

const assert = require('node:assert/strict')
const h = require('./harness.js')

module.exports = (row) => {
  const rule = h.rulesOf(row)

  async function scene(ctx, options) {
    const time = ctx.clock()
    const [store, other] = await ctx.pair(options)
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 4 * time.minute)
    const mine = await h.load(store, 'a')
    const theirs = await h.load(other, 'a')
    return { time, store, other, start, mine, theirs, minute: time.minute }
  }

  rule('moved: by nobody, the save leaves the expiry alone', async (ctx) => {
    const { time, store, start, mine, minute } = await scene(ctx)
    await time.until(start + minute)
    mine.n = 2
    await store.set('a', mine)
    assert.equal((await store.get('a')).n, 2)
    await time.livesUntil(store, 'a', start + 4 * minute, 'saved without touching')
  })

  rule('moved: by nobody, also where the save has to wait for another of its sid', async (ctx) => {
    const { time, store, start, minute } = await scene(ctx)
    // What is handed out is ahead of the real expiry by then, where that is not known.
    await time.until(start + 2 * minute)
    const [mine, next] = [await h.load(store, 'a'), await h.load(store, 'a')]
    mine.mine = true
    next.next = true
    await Promise.all([store.set('a', mine), store.set('a', next)])
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 1, mine: true, next: true })
    await time.livesUntil(store, 'a', start + 4 * minute, 'saved twice without touching')
  })

  rule('moved: by nobody, also where it was saved elsewhere before', async (ctx) => {
    const time = ctx.clock()
    const [store, elsewhere] = [await ctx.open(), await ctx.open()]
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 4 * time.minute)
    await time.until(start + 2 * time.minute)
    const read = await store.get('a')
    await elsewhere.set('a', read)
    const session = store.createSession({ sessionID: 'a', sessionStore: store }, read)
    session.n = 2
    await store.set('a', session)
    await time.livesUntil(store, 'a', start + 4 * time.minute, 'saved without touching')
  })

  rule("moved: as get handed it out, another request's touch stays", async (ctx) => {
    const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
    await time.until(start + 2 * minute)
    theirs.touch()
    await other.touch('a', theirs)
    mine.n = 2
    await store.set('a', mine)
    const got = await store.get('a')
    assert.equal(got.n, 2)
    assert.ok(Date.parse(got.cookie.expires) >= +theirs.cookie.expires, 'get shows the real expiry')
    await time.livesUntil(store, 'a', start + 6 * minute, 'touched by the other request')
  })

  rule('moved: as get handed it out, also for a plain object with the ISO string', async (ctx) => {
    const { time, store, other, start, theirs, minute } = await scene(ctx)
    const mine = await store.get('a')
    await time.until(start + 2 * minute)
    theirs.touch()
    await other.touch('a', theirs)
    mine.n = 2
    await store.set('a', mine)
    await time.livesUntil(store, 'a', start + 6 * minute, 'touched by the other request')
  })

  rule(
    'moved: a held request may save after the expiry it was handed, if others touched',
    async (ctx) => {
      const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
      await time.until(start + 3 * minute)
      theirs.touch()
      await other.touch('a', theirs)
      await time.until(start + 5 * minute)
      mine.n = 2
      await store.set('a', mine)
      const got = await store.get('a')
      assert.equal(got?.n, 2, 'the save of the held request is kept')
      assert.ok(Date.parse(got.cookie.expires) > Date.now(), 'get never shows a past expiry')
      await time.livesUntil(store, 'a', start + 7 * minute, 'touched by the other request')
    },
  )

  rule('moved: both touched, the later one holds (mine)', async (ctx) => {
    const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
    await time.until(start + minute)
    theirs.touch()
    theirs.t = 1
    await other.set('a', theirs)
    await time.until(start + 2 * minute)
    mine.touch()
    mine.n = 2
    await store.set('a', mine)
    await time.livesUntil(store, 'a', start + 6 * minute, 'the later of both')
  })

  rule('moved: both touched, the later one holds (theirs)', async (ctx) => {
    const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
    await time.until(start + minute)
    mine.touch()
    await time.until(start + 2 * minute)
    theirs.touch()
    theirs.t = 1
    await other.set('a', theirs)
    mine.n = 2
    await store.set('a', mine)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 2, t: 1 })
    await time.livesUntil(store, 'a', start + 6 * minute, 'the later of both')
  })

  rule('moved: the later is told from the real expiry, not from the text', async (ctx) => {
    const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
    await time.until(start + minute)
    mine.touch()
    await time.until(start + 3 * minute)
    theirs.touch()
    await other.touch('a', theirs)
    mine.n = 2
    await store.set('a', mine)
    const got = await store.get('a')
    assert.ok(Date.parse(got.cookie.expires) >= +theirs.cookie.expires)
    await time.livesUntil(store, 'a', start + 7 * minute, 'touched, not saved')
  })

  rule('moved: into the past by mine destroys, whatever the other did', async (ctx) => {
    for (const end of [-1, 0, -1e9]) {
      const store = await ctx.open()
      await h.seed(store, 'a', { n: 1 })
      const mine = await h.load(store, 'a')
      const theirs = await h.load(store, 'a')
      theirs.t = 1
      theirs.cookie.maxAge = 7_200_000
      await store.set('a', theirs)
      mine.n = 2
      mine.cookie.maxAge = end
      await store.set('a', mine)
      assert.equal(await store.get('a'), undefined, `maxAge ${end}`)
      assert.equal(await store.length(), 0)
      await store.set('a', theirs)
      assert.equal(await store.get('a'), undefined, 'and it stays gone')
    }
  })

  rule('moved: into the past by cookie.expires destroys too', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const session = await h.load(store, 'a')
    session.cookie.expires = new Date(0)
    await store.set('a', session)
    assert.equal(await store.get('a'), undefined)
  })

  for (const cookie of [{ originalMaxAge: null, expires: null }, {}]) {
    for (const method of ['set', 'touch']) {
      const before = `a cookie ${JSON.stringify(cookie)}`
      rule(`moved: into the past, from ${before}, destroys too (${method})`, async ({ open }) => {
        const store = await open()
        await store.set('a', { cookie, n: 1 })
        const session = await store.get('a')
        session.cookie.expires = new Date(Date.now() - 1000)
        await store[method]('a', session)
        assert.equal(await store.get('a'), undefined)
        assert.equal(await store.length(), 0)
      })
    }
  }

  rule('moved: into the past by theirs, mine does not bring it back', async (ctx) => {
    const { store, other, mine, theirs } = await scene(ctx)
    theirs.cookie.maxAge = -1
    await other.set('a', theirs)
    mine.touch()
    mine.n = 2
    await store.set('a', mine)
    assert.equal(await store.get('a'), undefined)
  })

  const LENGTHS = { longer: 8, shorter: 2 }
  for (const [how, minutes] of Object.entries(LENGTHS)) {
    rule(`moved: a ${how} maxAge by theirs holds against my touch`, async (ctx) => {
      const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
      theirs.cookie.maxAge = minutes * minute
      theirs.t = 1
      await other.set('a', theirs)
      await time.until(start + minute)
      mine.touch()
      mine.n = 2
      await store.set('a', mine)
      const got = await store.get('a')
      h.assertMaxAge(got, minutes * minute)
      assert.deepEqual(h.dataOf(got), { n: 2, t: 1 })
      await time.livesUntil(store, 'a', start + minutes * minute, 'the side that changed maxAge')
    })

    rule(`moved: a ${how} maxAge by mine holds against their touch`, async (ctx) => {
      const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
      await time.until(start + minute)
      theirs.touch()
      theirs.t = 1
      await other.set('a', theirs)
      mine.cookie.maxAge = minutes * minute
      mine.n = 2
      await store.set('a', mine)
      const got = await store.get('a')
      h.assertMaxAge(got, minutes * minute)
      await time.livesUntil(
        store,
        'a',
        start + (1 + minutes) * minute,
        'the side that changed maxAge',
      )
    })

    rule(`moved: a ${how} maxAge without any other change since`, async (ctx) => {
      const { time, store, start, mine, minute } = await scene(ctx)
      mine.cookie.maxAge = minutes * minute
      await store.set('a', mine)
      h.assertMaxAge(await store.get('a'), minutes * minute)
      await time.livesUntil(store, 'a', start + minutes * minute, 'the side that changed maxAge')
    })
  }

  rule('moved: after a save, what it saved is what the next one starts from', async (ctx) => {
    const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
    mine.cookie.maxAge = 8 * minute
    await store.set('a', mine)
    theirs.cookie.maxAge = 2 * minute
    await other.set('a', theirs)
    mine.n = 2
    await store.set('a', mine)
    const got = await store.get('a')
    assert.equal(got.n, 2)
    h.assertMaxAge(got, 2 * minute)
    await time.livesUntil(store, 'a', start + 2 * minute, 'changed after my save')
  })

  rule(
    'moved: after a touch that saved a cookie field, the next save has the data',
    async (ctx) => {
      const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
      mine.n = 2
      mine.cookie.maxAge = 8 * minute
      await store.touch('a', mine)
      theirs.t = 1
      await other.set('a', theirs)
      await store.set('a', mine)
      const got = await store.get('a')
      assert.deepEqual(h.dataOf(got), { n: 2, t: 1 })
      h.assertMaxAge(got, 8 * minute)
      await time.livesUntil(store, 'a', start + 8 * minute, 'remembered')
    },
  )

  rule('moved: a save after its own touch keeps what was touched', async (ctx) => {
    const { time, store, start, mine, minute } = await scene(ctx)
    await time.until(start + 2 * minute)
    mine.touch()
    await store.touch('a', mine)
    mine.n = 2
    await store.set('a', mine)
    await store.set('a', mine)
    await time.livesUntil(store, 'a', start + 6 * minute, 'touched, then saved')
  })

  for (const drift of [1, -1, 999, -999]) {
    rule(`moved: a drift of originalMaxAge by ${drift} ms is no change of it`, async (ctx) => {
      const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
      await time.until(start + minute)
      theirs.touch()
      await other.touch('a', theirs)
      mine.cookie.originalMaxAge += drift
      mine.n = 2
      await store.set('a', mine)
      // Had the drift counted, the expiry of this side would have been taken: a minute earlier.
      await time.livesUntil(store, 'a', start + 5 * minute, 'touched by the other request')
    })
  }

  for (const method of ['set', 'touch']) {
    rule(`moved: ahead, and overtaken by time, is not "into the past" (${method})`, async (ctx) => {
      // An event stream under `rolling`: express-session touches it as its headers leave, and
      // saves or touches it when it ends, maybe after that expiry. The app never ended the
      // session, and other requests kept it alive.
      const { time, store, other, start, mine, theirs, minute } = await scene(ctx)
      await time.until(start + minute)
      mine.touch()
      await time.until(start + 3 * minute)
      theirs.touch()
      await other.touch('a', theirs)
      await time.until(start + 6 * minute)
      mine.n = 2
      await store[method]('a', mine)
      const got = await store.get('a')
      assert.equal(got?.n, method === 'set' ? 2 : 1)
      assert.ok(Date.parse(got.cookie.expires) > Date.now())
      await time.livesUntil(store, 'a', start + 7 * minute, 'touched by the other request')
    })
  }

  rule('moved: by the app alone, without originalMaxAge: the later one', async (ctx) => {
    const { time, store, start, mine, minute } = await scene(ctx)
    mine.cookie._expires = new Date(start + 6 * minute)
    mine.n = 2
    await store.set('a', mine)
    await time.livesUntil(store, 'a', start + 6 * minute, 'mine is the later')
  })

  rule("moved: cookie fields never emit conflict, both sides' changes are kept", async (ctx) => {
    const { store, other, mine, theirs, minute } = await scene(ctx)
    const conflicts = h.listen(store, 'conflict')
    theirs.cookie.maxAge = 6 * minute
    theirs.cookie.path = '/theirs'
    theirs.cookie.secure = true
    await other.set('a', theirs)
    mine.cookie.maxAge = 8 * minute
    mine.cookie.path = '/mine'
    mine.cookie.sameSite = 'lax'
    await store.set('a', mine)
    const { cookie } = await store.get('a')
    assert.deepEqual([cookie.secure, cookie.sameSite, cookie.path], [true, 'lax', '/mine'])
    h.assertMaxAge({ cookie }, 8 * minute, 'both changed it: the later save has it')
    await h.quiet(store)
    assert.deepEqual(conflicts, [])
    assert.equal((await store.stats()).conflicts, 0)
  })

  rule('moved: a session cookie slides with every save', async (ctx) => {
    const time = ctx.clock()
    const store = await ctx.open({ ttl: time.seconds(3) })
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, null)
    const session = await h.load(store, 'a')
    await time.until(start + 2 * time.minute)
    session.n = 2
    await store.set('a', session)
    assert.equal((await store.get('a')).cookie.expires, null)
    await time.livesUntil(store, 'a', start + 5 * time.minute, 'saved after two minutes')
  })

  rule('moved: of two racing session cookies the later expiry holds', async (ctx) => {
    const time = ctx.clock()
    const [store, other] = await ctx.pair({ ttl: time.seconds(3) })
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, null)
    const mine = await h.load(store, 'a')
    const theirs = await h.load(other, 'a')
    await time.until(start + time.minute)
    theirs.touch()
    await other.touch('a', theirs)
    mine.n = 2
    await store.set('a', mine)
    await time.livesUntil(store, 'a', start + 4 * time.minute, 'both after a minute')
  })

  rule('moved: a session cookie that became "remember me" is one', async (ctx) => {
    const time = ctx.clock()
    const [store, other] = await ctx.pair({ ttl: time.seconds(2) })
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, null)
    const mine = await h.load(store, 'a')
    const theirs = await h.load(other, 'a')
    theirs.cookie.maxAge = 6 * time.minute
    await other.set('a', theirs)
    mine.n = 2
    await store.set('a', mine)
    const got = await store.get('a')
    h.assertMaxAge(got, 6 * time.minute)
    const shown = Date.parse(got.cookie.expires) - start
    assert.ok(row.capabilities.exactExpiry ? shown === 6 * time.minute : shown >= 6 * time.minute)
    await time.livesUntil(store, 'a', start + 6 * time.minute, 'remembered by the other request')
  })

  rule('moved: a ttl function decides the expiry of a save with a base', async (ctx) => {
    const time = ctx.clock()
    const store = await ctx.open({ ttl: (session) => time.seconds(session.n) })
    const start = Date.now()
    await h.seed(store, 'a', { n: 6 })
    const session = await h.load(store, 'a')
    await time.until(start + time.minute)
    session.n = 2
    await store.set('a', session)
    await time.livesUntil(store, 'a', start + 3 * time.minute, 'two minutes from the save')
  })
}
