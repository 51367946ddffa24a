'use strict'
// The session of the guide's app, as a browser meets it over HTTP, through the public store: what it shows
// about sessions is what the README promises, so it is tested like the library.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { RustStore } = require('rust-session-store')
const { Browser, guide, only } = require('./guide/visit')

describe('guide: the session', () => {
  test('looking around stores nothing and sets no cookie', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    for (const page of ['/', '/cart', '/preferences', '/session', '/sign-in']) {
      assert.equal((await visitor.get(page)).status, 200, page)
      assert.deepEqual(visitor.setCookie, [])
    }
    assert.equal((await visitor.get('/nowhere')).status, 404)
    assert.equal(await store.length(), 0)
  })

  test('signing in gives a new id and keeps cart and preferences', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/cart/kettle/add')
    await visitor.post('/preferences', { theme: 'dark' })
    const before = { ...(await only(store)), cookie: visitor.cookie }

    const res = await visitor.post('/sign-in', { name: 'Robin' })
    assert.deepEqual([res.status, res.location], [303, '/'])
    const after = await only(store)
    assert.notEqual(after.sid, before.sid)
    assert.notEqual(visitor.cookie, before.cookie)
    assert.equal(after.session.user.name, 'Robin')
    assert.deepEqual(after.session.cart, { kettle: 1 })
    assert.deepEqual(after.session.preferences, { theme: 'dark' })

    const thief = new Browser(url)
    thief.cookie = before.cookie
    assert.doesNotMatch((await thief.get('/')).text, /Robin/)
  })

  test('another person who signs in on the same browser starts with an empty cart', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/cart/kettle/add')
    await visitor.post('/sign-in', { name: 'Robin' })
    await visitor.post('/sign-in', { name: 'Ash' })
    const { session } = await only(store)
    assert.equal(session.user.name, 'Ash')
    assert.equal(session.cart, undefined)
  })

  test('a name that is missing, too long or sent twice is refused and shown again', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    for (const body of ['', 'name=%20', 'name=a&name=b', `name=${'x'.repeat(61)}`]) {
      const res = await visitor.request('/sign-in', {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body,
      })
      assert.equal(res.status, 422)
      assert.match(res.text, /aria-invalid="true"/)
    }
    assert.equal(await store.length(), 0)
  })

  test('signing out ends the session and clears the cookie', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/sign-in', { name: 'Robin' })
    const old = visitor.cookie

    const res = await visitor.post('/sign-out')
    assert.equal(res.status, 303)
    assert.equal(visitor.cookie, undefined)
    assert.equal(await store.length(), 0)
    assert.match((await visitor.get(res.location)).text, /You are signed out/)

    const other = new Browser(url)
    other.cookie = old
    assert.doesNotMatch((await other.get('/')).text, /Robin/)
    await other.post('/cart/bell/add')
    assert.notEqual(other.cookie, old)
  })

  test('a request that was under way at sign out does not bring the session back', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/sign-in', { name: 'Robin' })
    const late = new Browser(url)
    late.cookie = visitor.cookie

    const gate = holdReads(store, 1)
    const adding = late.post('/cart/bell/add')
    await gate.reached
    await visitor.post('/sign-out')
    gate.open()
    assert.equal((await adding).status, 303)
    assert.equal(await store.length(), 0)
  })

  test('a message is shown once', async (t) => {
    const { url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/cart/kettle/add')
    assert.match((await visitor.get('/')).text, /Tea kettle is in your cart/)
    assert.doesNotMatch((await visitor.get('/')).text, /Tea kettle is in your cart/)
  })

  test('the session page shows the content, not the whole id', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/cart/anvil/add')
    const { sid } = await only(store)
    const { text } = await visitor.get('/session')
    assert.match(text, /&quot;anvil&quot;: 1/)
    assert.match(text, /<code>memory<\/code>/)
    assert.ok(text.includes(`${sid.slice(0, 6)}…`))
    assert.ok(!text.includes(sid))
  })
})

/** Lets `count` requests read their session, and holds them there until `open()`. */
function holdReads(store, count) {
  const read = store.get
  const waiting = []
  let reached
  const gate = { reached: new Promise((resolve) => (reached = resolve)) }
  store.get = function (sid, callback) {
    if (waiting.length === count) return read.call(this, sid, callback)
    read.call(this, sid, (...answer) => {
      waiting.push(() => callback(...answer))
      if (waiting.length === count) reached()
    })
  }
  gate.open = () => {
    store.get = read
    for (const go of waiting) go()
  }
  return gate
}

