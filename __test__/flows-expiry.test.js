// How long a session lives, through Express: who moved its expiry, and what requests at once make
// of that.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { call, dataOf, fakeClock, startApp, DAY, HOUR, MINUTE, SECOND } = require('./flows/app')

/** An app with a clock, and a browser whose session holds `data` since now. */
async function signedIn(t, data, session, storeOptions) {
  const clock = fakeClock(t)
  const app = await startApp(t, { session, storeOptions })
  const tab = app.browser({ forgets: false })
  await tab.run((req) => {
    Object.assign(req.session, structuredClone(data))
  })
  return { app, clock, tab, sid: tab.sid }
}

const HOURLY = { cookie: { maxAge: HOUR } }

const rememberMe = (req) => {
  req.session.cookie.maxAge = 30 * DAY
}

/** Asserts that the session is there for exactly `ms` more. */
async function assertLives({ app, clock, sid }, ms) {
  clock.forward(ms - 1)
  assert.notEqual(await app.stored(sid), undefined, 'it is over too early')
  clock.forward(1)
  assert.equal(await app.stored(sid), undefined, 'it lives too long')
}

test('a session ends at the millisecond its maxAge says', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, HOURLY)
  await assertLives(flow, HOUR)
  assert.deepEqual(await flow.tab.sees(), {})
  assert.equal(await flow.app.length(), 0)
})

test('each request moves the expiry, whether or not it changes data', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, HOURLY)
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
  const { app, clock, tab, sid } = await signedIn(t, { user: 'ada' }, HOURLY)
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
  const flow = await signedIn(t, { user: 'ada' }, HOURLY, storeOptions)
  flow.clock.forward(5 * MINUTE)
  await flow.tab.sees()
  assert.deepEqual(dataOf(await flow.app.stored(flow.sid)), { user: 'ada' })
  await assertLives(flow, 55 * MINUTE)
})

test('"remember me" that only changes maxAge is kept', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, HOURLY)
  await flow.tab.run(rememberMe)
  flow.clock.forward(DAY)
  await flow.tab.run((req) => {
    assert.equal(req.session.user, 'ada')
    assert.equal(req.session.cookie.originalMaxAge, 30 * DAY)
    assert.equal(req.session.cookie.maxAge, 29 * DAY)
  })
  await assertLives(flow, 30 * DAY)
})

test('"remember me" reaches the browser where rolling is on', async (t) => {
  const { clock, tab } = await signedIn(t, { user: 'ada' }, { ...HOURLY, rolling: true })
  const { cookies } = await tab.run(rememberMe)
  assert.equal(Math.round((Date.parse(cookies[0].expires) - Date.now()) / DAY), 30)
  clock.forward(10 * DAY)
  const later = await tab.run((req) => req.session.user)
  assert.equal(later.body, 'ada')
  assert.equal(Math.round((Date.parse(later.cookies[0].expires) - Date.now()) / DAY), 30)
})

for (const [what, change, data] of [
  ['reads', () => {}, { user: 'ada' }],
  [
    'changes data',
    (req) => {
      req.session.theme = 'dark'
    },
    { user: 'ada', theme: 'dark' },
  ],
]) {
  test(`"remember me" is not undone by a request at once that ${what}`, async (t) => {
    const flow = await signedIn(t, { user: 'ada' }, HOURLY)
    const late = await flow.tab.hold(change)
    await flow.tab.run(rememberMe)
    await late.finish()

    flow.clock.forward(2 * DAY)
    const stored = await flow.app.stored(flow.sid)
    assert.deepEqual(dataOf(stored), data)
    assert.equal(stored.cookie.originalMaxAge, 30 * DAY)
    await assertLives(flow, 28 * DAY)
  })

  test(`"remember me" holds after a request at once that ${what} has ended first`, async (t) => {
    const flow = await signedIn(t, { user: 'ada' }, HOURLY)
    const late = await flow.tab.hold(rememberMe)
    await flow.tab.run(change)
    await late.finish()

    const stored = await flow.app.stored(flow.sid)
    assert.deepEqual(dataOf(stored), data)
    assert.equal(stored.cookie.originalMaxAge, 30 * DAY)
    await assertLives(flow, 30 * DAY)
  })
}

