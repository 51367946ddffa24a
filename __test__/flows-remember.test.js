// Requests that change how long their session lives, through Express: whose expiry holds beside
// other requests at once.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { call, dataOf, DAY, HOUR, MINUTE } = require('./flows/app')
const { assertLives, signedInNow, HOURLY } = require('./flows/clock')

const rememberMe = (req) => {
  req.session.cookie.maxAge = 30 * DAY
}

test('"remember me" that only changes maxAge is kept', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
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
  const { clock, tab } = await signedInNow(t, { user: 'ada' }, { ...HOURLY, rolling: true })
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
    const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
    const late = await flow.tab.hold(change)
    flow.clock.forward(MINUTE)
    await flow.tab.run(rememberMe)
    flow.clock.forward(MINUTE)
    await late.finish()

    flow.clock.forward(2 * DAY)
    const stored = await flow.app.stored(flow.sid)
    assert.deepEqual(dataOf(stored), data)
    assert.equal(stored.cookie.originalMaxAge, 30 * DAY)
    await flow.tab.run((req) => assert.equal(req.session.cookie.originalMaxAge, 30 * DAY))
    await assertLives(flow, 30 * DAY)
  })

  test(`"remember me" holds after a request at once that ${what} has ended first`, async (t) => {
    const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
    const late = await flow.tab.hold(rememberMe)
    flow.clock.forward(MINUTE)
    await flow.tab.run(change)
    flow.clock.forward(MINUTE)
    await late.finish()

    const stored = await flow.app.stored(flow.sid)
    assert.deepEqual(dataOf(stored), data)
    assert.equal(stored.cookie.originalMaxAge, 30 * DAY)
    await assertLives(flow, 30 * DAY)
  })
}

test('"remember me" together with data, beside another change', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
  const late = await flow.tab.hold((req) => {
    rememberMe(req)
    req.session.remembered = true
  })
  await flow.tab.run((req) => {
    req.session.theme = 'dark'
  })
  flow.clock.forward(MINUTE)
  await late.finish()

  const stored = await flow.app.stored(flow.sid)
  assert.deepEqual(dataOf(stored), { user: 'ada', theme: 'dark', remembered: true })
  await flow.app.quiet()
  assert.deepEqual(flow.app.conflicts, [])
  await assertLives(flow, 30 * DAY)
})

test('"remember me" after a save in the middle of the request', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
  await flow.tab.run(async (req) => {
    req.session.remembered = true
    await call(req.session, 'save')
    rememberMe(req)
  })
  const stored = await flow.app.stored(flow.sid)
  assert.deepEqual(dataOf(stored), { user: 'ada', remembered: true })
  assert.equal(stored.cookie.originalMaxAge, 30 * DAY)
  await assertLives(flow, 30 * DAY)
})

test('"do not remember me" shortens the session', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, { cookie: { maxAge: 30 * DAY } })
  const late = await flow.tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await flow.tab.run((req) => {
    req.session.cookie.maxAge = HOUR
  })
  flow.clock.forward(MINUTE)
  await late.finish()

  const stored = await flow.app.stored(flow.sid)
  assert.deepEqual(dataOf(stored), { user: 'ada', theme: 'dark' })
  assert.equal(stored.cookie.originalMaxAge, HOUR)
  await assertLives(flow, 59 * MINUTE)
})

test('"do not remember me" beside a request that only reads', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, { cookie: { maxAge: 30 * DAY } })
  await flow.tab.run((req) => {
    req.session.cookie.maxAge = HOUR
  })
  assert.equal((await flow.app.stored(flow.sid)).cookie.originalMaxAge, HOUR)
  await assertLives(flow, HOUR)
})

for (const never of [false, null]) {
  test(`"for this browser session only": cookie.expires = ${never}`, async (t) => {
    const flow = await signedInNow(t, { user: 'ada' }, { cookie: { maxAge: 30 * DAY } })
    const late = await flow.tab.hold((req) => {
      req.session.theme = 'dark'
    })
    await flow.tab.run((req) => {
      req.session.cookie.expires = never
    })
    flow.clock.forward(MINUTE)
    await late.finish()
    const stored = await flow.app.stored(flow.sid)
    assert.deepEqual(dataOf(stored), { user: 'ada', theme: 'dark' })
    assert.equal(stored.cookie.expires ?? false, false)
    flow.clock.forward(20 * HOUR)
    assert.deepEqual(await flow.tab.sees(), { user: 'ada', theme: 'dark' })
    await assertLives(flow, DAY)
  })
}

test('"do not remember me" is not undone by a request at once that reads', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, { cookie: { maxAge: 30 * DAY } })
  const late = await flow.tab.hold(() => {})
  await flow.tab.run((req) => {
    req.session.cookie.maxAge = HOUR
  })
  flow.clock.forward(MINUTE)
  await late.finish()
  assert.equal((await flow.app.stored(flow.sid)).cookie.originalMaxAge, HOUR)
  await flow.tab.sees()
  await assertLives(flow, HOUR)
})

test('cookie.expires set to a date holds, beside a change', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' }, HOURLY)
  const late = await flow.tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await flow.tab.run((req) => {
    req.session.cookie.expires = new Date(Date.now() + 7 * DAY)
  })
  await late.finish()
  assert.deepEqual(dataOf(await flow.app.stored(flow.sid)), { user: 'ada', theme: 'dark' })
  await assertLives(flow, 7 * DAY)
})

test('another cookie field that a request changes is kept, without a conflict', async (t) => {
  const { app, tab, sid } = await signedInNow(t, { user: 'ada' }, HOURLY)
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

test('a session cookie that "remember me" gives a maxAge', async (t) => {
  const flow = await signedInNow(t, { user: 'ada' })
  const late = await flow.tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await flow.tab.run(rememberMe)
  flow.clock.forward(DAY / 2)
  await late.finish()

  const stored = await flow.app.stored(flow.sid)
  assert.deepEqual(dataOf(stored), { user: 'ada', theme: 'dark' })
  assert.equal(stored.cookie.originalMaxAge, 30 * DAY)
  await assertLives(flow, 29.5 * DAY)
})
