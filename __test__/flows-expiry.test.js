// How long a session lives, through Express, and what ends it.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { call, dataOf, fakeClock, startApp, DAY, HOUR, MINUTE, SECOND } = require('./flows/app')
const { assertLives, signedInNow, HOURLY } = require('./flows/clock')

test('a session ends at the millisecond its maxAge says', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
  await assertLives(flow, HOUR)
  assert.deepEqual(await flow.tab.sees(), {})
  assert.equal(await flow.app.length(), 0)
})

test('each request moves the expiry, whether or not it changes data', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
  for (let n = 0; n < 5; n++) {
    flow.clock.forward(40 * MINUTE)
    await flow.tab.run((req) => {
      assert.equal(req.session.user, 'ada')
      if (n % 2) req.session.count = n
    })
  }
  await assertLives(flow, HOUR)
})

test('cookie.expires of a session that was just touched is not one that is past', async (t) => {
  const { app, clock, tab, sid } = await signedInNow(t, { user: 'ada' }, HOURLY)
  clock.forward(50 * MINUTE)
  await tab.sees()
  clock.forward(20 * MINUTE)

  const expires = new Date((await app.stored(sid)).cookie.expires)
  assert.equal(expires - Date.now(), 40 * MINUTE)
  await tab.run((req) => {
    assert.equal(req.session.cookie.maxAge, 40 * MINUTE)
    assert.equal(req.session.cookie.originalMaxAge, HOUR)
  })
})

test('touchAfter skips touches that would move the expiry by less', async (t) => {
  const storeOptions = { touchAfter: 600 }
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY, storeOptions)
  flow.clock.forward(5 * MINUTE)
  await flow.tab.sees()
  assert.deepEqual(dataOf(await flow.app.stored(flow.sid)), { user: 'ada' })
  await assertLives(flow, 55 * MINUTE)
})

test('a request that reads twice as often does not make the session live longer', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
  const held = []
  for (let n = 0; n < 5; n++) held.push(await flow.tab.hold(() => {}))
  flow.clock.forward(10 * MINUTE)
  for (const request of held) await request.finish()
  await assertLives(flow, HOUR)
})

test('a save in the middle of a request leaves alone what a touch has moved', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
  const { app, clock, sid } = flow
  const late = await flow.tab.hold(async (req) => {
    req.session.theme = 'dark'
    await call(req.session, 'save')
    const { cookie } = await app.stored(sid)
    return new Date(cookie.expires) - Date.now()
  })
  clock.forward(30 * MINUTE)
  await flow.tab.sees()
  clock.forward(10 * MINUTE)

  assert.equal((await late.finish()).body, 50 * MINUTE)
  assert.deepEqual(dataOf(await app.stored(sid)), { user: 'ada', theme: 'dark' })
  await assertLives(flow, HOUR)
})

test('rolling: true sends the cookie with every response and moves it', async (t) => {
  const { clock, tab, sid } = await signedInNow(t, { user: 'ada' }, { ...HOURLY, rolling: true })
  const first = Date.parse(tab.cookie.expires)
  clock.forward(30 * MINUTE)
  const { cookies } = await tab.run(() => {})
  assert.equal(cookies.length, 1)
  assert.equal(Date.parse(cookies[0].expires) - first, 30 * MINUTE)
  assert.equal(tab.sid, sid)
})

test('without rolling the cookie is sent once', async (t) => {
  const { tab } = await signedInNow(t, { user: 'ada' }, HOURLY)
  const { cookies } = await tab.run(() => {})
  assert.deepEqual(cookies, [])
})

