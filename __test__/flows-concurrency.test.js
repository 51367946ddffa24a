// Requests of one session that run at once, through Express: what each of them changed is kept.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { signedIn } = require('./flows/app')

test('two requests that change different keys', async (t) => {
  const { app, tab } = await signedIn(t, { user: 'ada' })
  const late = await tab.hold((req) => {
    req.session.language = 'en'
  })
  await tab.run((req) => {
    req.session.theme = 'dark'
  })
  await late.finish()

  assert.deepEqual(await tab.sees(), { user: 'ada', language: 'en', theme: 'dark' })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
  const { merges, conflicts, refused } = await app.store.stats()
  assert.deepEqual({ merges, conflicts, refused }, { merges: 1, conflicts: 0, refused: 0 })
})

test('many requests at once, each with a key of its own', async (t) => {
  const { app, tab } = await signedIn(t, { user: 'ada' })
  const held = []
  for (let n = 0; n < 20; n++) {
    held.push(
      await tab.hold((req) => {
        req.session[`key${n}`] = n
      }),
    )
  }
  await Promise.all(held.map((request) => request.finish()))

  const expected = { user: 'ada' }
  for (let n = 0; n < 20; n++) expected[`key${n}`] = n
  assert.deepEqual(await tab.sees(), expected)
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('two tabs that add to one cart', async (t) => {
  const { app, tab } = await signedIn(t, { cart: { bread: { count: 1 } } })
  const late = await tab.hold((req) => {
    req.session.cart.apples = { count: 6 }
  })
  await tab.run((req) => {
    req.session.cart.milk = { count: 2 }
    req.session.cart.bread.count = 3
  })
  await late.finish()

  const expected = { bread: { count: 3 }, milk: { count: 2 }, apples: { count: 6 } }
  assert.deepEqual(await tab.sees(), { cart: expected })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('two tabs that both begin the cart', async (t) => {
  const { app, tab } = await signedIn(t, { user: 'ada' })
  const late = await tab.hold((req) => {
    req.session.cart ??= {}
    req.session.cart.apples = 6
  })
  await tab.run((req) => {
    req.session.cart ??= {}
    req.session.cart.milk = 2
  })
  await late.finish()

  assert.deepEqual(await tab.sees(), { user: 'ada', cart: { milk: 2, apples: 6 } })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('one tab removes from the cart what the other leaves alone', async (t) => {
  const { tab } = await signedIn(t, { cart: { bread: 1, milk: 2 } })
  const late = await tab.hold((req) => {
    delete req.session.cart.milk
  })
  await tab.run((req) => {
    req.session.cart.apples = 6
  })
  await late.finish()
  assert.deepEqual(await tab.sees(), { cart: { bread: 1, apples: 6 } })
})

test('one scalar that both change: the later save has it, and the app is told', async (t) => {
  const { app, tab } = await signedIn(t, { settings: { theme: 'light', language: 'en' } })
  const late = await tab.hold((req) => {
    req.session.settings.theme = 'dark'
  })
  await tab.run((req) => {
    req.session.settings.theme = 'blue'
    req.session.settings.language = 'fr'
  })
  await late.finish()

  assert.deepEqual(await tab.sees(), { settings: { theme: 'dark', language: 'fr' } })
  await app.quiet()
  assert.deepEqual(app.conflicts, [{ sid: tab.sid, paths: [['settings', 'theme']] }])
  assert.equal((await app.store.stats()).conflicts, 1)
})

test('the same value on both sides is no conflict', async (t) => {
  const { app, tab } = await signedIn(t, { visited: 'home' })
  const late = await tab.hold((req) => {
    req.session.visited = 'cart'
    req.session.late = true
  })
  await tab.run((req) => {
    req.session.visited = 'cart'
  })
  await late.finish()

  assert.deepEqual(await tab.sees(), { visited: 'cart', late: true })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('an array is a unit: the later save has it, and the app is told', async (t) => {
  const { app, tab } = await signedIn(t, { history: ['a'], seen: ['x'] })
  const late = await tab.hold((req) => {
    req.session.history.push('late')
  })
  await tab.run((req) => {
    req.session.history.push('early')
    req.session.seen.push('y')
  })
  await late.finish()

  assert.deepEqual(await tab.sees(), { history: ['a', 'late'], seen: ['x', 'y'] })
  await app.quiet()
  assert.deepEqual(app.conflicts, [{ sid: tab.sid, paths: [['history']] }])
})

for (const order of ['deleted first', 'changed first']) {
  test(`what one request deleted stays so, whatever the other changed in it: ${order}`, async (t) => {
    const { app, tab } = await signedIn(t, { draft: { title: 'one', body: 'two' } })
    const remove = (req) => {
      delete req.session.draft
    }
    const change = (req) => {
      req.session.draft.title = 'other'
    }
    const [first, second] = order === 'deleted first' ? [remove, change] : [change, remove]
    const late = await tab.hold(second)
    await tab.run(first)
    await late.finish()

    assert.deepEqual(await tab.sees(), {})
    await app.quiet()
    assert.equal(app.conflicts.length, 1)
    assert.equal(app.conflicts[0].paths[0][0], 'draft')
  })
}

test('two identities under one key never mix, and the later save has the key', async (t) => {
  const admin = { id: 1, name: 'Ada', roles: { admin: true } }
  const guest = { id: 2, name: 'Guest', roles: {} }
  const rename = (req) => {
    req.session.user.name = 'Countess'
  }
  const change = (req) => {
    req.session.user = guest
  }
  const renamed = { ...admin, name: 'Countess' }
  for (const [first, second, expected] of [
    [rename, change, guest],
    [change, rename, renamed],
  ]) {
    const { app, tab } = await signedIn(t, { user: admin })
    const late = await tab.hold(second)
    await tab.run(first)
    await late.finish()
    assert.deepEqual(await tab.sees(), { user: expected })
    await app.quiet()
    assert.deepEqual(app.conflicts, [{ sid: tab.sid, paths: [['user']] }])
  }
})

test('atomic names the units of an app', async (t) => {
  const address = { street: 'Long Lane', city: 'York' }
  const options = { storeOptions: { atomic: ['address'] } }
  const { app, tab } = await signedIn(t, { address, user: { id: 1 } }, options)
  const late = await tab.hold((req) => {
    req.session.address.city = 'Leeds'
    req.session.user.seen = true
  })
  await tab.run((req) => {
    req.session.address.street = 'High Road'
    req.session.user.name = 'Ada'
  })
  await late.finish()

  const expected = { street: 'Long Lane', city: 'Leeds' }
  const user = { id: 1, name: 'Ada', seen: true }
  assert.deepEqual(await tab.sees(), { address: expected, user })
  await app.quiet()
  assert.deepEqual(app.conflicts, [{ sid: tab.sid, paths: [['address']] }])
})
