/**
 * The guide's app, as a browser meets it: over HTTP, with a cookie jar, through the public store.
 * What it shows about sessions is what the README promises, so it is tested like the library.
 */
'use strict'

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const { describe, test } = require('node:test')
const { RustStore } = require('rust-session-store')
const { createApp } = require('../examples/guide/app')
const { messages } = require('../examples/guide/messages')

const SERVER = path.join(__dirname, '../examples/guide/server.js')

/** Starts the app with a store of its own; both end with the test. */
async function guide(t, options = {}) {
  const store = new RustStore()
  const server = http.createServer(createApp({ store, secret: 'not a secret', ...options }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    server.close()
    server.closeAllConnections()
    await store.close()
  })
  return { store, url: `http://127.0.0.1:${server.address().port}` }
}

/** A browser as far as these tests need one: a jar for the cookie, forms, no redirect followed. */
class Browser {
  constructor(url, headers = {}) {
    this.url = url
    this.headers = headers
    this.cookie = undefined
  }

  async request(where, init = {}) {
    const headers = { ...this.headers, ...init.headers }
    if (this.cookie) headers.cookie = this.cookie
    const res = await fetch(this.url + where, { ...init, headers, redirect: 'manual' })
    this.setCookie = res.headers.getSetCookie()
    for (const line of this.setCookie) {
      const [pair] = line.split(';')
      this.cookie = pair.endsWith('=') ? undefined : pair
    }
    return { status: res.status, location: res.headers.get('location'), text: await res.text() }
  }

  get(where) {
    return this.request(where)
  }

  post(where, fields = {}, headers = {}) {
    return this.request(where, { method: 'POST', body: new URLSearchParams(fields), headers })
  }
}

/** The one session of the store. */
async function only(store) {
  const sessions = Object.entries(await store.all())
  assert.equal(sessions.length, 1)
  const [[sid, session]] = sessions
  return { sid, session }
}

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

describe('guide: server.js', () => {
  function emptyFolder(t) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-'))
    t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  /** Runs it until `ready` has been printed, or to its end. */
  async function run(t, env, ready, cwd = emptyFolder(t)) {
    const clean = { ...process.env }
    for (const key of ['NODE_ENV', 'HOST', 'SESSION_SECRET', 'SESSION_URL', 'TRUST_PROXY']) {
      delete clean[key]
    }
    const child = spawn(process.execPath, [SERVER], {
      cwd,
      env: { ...clean, PORT: '0', ...env },
      timeout: 60_000,
    })
    t.after(() => child.kill('SIGKILL'))
    const ended = once(child, 'close')
    let output = ''
    const seen = new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text) => {
          output += text
          if (ready?.test(output)) resolve()
        })
      }
    })
    await Promise.race([seen, ended])
    return { child, ended, output: () => output }
  }

  test('serves, and ends in order when told to', async (t) => {
    const { child, ended, output } = await run(t, {}, /Ctrl\+C/)
    assert.match(output(), /SESSION_SECRET is not set: using one that is kept in/)
    const [, port] = output().match(/http:\/\/localhost:(\d+)/)
    // The connection stays open (keep-alive) and must not hold the end up.
    assert.equal((await fetch(`http://localhost:${port}/`)).status, 200)
    child.kill('SIGTERM')
    const [code] = await ended
    // Windows knows no SIGTERM: there, the process is simply ended.
    if (process.platform !== 'win32') assert.equal(code, 0)
  })

  test('a restart keeps people signed in', async (t) => {
    // There, sessions are in memory.
    if (process.platform === 'win32') return t.diagnostic('not on Windows')
    const folder = emptyFolder(t)
    const start = async () => {
      const { child, ended, output } = await run(t, {}, /Ctrl\+C/, folder)
      const [url] = output().match(/http:\/\/localhost:\d+/)
      return { url, child, ended }
    }
    const first = await start()
    const visitor = new Browser(first.url)
    await visitor.post('/sign-in', { name: 'Robin' })
    // However it ends.
    first.child.kill('SIGKILL')
    await first.ended
    const second = await start()
    visitor.url = second.url
    assert.match((await visitor.get('/cart')).text, /Robin/)
    await visitor.post('/sign-out')
    second.child.kill('SIGTERM')
    assert.deepEqual(await second.ended, [0, null])
    visitor.url = (await start()).url
    assert.doesNotMatch((await visitor.get('/cart')).text, /Robin/)
  })

  for (const [what, env, line] of [
    ['no secret in production', { NODE_ENV: 'production' }, /^Set SESSION_SECRET.*\n$/],
    ['a port that is none', { PORT: 'abc' }, /^PORT must be a number from 0 to 65535.*\n$/],
    [
      'a proxy that is none',
      { SESSION_SECRET: 'x', TRUST_PROXY: 'true' },
      /^TRUST_PROXY must.*\n$/,
    ],
    [
      'a URL that no backend knows',
      { SESSION_SECRET: 'x', SESSION_URL: 'ftp://x' },
      /^.*url.*\n$/i,
    ],
  ]) {
    test(`${what}: one line, and exit code 1`, async (t) => {
      const { ended, output } = await run(t, env)
      const [code] = await ended
      assert.match(output(), line)
      assert.equal(code, 1)
    })
  }

  test('a port that is taken: one line, and exit code 1', async (t) => {
    const other = http.createServer().listen(0, 'localhost')
    await once(other, 'listening')
    t.after(() => other.close())
    const { port } = other.address()
    const { ended, output } = await run(t, { PORT: String(port), SESSION_SECRET: 'x' })
    const [code] = await ended
    assert.match(output(), new RegExp(`^Port ${port} is taken\\. Set PORT to a free one.*\\n$`))
    assert.equal(code, 1)
  })
})
