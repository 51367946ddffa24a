'use strict'
// touch: moves the expiry and nothing else, except a cookie field that the app itself changed.

const assert = require('node:assert/strict')
const h = require('./harness.js')

const at = (expires, more = {}) => ({ cookie: { originalMaxAge: null, expires, ...more } })

module.exports = (row) => {
  const rule = h.rulesOf(row)
  const shows = (session, expires, why) => {
    const shown = Date.parse(session.cookie.expires)
    if (row.capabilities.exactExpiry) assert.equal(shown, expires, why)
    else assert.ok(shown >= expires, why)
  }

  rule('touch: moves the expiry, as get shows it and as time tells', async ({ open, clock }) => {
    const time = clock()
    const store = await open()
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 2 * time.minute)
    await time.until(start + time.minute)
    const session = await h.load(store, 'a')
    session.touch()
    await store.touch('a', session)
    const got = await store.get('a')
    shows(got, start + 3 * time.minute, 'cookie.expires was moved')
    assert.equal(got.n, 1)
    h.assertMaxAge(got, 2 * time.minute)
    await time.livesUntil(store, 'a', start + 3 * time.minute, 'touched after a minute')
  })

  rule('touch: of what lives by another touch', async ({ open, clock }) => {
    const time = clock()
    const store = await open()
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 2 * time.minute)
    for (const minutes of [1, 2.5]) {
      await time.until(start + minutes * time.minute)
      const session = await h.load(store, 'a')
      session.touch()
      await store.touch('a', session)
    }
    const session = await h.load(store, 'a')
    session.n = 2
    await store.set('a', session)
    assert.equal((await store.get('a'))?.n, 2)
    await time.livesUntil(store, 'a', start + 4.5 * time.minute, 'touched twice')
  })

  rule('touch: what lives is not shown as over, and a copy of it can be saved', async (ctx) => {
    const time = ctx.clock()
    const store = await ctx.open()
    const start = Date.now()
    await store.set('a', at(new Date(start + time.minute)))
    const session = await store.get('a')
    session.cookie.expires = new Date(start + 4 * time.minute)
    await store.touch('a', session)
    await time.until(start + 2 * time.minute)
    const shown = await store.get('a')
    assert.ok(Date.parse(shown.cookie.expires) > Date.now(), shown.cookie.expires)
    await store.set('a', { ...shown })
    assert.ok(await store.get('a'))
  })

  rule('touch: takes a Date and an ISO string, from objects that no get made', async (ctx) => {
    const time = ctx.clock()
    const store = await ctx.open()
    const start = Date.now()
    for (const sid of ['a', 'b']) await store.set(sid, at(new Date(start + time.minute)))
    await store.touch('a', at(new Date(start + 3 * time.minute)))
    await store.touch('b', at(new Date(start + 3 * time.minute).toISOString()))
    await time.livesUntil(store, 'a', start + 3 * time.minute, 'a Date')
    assert.equal(await store.get('b'), undefined)
  })

  rule('touch: data that another request wrote stays', async ({ pair, clock }) => {
    const time = clock()
    const [store, other] = await pair()
    await h.seed(store, 'a', { n: 1, list: [1] }, 4 * time.minute)
    const slow = await h.load(store, 'a')
    const quick = await h.load(other, 'a')
    quick.n = 2
    quick.list.push(2)
    quick.more = { x: 1 }
    await other.set('a', quick)
    await time.pass(time.minute)
    slow.touch()
    await store.touch('a', slow)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 2, list: [1, 2], more: { x: 1 } })
  })

  rule('touch: the data of its own session is not written', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const session = await h.load(store, 'a')
    session.n = 2
    session.extra = true
    session.touch()
    await store.touch('a', session)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 1 })
  })

  rule('touch: missing is success and writes nothing', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const held = await h.load(store, 'a')
    await store.destroy('a')
    held.touch()
    await store.touch('a', held)
    held.cookie.maxAge = 7_200_000
    held.cookie.secure = true
    await store.touch('a', held)
    assert.equal(await store.get('a'), undefined)
    assert.equal(await store.length(), 0)
  })

  rule('touch: an expired session stays gone', async ({ open, clock }) => {
    const time = clock()
    const store = await open()
    await h.seed(store, 'a', { n: 1 }, time.minute)
    const held = await h.load(store, 'a')
    await time.pass(time.minute + 300)
    held.touch()
    await store.touch('a', held)
    assert.equal(await store.get('a'), undefined)
  })

  for (const [what, maxAge] of Object.entries({ past: -1, now: 0 })) {
    rule(`touch: an expiry of ${what} destroys`, async ({ open, clock }) => {
      clock()
      const store = await open({ touchAfter: 3600 })
      await h.seed(store, 'a', { n: 1 })
      const session = await h.load(store, 'a')
      session.cookie.maxAge = maxAge
      await store.touch('a', session)
      assert.equal(await store.get('a'), undefined)
      await h.seed(store, 'b')
      await store.touch('b', at(new Date(Date.now() + maxAge)))
      assert.equal(await store.get('b'), undefined)
      assert.equal(await store.length(), 0)
    })
  }

  rule('touch: a session cookie slides by ttl, and stays a session cookie', async (ctx) => {
    const time = ctx.clock()
    const store = await ctx.open({ ttl: time.seconds(2) })
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, null)
    await time.until(start + time.minute)
    const session = await h.load(store, 'a')
    session.touch()
    await store.touch('a', session)
    const got = await store.get('a')
    assert.equal(got.cookie.expires, null)
    assert.equal(got.cookie.originalMaxAge, null)
    await time.livesUntil(store, 'a', start + 3 * time.minute, 'touched after a minute')
  })

  rule('touch: no key is added to the session', async ({ open, clock }) => {
    const time = clock()
    const store = await open({ touchAfter: 1 })
    await h.seed(store, 'a', { n: 1 }, 2 * time.minute)
    const before = await store.get('a')
    const session = await h.load(store, 'a')
    await time.pass(time.minute)
    session.touch()
    await store.touch('a', session)
    const after = await store.get('a')
    assert.deepEqual(Object.keys(after), Object.keys(before))
    assert.deepEqual(Object.keys(after.cookie), Object.keys(before.cookie))
    const moved = { ...after, cookie: { ...after.cookie, expires: before.cookie.expires } }
    assert.equal(JSON.stringify(moved), JSON.stringify(before))
  })

  const FIELDS = {
    path: '/shop',
    domain: 'example.org',
    secure: true,
    httpOnly: false,
    sameSite: 'lax',
    priority: 'high',
    partitioned: true,
  }
  for (const [field, value] of Object.entries(FIELDS)) {
    rule(`touch: cookie.${field} that the app changed is saved, as a merge`, async ({ pair }) => {
      const [store, other] = await pair()
      await h.seed(store, 'a', { n: 1 })
      const mine = await h.load(store, 'a')
      const theirs = await h.load(other, 'a')
      theirs.n = 2
      theirs.cookie.comment = 'kept'
      await other.set('a', theirs)
      mine.touch()
      mine.cookie[field] = value
      mine.stray = 'not written by a touch'
      const conflicts = h.listen(store, 'conflict')
      await store.touch('a', mine)
      const got = await store.get('a')
      assert.equal(got.cookie[field], value)
      assert.deepEqual(h.dataOf(got), { n: 2 })
      await h.quiet(store)
      assert.deepEqual(conflicts, [])
    })
  }

  rule('touch: "remember me" that only changes maxAge is saved', async ({ open, clock }) => {
    const time = clock()
    const store = await open()
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 2 * time.minute)
    const session = await h.load(store, 'a')
    session.cookie.maxAge = 4 * time.minute
    await store.touch('a', session)
    const got = await store.get('a')
    h.assertMaxAge(got, 4 * time.minute)
    shows(got, start + 4 * time.minute, 'cookie.expires follows')
    await time.livesUntil(store, 'a', start + 4 * time.minute, 'remembered')
  })

  rule('touch: a shorter maxAge is saved too', async ({ open, clock }) => {
    const time = clock()
    const store = await open()
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 20 * time.minute)
    const session = await h.load(store, 'a')
    session.cookie.maxAge = 2 * time.minute
    await store.touch('a', session)
    h.assertMaxAge(await store.get('a'), 2 * time.minute)
    await time.livesUntil(store, 'a', start + 2 * time.minute, 'shortened')
  })

  rule('touch: the drift of originalMaxAge by up to a second is not a change', async (ctx) => {
    const time = ctx.clock()
    const store = await ctx.open()
    await h.seed(store, 'a', { n: 1 }, 20 * time.minute)
    for (const drift of [1, -1, 1000, -1000]) {
      const session = await h.load(store, 'a')
      const { originalMaxAge } = session.cookie
      session.touch()
      session.cookie.originalMaxAge = originalMaxAge + drift
      await store.touch('a', session)
      h.assertMaxAge(await store.get('a'), 20 * time.minute, `drift ${drift}`)
    }
  })

  rule(
    'touch: an unchanged cookie is not saved, also after saves that followed each other',
    async (ctx) => {
      const store = await ctx.open()
      await h.seed(store, 'a', { n: 1 })
      const session = await h.load(store, 'a')
      Object.assign(session.cookie, {
        path: '/app',
        secure: true,
        sameSite: 'lax',
        domain: 'a.test',
      })
      const saving = [1, 2, 3].map((n) => {
        session.n = n
        return store.set('a', session)
      })
      await Promise.all(saving)
      const { saves } = await store.stats()
      session.touch()
      await store.touch('a', session)
      assert.equal((await store.stats()).saves, saves)
      session.cookie.path = '/'
      await store.touch('a', session)
      assert.equal((await store.stats()).saves, saves + 1)
      assert.equal((await store.get('a')).cookie.path, '/')
    },
  )

  rule("touch: an unchanged cookie of a stale request does not undo another's", async (ctx) => {
    const time = ctx.clock()
    const [store, other] = await ctx.pair()
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 2 * time.minute)
    const stale = await h.load(store, 'a')
    const remembering = await h.load(other, 'a')
    remembering.cookie.maxAge = 5 * time.minute
    remembering.cookie.sameSite = 'strict'
    await other.touch('a', remembering)
    await time.pass(time.minute)
    stale.touch()
    await store.touch('a', stale)
    const got = await store.get('a')
    assert.equal(got.cookie.sameSite, 'strict')
    h.assertMaxAge(got, 5 * time.minute)
    assert.ok(Date.parse(got.cookie.expires) > start + time.minute)
  })

  rule('touch: a stale request after "remember me" does not shorten the session', async (ctx) => {
    const time = ctx.clock()
    const [store, other] = await ctx.pair()
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 2 * time.minute)
    const stale = await h.load(store, 'a')
    const remembering = await h.load(other, 'a')
    remembering.cookie.maxAge = 5 * time.minute
    await other.touch('a', remembering)
    stale.touch()
    await store.touch('a', stale)
    await time.livesUntil(store, 'a', start + 5 * time.minute, 'remembered by the other request')
  })

  rule("touch: a stale request does not move another's later expiry back", async (ctx) => {
    const time = ctx.clock()
    const [store, other] = await ctx.pair()
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 4 * time.minute)
    const slow = await h.load(store, 'a')
    const quick = await h.load(other, 'a')
    await time.until(start + time.minute)
    slow.touch()
    await time.until(start + 2 * time.minute)
    quick.touch()
    await other.touch('a', quick)
    await store.touch('a', slow)
    await time.livesUntil(store, 'a', start + 6 * time.minute, 'touched by the other request')
  })

  rule('touch: code of the app that runs while its cookie is written', async ({ open, clock }) => {
    const time = clock()
    const store = await open()
    await h.seed(store, 'other', {}, 9 * time.minute)
    const start = Date.now()
    await h.seed(store, 'a', {}, 2 * time.minute)
    const [other, session] = [await h.load(store, 'other'), await h.load(store, 'a')]
    session.cookie.httpOnly = false
    const { toJSON } = session.cookie
    Object.defineProperty(session.cookie, 'toJSON', {
      value() {
        other.touch()
        store.touch('other', other, undefined)
        return toJSON.call(this)
      },
    })
    await store.touch('a', session)
    await time.livesUntil(store, 'a', start + 2 * time.minute, 'its own expiry')
  })

  rule('touchAfter: skips touches that move the expiry by less', async ({ open, clock }) => {
    const time = clock()
    const store = await open({ touchAfter: time.seconds(2) })
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 4 * time.minute)
    await time.until(start + 1.5 * time.minute)
    const early = await h.load(store, 'a')
    early.touch()
    await store.touch('a', early)
    assert.equal((await store.get('a')).n, 1)
    await time.livesUntil(store, 'a', start + 4 * time.minute, 'the touch was skipped')
  })

  rule('touchAfter: a touch that moves it by as much or more is done', async ({ open, clock }) => {
    const time = clock()
    const store = await open({ touchAfter: time.seconds(2) })
    const start = Date.now()
    await h.seed(store, 'a', { n: 1 }, 4 * time.minute)
    await time.until(start + 2 * time.minute + time.slack)
    const due = await h.load(store, 'a')
    due.touch()
    await store.touch('a', due)
    await time.livesUntil(store, 'a', start + 6 * time.minute + time.slack, 'the touch was due')
  })

  rule('touchAfter: skipped touches do not add up to never', async ({ open, clock }) => {
    const time = clock()
    const store = await open({ touchAfter: time.seconds(1) })
    await h.seed(store, 'a', { n: 1 }, 2 * time.minute)
    for (let i = 0; i < 9; i++) {
      await time.pass(time.minute / 2)
      const session = await h.load(store, 'a')
      session.touch()
      await store.touch('a', session)
    }
    assert.equal((await store.get('a')).n, 1)
  })

  const exact = { exactExpiry: true }
  rule('touchAfter: 0 is honoured, every touch counts', exact, async ({ open, clock }) => {
    const time = clock()
    const store = await open({ touchAfter: 0 })
    const start = Date.now()
    await store.set('a', at(new Date(start + time.minute)))
    await store.touch('a', at(new Date(start + time.minute + 1)))
    const got = await store.get('a')
    shows(got, start + time.minute + 1, 'moved by a millisecond')
  })

  rule('touchAfter: a save is no touch, and a changed maxAge is not skipped', async (ctx) => {
    const time = ctx.clock()
    const store = await ctx.open({ touchAfter: 1e6 })
    await h.seed(store, 'a', { n: 1 }, 2 * time.minute)
    const session = await h.load(store, 'a')
    session.cookie.maxAge = 5 * time.minute
    await store.touch('a', session)
    h.assertMaxAge(await store.get('a'), 5 * time.minute)
    await h.seed(store, 'b', { n: 1 }, 2 * time.minute)
    const saved = await h.load(store, 'b')
    const start = Date.now()
    await time.pass(time.minute)
    saved.touch()
    saved.n = 2
    await store.set('b', saved)
    await time.livesUntil(store, 'b', start + 3 * time.minute, 'a save moves the expiry')
  })
}
