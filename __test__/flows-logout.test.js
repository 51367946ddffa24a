// Sessions that end while other requests still hold them, through Express: what is gone stays gone.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const {
  call,
  fakeClock,
  makeGate,
  signedIn,
  startApp,
  DAY,
  MINUTE,
  assertGone,
} = require('./flows/app')

const signOut = (req) => call(req.session, 'destroy')

test('a request that saves after the logout does not bring the session back', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  const { tab, sid } = flow
  const late = await tab.hold((req) => {
    req.session.theme = 'dark'
    return 'fine'
  })
  await tab.run(signOut)
  const reply = await late.finish()

  assert.equal(reply.body, 'fine')
  await assertGone(flow, 1)
  assert.deepEqual(await tab.sees(), {})
  assert.equal(await flow.app.length(), 0)
  const again = flow.app.browser()
  await again.run((req) => {
    req.session.user = 'ada'
  })
  assert.notEqual(again.sid, sid)
})

test('a request that only reads across the logout does not bring the session back', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, { session: { cookie: { maxAge: MINUTE } } })
  const late = await flow.tab.hold(() => 'fine')
  await flow.tab.run(signOut)
  assert.equal((await late.finish()).body, 'fine')
  await assertGone(flow, 0)
})

test('resave: true does not bring the session back', async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, { session: { resave: true } })
  const late = await flow.tab.hold(() => 'fine')
  await flow.tab.run(signOut)
  assert.equal((await late.finish()).status, 200)
  await assertGone(flow, 1)
})

test('saving again and again does not bring the session back', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  const late = await flow.tab.hold(async (req) => {
    req.session.step = 1
    await call(req.session, 'save')
    req.session.step = 2
    await call(req.session, 'save')
    req.session.step = 3
  })
  await flow.tab.run(signOut)
  assert.equal((await late.finish()).status, 200)
  await assertGone(flow, 3)
})

test('a request that saved before the logout does not bring the session back after it', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  const gate = makeGate()
  const twice = flow.tab.run(async (req) => {
    req.session.step = 1
    await call(req.session, 'save')
    await gate.pass()
    req.session.step = 2
  })
  await gate.arrived
  await flow.tab.run(signOut)
  gate.open()
  assert.equal((await twice).status, 200)
  await assertGone(flow, 1)
})

test('a request that began the session itself does not bring it back', async (t) => {
  const app = await startApp(t)
  const tab = app.browser()
  const gate = makeGate()
  let sid
  const first = tab.run(async (req) => {
    sid = req.sessionID
    req.session.user = 'ada'
    await call(req.session, 'save')
    await gate.pass()
    req.session.more = true
  })
  await gate.arrived
  await call(app.store, 'destroy', sid)
  gate.open()
  await first
  await assertGone({ app, sid }, 1)
})

test('destroying twice is fine', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  const late = await flow.tab.hold(signOut)
  await flow.tab.run(signOut)
  assert.equal((await late.finish()).status, 200)
  await assertGone(flow, 0)
})

for (const [how, signOutByKey, left] of [
  ['delete req.session.user', (req) => delete req.session.user, {}],
  [
    'req.session.user = null',
    (req) => {
      req.session.user = null
    },
    { user: null },
  ],
]) {
  const change = (req) => {
    req.session.user.seen = 'now'
    req.session.theme = 'dark'
  }

  test(`logout by ${how}, a late change beneath it`, async (t) => {
    const { app, tab, sid } = await signedIn(t, { user: { id: 1 } })
    const late = await tab.hold(change)
    await tab.run((req) => void signOutByKey(req))
    await late.finish()

    assert.deepEqual(await tab.sees(), { ...left, theme: 'dark' })
    await app.quiet()
    assert.deepEqual(app.conflicts, [{ sid, paths: [['user']] }])
  })

  test(`a late logout by ${how}, a change beneath it before`, async (t) => {
    const { app, tab, sid } = await signedIn(t, { user: { id: 1 } })
    const late = await tab.hold((req) => void signOutByKey(req))
    await tab.run(change)
    await late.finish()

    assert.deepEqual(await tab.sees(), { ...left, theme: 'dark' })
    await app.quiet()
    assert.deepEqual(app.conflicts, [{ sid, paths: [['user']] }])
  })

  test(`logout by ${how} holds for a key that is not atomic too`, async (t) => {
    const { app, tab } = await signedIn(t, { user: { id: 1 } }, { storeOptions: { atomic: [] } })
    const late = await tab.hold(change)
    await tab.run((req) => void signOutByKey(req))
    await late.finish()

    assert.deepEqual(await tab.sees(), { ...left, theme: 'dark' })
    await app.quiet()
    assert.equal(app.conflicts.length, 1)
  })
}

