// Several saves of one request, and saves that change nothing, through Express: what each of them
// starts from.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { call, makeGate, signedIn } = require('./flows/app')

test('a request that saves twice around the change of another undoes nothing', async (t) => {
  const { app, tab } = await signedIn(t, { step: 0 })
  const gate = makeGate()
  const twice = tab.run(async (req) => {
    req.session.step = 1
    await call(req.session, 'save')
    await gate.pass()
    req.session.mine = 'later'
  })
  await gate.arrived
  await tab.run((req) => {
    assert.equal(req.session.step, 1)
    req.session.step = 5
    req.session.other = 'between'
  })
  gate.open()
  await twice

  assert.deepEqual(await tab.sees(), { step: 5, other: 'between', mine: 'later' })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('a merged save is no false deletion in the next save of the same request', async (t) => {
  const { app, tab } = await signedIn(t, { cart: { bread: 1 } })
  const [started, merged] = [makeGate(), makeGate()]
  const thrice = tab.run(async (req) => {
    await started.pass()
    req.session.cart.apples = 6
    await call(req.session, 'save')
    await merged.pass()
    req.session.cart.pears = 3
    await call(req.session, 'save')
    req.session.done = true
  })
  await started.arrived
  await tab.run((req) => {
    req.session.cart.milk = 2
    req.session.other = true
  })
  started.open()
  await merged.arrived
  await tab.run((req) => {
    assert.deepEqual(req.session.cart, { bread: 1, milk: 2, apples: 6 })
    req.session.cart.butter = 1
  })
  merged.open()
  await thrice

  const cart = { bread: 1, milk: 2, apples: 6, butter: 1, pears: 3 }
  assert.deepEqual(await tab.sees(), { cart, other: true, done: true })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('saves that nobody waits for are made in their order', async (t) => {
  const { app, tab } = await signedIn(t, { step: 0 })
  const late = await tab.hold((req) => {
    for (let step = 1; step <= 50; step++) {
      req.session.step = step
      req.session.save()
    }
  })
  await tab.run((req) => {
    req.session.other = true
  })
  await late.finish()
  assert.deepEqual(await tab.sees(), { step: 50, other: true })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('three saves of one request, each beside the change of another, with a key that comes and goes', async (t) => {
  const { app, tab } = await signedIn(t, { cart: {} })
  const gates = [makeGate(), makeGate(), makeGate()]
  const changes = [
    (session) => {
      session.cart.apples = 1
    },
    (session) => {
      delete session.cart.apples
    },
    (session) => {
      session.cart.apples = 3
    },
  ]
  const slow = tab.run(async (req) => {
    for (const [n, change] of changes.entries()) {
      await gates[n].pass()
      change(req.session)
      await call(req.session, 'save')
    }
  })
  for (const [n, expected] of [{}, { apples: 1 }, {}].entries()) {
    await gates[n].arrived
    await tab.run((req) => {
      assert.equal(req.session.cart.apples, expected.apples)
      req.session.cart[`other${n}`] = n
    })
    gates[n].open()
  }
  await slow
  const cart = { other0: 0, other1: 1, other2: 2, apples: 3 }
  assert.deepEqual(await tab.sees(), { cart })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('a save that failed is not what the next one starts from', async (t) => {
  const { tab } = await signedIn(t, { note: 'first' }, { storeOptions: { maxSessionBytes: 1000 } })
  const gate = makeGate()
  const failing = tab.run(async (req) => {
    delete req.session.note
    req.session.upload = 'x'.repeat(2000)
    const error = await call(req.session, 'save').catch((reason) => reason)
    await gate.pass()
    delete req.session.upload
    req.session.name = 'mine'
    return error?.code
  })
  await gate.arrived
  assert.deepEqual(await tab.sees(), { note: 'first' })
  await tab.run((req) => {
    req.session.other = true
  })
  gate.open()

  assert.equal((await failing).body, 'ERR_STORE_TOO_LARGE')
  assert.deepEqual(await tab.sees(), { other: true, name: 'mine' })
})

test('reload shows what others saved, drops unsaved changes, and is saved from there', async (t) => {
  const { app, tab } = await signedIn(t, { count: 1 })
  const gate = makeGate()
  const reloading = tab.run(async (req) => {
    req.session.unsaved = true
    await gate.pass()
    const before = req.session
    await call(req.session, 'reload')
    assert.notEqual(req.session, before)
    assert.equal(req.session.unsaved, undefined)
    assert.deepEqual(req.session.list, ['other'])
    req.session.list.push('mine')
    req.session.count++
  })
  await gate.arrived
  await tab.run((req) => {
    req.session.count = 10
    req.session.list = ['other']
  })
  gate.open()
  assert.equal((await reloading).status, 200)

  assert.deepEqual(await tab.sees(), { count: 11, list: ['other', 'mine'] })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('resave: true, a request that changed nothing undoes nothing', async (t) => {
  const { app, tab } = await signedIn(t, { user: 'ada' }, { session: { resave: true } })
  const late = await tab.hold(() => {})
  await tab.run((req) => {
    req.session.theme = 'dark'
  })
  await late.finish()

  assert.deepEqual(await tab.sees(), { user: 'ada', theme: 'dark' })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('a request that only reads undoes nothing', async (t) => {
  const { tab } = await signedIn(t, { user: 'ada' }, { session: { cookie: { maxAge: 60000 } } })
  const late = await tab.hold((req) => req.session.theme)
  await tab.run((req) => {
    req.session.theme = 'dark'
  })
  await late.finish()
  assert.deepEqual(await tab.sees(), { user: 'ada', theme: 'dark' })
})

test('the first two requests of a session that saveUninitialized began', async (t) => {
  const { tab } = await signedIn(t, {}, { session: { saveUninitialized: true } })
  const late = await tab.hold((req) => {
    req.session.a = 1
  })
  await tab.run((req) => {
    req.session.b = 2
  })
  await late.finish()
  assert.deepEqual(await tab.sees(), { b: 2, a: 1 })
})

test('merge: false, the last save wins and nothing is merged', async (t) => {
  const { app, tab } = await signedIn(t, { user: 'ada' }, { storeOptions: { merge: false } })
  const late = await tab.hold((req) => {
    req.session.language = 'en'
  })
  await tab.run((req) => {
    req.session.theme = 'dark'
  })
  await late.finish()

  assert.deepEqual(await tab.sees(), { user: 'ada', language: 'en' })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
  const { merges, conflicts, refused } = await app.store.stats()
  assert.deepEqual({ merges, conflicts, refused }, { merges: 0, conflicts: 0, refused: 0 })
})

test('merge: false, a session that was destroyed stays gone all the same', async (t) => {
  const { app, tab } = await signedIn(t, { user: 'ada' }, { storeOptions: { merge: false } })
  const { sid } = tab
  const late = await tab.hold((req) => {
    req.session.language = 'en'
  })
  await tab.run((req) => call(req.session, 'destroy'))
  await late.finish()

  assert.equal(await app.stored(sid), undefined)
  await app.quiet()
  assert.deepEqual(app.gone, [sid])
})