describe('guide: two tabs', () => {
  for (const start of ['empty', 'with something in it']) {
    test(`adding different things at once keeps both, cart ${start}`, async (t) => {
      const { store, url } = await guide(t)
      const one = new Browser(url)
      await one.post('/sign-in', { name: 'Robin' })
      if (start !== 'empty') await one.post('/cart/key/add')
      const two = new Browser(url)
      two.cookie = one.cookie

      const gate = holdReads(store, 2)
      const both = [one.post('/cart/kettle/add'), two.post('/cart/anvil/add')]
      await gate.reached
      gate.open()
      for (const { status } of await Promise.all(both)) assert.equal(status, 303)

      const { cart } = (await only(store)).session
      const expected = { kettle: 1, anvil: 1 }
      assert.deepEqual(cart, start === 'empty' ? expected : { ...expected, key: 1 })
      const { text } = await one.get('/')
      assert.match(text, /Tea kettle is in your cart/)
      assert.match(text, /Small anvil is in your cart/)
      assert.equal((await store.stats()).conflicts, 0)
    })
  }

  test('language in one and theme in the other keeps both', async (t) => {
    const { store, url } = await guide(t)
    const one = new Browser(url)
    await one.post('/cart/key/add')
    const two = new Browser(url)
    two.cookie = one.cookie

    const gate = holdReads(store, 2)
    const both = [
      one.post('/preferences', { language: 'de' }),
      two.post('/preferences', { theme: 'dark' }),
    ]
    await gate.reached
    gate.open()
    await Promise.all(both)
    const { preferences } = (await only(store)).session
    assert.deepEqual(preferences, { language: 'de', theme: 'dark' })
  })
})

describe('guide: the cookie', () => {
  const https = { 'x-forwarded-proto': 'https' }

  test('is HttpOnly, SameSite=Lax, and renewed with every request', async (t) => {
    const { url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/cart/key/add')
    assert.match(visitor.setCookie[0], /^guide\.sid=s%3A.*; HttpOnly; SameSite=Lax$/)
    await visitor.get('/cart')
    assert.match(visitor.setCookie[0], /Expires=/)
  })

  test('is Secure behind a trusted proxy that speaks HTTPS, and only there', async (t) => {
    const trusting = await guide(t, { trustProxy: 1 })
    const careful = await guide(t)
    const secure = async ({ url }, headers) => {
      const visitor = new Browser(url, headers)
      await visitor.post('/sign-in', { name: 'Robin' })
      assert.equal(visitor.setCookie.length, 1)
      return /; Secure/.test(visitor.setCookie[0])
    }
    assert.equal(await secure(trusting, https), true)
    assert.equal(await secure(trusting, {}), false)
    assert.equal(await secure(careful, https), false)
  })

  test('in production travels over HTTPS only, and a form without it is told so', async (t) => {
    const { url } = await guide(t, { trustProxy: 1, secure: true })
    const visitor = new Browser(url, https)
    await visitor.post('/sign-in', { name: 'Robin' })
    assert.match(visitor.setCookie[0], /^__Host-guide\.sid=.*; Path=\/;.*; Secure/)
    await visitor.post('/sign-out')
    assert.match(visitor.setCookie[0], /^__Host-guide\.sid=; Path=\/;.*; Secure/)

    const plain = new Browser(url)
    const res = await plain.post('/sign-in', { name: 'Robin' })
    assert.equal(res.status, 400)
    assert.match(res.text, /HTTPS is needed/)
    assert.deepEqual(plain.setCookie, [])
  })

  test('signed with an older secret is accepted while that secret is listed', async (t) => {
    const store = new RustStore()
    t.after(() => store.close())
    const before = await guide(t, { store, secret: ['old'] })
    const during = await guide(t, { store, secret: ['new', 'old'] })
    const after = await guide(t, { store, secret: ['new'] })

    const visitor = new Browser(before.url)
    await visitor.post('/sign-in', { name: 'Robin' })
    const old = visitor.cookie
    visitor.url = during.url
    assert.match((await visitor.get('/cart')).text, /Robin/)
    visitor.url = after.url
    assert.match((await visitor.get('/cart')).text, /Robin/)
    visitor.cookie = old
    assert.doesNotMatch((await visitor.get('/cart')).text, /Robin/)
  })
})