for (const [how, end] of [
  [
    'cookie.expires in the past',
    (req) => {
      req.session.cookie.expires = new Date(Date.now() - SECOND)
    },
  ],
  [
    'cookie.maxAge = 0',
    (req) => {
      req.session.cookie.maxAge = 0
    },
  ],
]) {
  test(`${how} ends the session, and a late save does not bring it back`, async (t) => {
    const { app, tab, sid } = await signedInNow(t, { user: 'ada' }, HOURLY)
    const late = await tab.hold((req) => {
      req.session.theme = 'dark'
    })
    await tab.run(end)
    assert.equal(await app.stored(sid), undefined)
    assert.equal(await app.length(), 0)
    await late.finish()

    assert.equal(await app.stored(sid), undefined)
    await app.quiet()
    assert.deepEqual(app.gone, [sid])
  })

  test(`${how} with changed data ends the session, whatever another request saved`, async (t) => {
    const { app, tab, sid } = await signedInNow(t, { user: 'ada' }, HOURLY)
    const late = await tab.hold((req) => {
      end(req)
      req.session.last = true
    })
    await tab.run((req) => {
      req.session.theme = 'dark'
    })
    await late.finish()
    assert.equal(await app.stored(sid), undefined)
    assert.equal(await app.length(), 0)
  })

  test(`${how} ends the session, whatever another request saved meanwhile`, async (t) => {
    const { app, tab, sid } = await signedInNow(t, { user: 'ada' }, HOURLY)
    const late = await tab.hold(end)
    await tab.run((req) => {
      req.session.theme = 'dark'
    })
    await late.finish()
    assert.equal(await app.stored(sid), undefined)
  })
}

test('without maxAge the browser gets a session cookie, the store keeps it a day', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' })
  assert.equal(flow.tab.cookie.expires, undefined)
  assert.equal(flow.tab.cookie['max-age'], undefined)
  await assertLives(flow, DAY)
})

test('without maxAge each request moves the expiry: saves and touches', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' })
  flow.clock.forward(20 * HOUR)
  assert.deepEqual(await flow.tab.sees(), { user: 'ada' })
  flow.clock.forward(20 * HOUR)
  await flow.tab.run((req) => {
    req.session.theme = 'dark'
  })
  flow.clock.forward(20 * HOUR)
  assert.deepEqual(await flow.tab.sees(), { user: 'ada', theme: 'dark' })
  assert.equal((await flow.app.stored(flow.sid)).cookie.expires, null)
  await assertLives(flow, DAY)
})

test('without maxAge the ttl option says how long', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, {}, { ttl: 90 })
  await assertLives(flow, 90 * SECOND)
})

test('a number as ttl does not touch what maxAge says', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY, { ttl: 90 })
  await assertLives(flow, HOUR)
})

test('a ttl function decides for each session', async (t) => {
  const ttl = (session) => (session.user ? 600 : 60)
  const clock = fakeClock(t)
  const app = await startApp(t, {
    session: { ...HOURLY, saveUninitialized: true },
    storeOptions: { ttl },
  })
  const [guest, member] = [app.browser(), app.browser()]
  await guest.run(() => {})
  await member.run((req) => {
    req.session.user = 'ada'
  })
  clock.forward(MINUTE)
  assert.equal(await app.stored(guest.sid), undefined)
  await assertLives({ app, clock, sid: member.sid }, 9 * MINUTE)
})

test('saveUninitialized: true keeps and sends a session nobody wrote to', async (t) => {
  const app = await startApp(t, { session: { saveUninitialized: true } })
  const tab = app.browser()
  assert.equal((await tab.run(() => {})).cookies.length, 1)
  assert.equal(await app.length(), 1)
  assert.deepEqual(dataOf(await app.stored(tab.sid)), {})
})

test('saveUninitialized: false keeps and sends only a session somebody wrote to', async (t) => {
  const app = await startApp(t)
  const tab = app.browser()
  assert.deepEqual((await tab.run(() => {})).cookies, [])
  assert.equal(await app.length(), 0)
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  assert.equal(await app.length(), 1)
  assert.deepEqual(await tab.sees(), { user: 'ada' })
})

test('of sessions that are over nothing is listed or counted', async (t) => {
  const { app, clock } = await signedInNow(t, { user: 'ada' }, HOURLY)
  for (let n = 0; n < 20; n++) {
    await app.browser().run((req) => {
      req.session.n = n
    })
  }
  assert.equal(await app.length(), 21)
  clock.forward(HOUR)
  assert.equal(await app.length(), 0)
  assert.deepEqual(await call(app.store, 'ids'), [])
  assert.equal((await app.store.stats()).sessions, 0)
})