test('"remember me" together with data, beside another change', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, HOURLY)
  const late = await flow.tab.hold((req) => {
    rememberMe(req)
    req.session.remembered = true
  })
  await flow.tab.run((req) => {
    req.session.theme = 'dark'
  })
  await late.finish()

  const stored = await flow.app.stored(flow.sid)
  assert.deepEqual(dataOf(stored), { user: 'ada', theme: 'dark', remembered: true })
  await flow.app.quiet()
  assert.deepEqual(flow.app.conflicts, [])
  await assertLives(flow, 30 * DAY)
})

test('"do not remember me" shortens the session', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, { cookie: { maxAge: 30 * DAY } })
  const late = await flow.tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await flow.tab.run((req) => {
    req.session.cookie.maxAge = HOUR
  })
  await late.finish()

  const stored = await flow.app.stored(flow.sid)
  assert.deepEqual(dataOf(stored), { user: 'ada', theme: 'dark' })
  assert.equal(stored.cookie.originalMaxAge, HOUR)
  await assertLives(flow, HOUR)
})

test('"do not remember me" beside a request that only reads', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, { cookie: { maxAge: 30 * DAY } })
  await flow.tab.run((req) => {
    req.session.cookie.maxAge = HOUR
  })
  assert.equal((await flow.app.stored(flow.sid)).cookie.originalMaxAge, HOUR)
  await assertLives(flow, HOUR)
})

test('another cookie field that a request changes is kept, without a conflict', async (t) => {
  const { app, tab, sid } = await signedIn(t, { user: 'ada' }, HOURLY)
  const late = await tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await tab.run((req) => {
    req.session.cookie.sameSite = 'strict'
  })
  await late.finish()

  const stored = await app.stored(sid)
  assert.equal(stored.cookie.sameSite, 'strict')
  assert.deepEqual(dataOf(stored), { user: 'ada', theme: 'dark' })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('a save in the middle of a request leaves alone what a touch has moved', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, HOURLY)
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
  const { clock, tab, sid } = await signedIn(t, { user: 'ada' }, { ...HOURLY, rolling: true })
  const first = Date.parse(tab.cookie.expires)
  clock.forward(30 * MINUTE)
  const { cookies } = await tab.run(() => {})
  assert.equal(cookies.length, 1)
  assert.equal(Date.parse(cookies[0].expires) - first, 30 * MINUTE)
  assert.equal(tab.sid, sid)
})

test('without rolling the cookie is sent once', async (t) => {
  const { tab } = await signedIn(t, { user: 'ada' }, HOURLY)
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
    const { app, tab, sid } = await signedIn(t, { user: 'ada' }, HOURLY)
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
    const { app, tab, sid } = await signedIn(t, { user: 'ada' }, HOURLY)
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
    const { app, tab, sid } = await signedIn(t, { user: 'ada' }, HOURLY)
    const late = await tab.hold(end)
    await tab.run((req) => {
      req.session.theme = 'dark'
    })
    await late.finish()
    assert.equal(await app.stored(sid), undefined)
  })
}

test('without maxAge the browser gets a session cookie, the store keeps it a day', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  assert.equal(flow.tab.cookie.expires, undefined)
  assert.equal(flow.tab.cookie['max-age'], undefined)
  await assertLives(flow, DAY)
})

test('without maxAge each request moves the expiry: saves and touches', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
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
  const flow = await signedIn(t, { user: 'ada' }, {}, { ttl: 90 })
  await assertLives(flow, 90 * SECOND)
})

test('a number as ttl does not touch what maxAge says', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, HOURLY, { ttl: 90 })
  await assertLives(flow, HOUR)
})

test('a ttl function decides for each session', async (t) => {
  const ttl = (session) => (session.user ? 600 : 60)
  const clock = fakeClock(t)
  const app = await startApp(t, { session: { ...HOURLY, saveUninitialized: true }, storeOptions: { ttl } })
  const [guest, member] = [app.browser(), app.browser()]
  await guest.run(() => {})
  await member.run((req) => {
    req.session.user = 'ada'
  })
  clock.forward(MINUTE)
  assert.equal(await app.stored(guest.sid), undefined)
  await assertLives({ app, clock, sid: member.sid }, 9 * MINUTE)
})

test('a session cookie that "remember me" gives a maxAge', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  const late = await flow.tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await flow.tab.run(rememberMe)
  await late.finish()

  const stored = await flow.app.stored(flow.sid)
  assert.deepEqual(dataOf(stored), { user: 'ada', theme: 'dark' })
  assert.equal(stored.cookie.originalMaxAge, 30 * DAY)
  await assertLives(flow, 30 * DAY)
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
  const { app, clock } = await signedIn(t, { user: 'ada' }, HOURLY)
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
