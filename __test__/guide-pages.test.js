'use strict'
// The pages of the guide's app, and which requests it refuses. Knows nothing of cookies.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { messages } = require('../examples/guide/messages')
const { Browser, guide, only } = require('./guide/visit')

describe('guide: pages', () => {
  test('the cart counts up and down and forgets at zero', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    const cart = async () => (await only(store)).session.cart
    for (const action of ['add', 'more', 'more', 'less']) await visitor.post(`/cart/key/${action}`)
    assert.deepEqual(await cart(), { key: 2 })
    assert.match((await visitor.get('/cart')).text, /€17\.80/)
    await visitor.post('/cart/key/less')
    await visitor.post('/cart/key/less')
    assert.deepEqual(await cart(), {})
    await visitor.post('/cart/bell/add')
    await visitor.post('/cart/bell/remove')
    assert.deepEqual(await cart(), {})
  })

  test('what the shop does not have is not found', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    for (const where of ['/cart/__proto__/add', '/cart/sword/add', '/cart/key/steal']) {
      assert.equal((await visitor.post(where)).status, 404, where)
    }
    assert.equal((await visitor.post('/cart/%E0%A4%A/add')).status, 400)
    assert.equal(await store.length(), 0)
  })

  test('preferences change the page and last', async (t) => {
    const { url } = await guide(t)
    const visitor = new Browser(url, { 'accept-language': 'es' })
    assert.match((await visitor.get('/')).text, /<html lang="es" data-theme="system">/)
    await visitor.post('/preferences', { language: 'de' })
    await visitor.post('/preferences', { theme: 'dark' })
    await visitor.post('/sign-in', { name: 'Robin' })
    const { text } = await visitor.get('/')
    assert.match(text, /<html lang="de" data-theme="dark">/)
    assert.match(text, /Willkommen, Robin/)
    assert.match(text, /Dinge aus Eisen/)
    assert.equal((await visitor.post('/preferences', { theme: 'pink' })).status, 400)
  })

  test('every language has every text', () => {
    const keys = Object.keys(messages.en).sort()
    for (const [language, texts] of Object.entries(messages)) {
      assert.deepEqual(Object.keys(texts).sort(), keys, language)
      for (const key of keys) {
        const values = (text) => text.match(/\{\w+\}/g) ?? []
        assert.deepEqual(values(texts[key]), values(messages.en[key]), `${language} ${key}`)
      }
    }
  })

  test('a hostile name stays text on every page', async (t) => {
    const { url } = await guide(t)
    const visitor = new Browser(url)
    const name = `"><script>alert('1')</script>&{item}`
    await visitor.post('/sign-in', { name })
    for (const page of ['/', '/cart', '/preferences', '/session', '/nowhere']) {
      const { text } = await visitor.get(page)
      assert.ok(
        text.includes('&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;'),
        page,
      )
      assert.ok(!text.includes('<script'), page)
    }
    const refused = await new Browser(url).post('/sign-in', { name: `${name}${'x'.repeat(60)}` })
    assert.equal(refused.status, 422)
    assert.ok(!refused.text.includes('<script'))
  })

  test('a store that fails gives a page that says so', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/cart/key/add')
    t.mock.method(console, 'error', () => {})
    store.get = (_sid, callback) => {
      setImmediate(callback, Object.assign(new Error('no answer'), { retryable: true }))
    }
    const { status, text } = await visitor.get('/')
    assert.equal(status, 503)
    assert.match(text, /Sessions cannot be reached right now/)
    assert.doesNotMatch(text, /no answer/)
  })
})

describe('guide: requests from elsewhere', () => {
  test('a form from another origin is refused, one from here is not', async (t) => {
    const { store, url } = await guide(t)
    const visitor = new Browser(url)
    await visitor.post('/sign-in', { name: 'Robin' })

    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: url.replace('127.0.0.1', '127.0.0.2') },
      { 'sec-fetch-site': 'cross-site', origin: url },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const res = await visitor.post('/sign-out', {}, headers)
      assert.equal(res.status, 403, JSON.stringify(headers))
    }
    assert.equal((await only(store)).session.user.name, 'Robin')

    for (const headers of [{ origin: url }, { 'sec-fetch-site': 'same-origin' }]) {
      assert.equal((await visitor.post('/cart/key/add', {}, headers)).status, 303)
    }
  })
})