test('a long request whose session expired meanwhile does not bring it back', async (t) => {
  const clock = fakeClock(t)
  const flow = await signedIn(t, { user: 'ada' }, { session: { cookie: { maxAge: MINUTE } } })
  const late = await flow.tab.hold((req) => {
    req.session.report = 'done'
  })
  clock.forward(DAY)
  assert.equal((await late.finish()).status, 200)
  await assertGone(flow, 1)
})

test('regenerate: a new id, the old one is dead, also for who saves it late', async (t) => {
  const { app, tab, sid } = await signedIn(t, { cart: { bread: 1 } })
  const thief = tab.copy()
  const late = await tab.hold((req) => {
    req.session.cart.milk = 2
  })
  await tab.run(async (req) => {
    const { cart } = req.session
    await call(req.session, 'regenerate')
    req.session.cart = cart
    req.session.user = 'ada'
  })
  assert.notEqual(tab.sid, sid)
  await late.finish()

  assert.deepEqual(await tab.sees(), { cart: { bread: 1 }, user: 'ada' })
  assert.deepEqual(await thief.sees(), {})
  await assertGone({ app, sid }, 1)
  assert.equal(await app.length(), 1)
})

test('regenerate within two requests at once: two sessions, the old one is dead', async (t) => {
  const { app, tab, sid } = await signedIn(t, { visits: 1 })
  const other = tab.copy()
  const signIn = (user) => async (req) => {
    await call(req.session, 'regenerate')
    req.session.user = user
  }
  const late = await tab.hold(signIn('ada'))
  await other.run(signIn('grace'))
  await late.finish()

  assert.deepEqual(await tab.sees(), { user: 'ada' })
  assert.deepEqual(await other.sees(), { user: 'grace' })
  assert.equal(await app.stored(sid), undefined)
  assert.equal(await app.length(), 2)
})

test('a session object that is saved under another sid is a new session', async (t) => {
  const { app, tab, sid } = await signedIn(t, { user: 'ada' })
  await tab.run(async (req) => {
    const old = req.session
    await call(old, 'regenerate')
    await call(app.store, 'set', req.sessionID, old)
    await call(req.session, 'reload')
  })
  assert.notEqual(tab.sid, sid)
  assert.equal(await app.stored(sid), undefined)
  assert.deepEqual(await tab.sees(), { user: 'ada' })
  await app.quiet()
  assert.deepEqual(app.gone, [])
})

test('reload after the logout is an error, and saves nothing', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  const late = await flow.tab.hold(async (req) => {
    const error = await call(req.session, 'reload').catch((reason) => reason)
    req.session.theme = 'dark'
    return error?.message
  })
  await flow.tab.run(signOut)
  assert.equal((await late.finish()).body, 'failed to load session')
  await assertGone(flow, 1)
})

test("unset: 'destroy', a session set to null is destroyed and stays gone", async (t) => {
  const flow = await signedIn(t, { user: 'ada' }, { session: { unset: 'destroy' } })
  const late = await flow.tab.hold((req) => {
    req.session.theme = 'dark'
  })
  const reply = await flow.tab.run((req) => {
    req.session = null
    return 'bye'
  })
  assert.equal(reply.body, 'bye')
  assert.equal(await flow.app.stored(flow.sid), undefined)
  await late.finish()
  await assertGone(flow, 1)
})

test("unset: 'keep', a session set to null stays as it was", async (t) => {
  const { app, tab } = await signedIn(t, { user: 'ada' })
  await tab.run((req) => {
    req.session.theme = 'dark'
    req.session = null
  })
  assert.deepEqual(await tab.sees(), { user: 'ada' })
  assert.deepEqual(app.gone, [])
})

test('clear signs everyone out, also who saves late', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  const late = await flow.tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await call(flow.app.store, 'clear')
  await late.finish()
  await assertGone(flow, 1)
  assert.equal(await flow.app.length(), 0)
})

test('a browser whose session was ended elsewhere signs in anew under another sid', async (t) => {
  const { app, tab, sid } = await signedIn(t, { user: 'ada' })
  await tab.copy().run(signOut)
  await tab.run((req) => {
    req.session.user = 'grace'
  })
  assert.notEqual(tab.sid, sid)
  assert.deepEqual(await tab.sees(), { user: 'grace' })
  await app.quiet()
  assert.deepEqual(app.gone, [])
})
