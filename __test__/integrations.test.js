// The store beside other packages: @fastify/session, no express-session at all, prom-client; and
// several apps or many clients on one store.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { promisify } = require('node:util')
const Fastify = require('fastify')
const { Browser, call, fakeClock, makeGate, openStore, startApp, MINUTE } = require('./flows/app')

const root = path.join(__dirname, '..')

/** A Fastify app on a store; the methods that it calls of the store are noted in `used`. */
async function startFastify(t, options = {}) {
  const store = openStore()
  const used = new Set()
  const watched = new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      used.add(name)
      return value.bind(target)
    },
  })
  const app = Fastify({ forceCloseConnections: true })
  app.register(require('@fastify/cookie'))
  app.register(require('@fastify/session'), {
    secret: 'a secret of thirty-two characters',
    cookieName: 'connect.sid',
    saveUninitialized: false,
    ...options,
    cookie: { secure: false, ...options.cookie },
    store: watched,
  })
  const handlers = []
  app.get('/run/:number', async (request, reply) => {
    const result = await handlers[request.params.number](request, reply)
    return reply.send(JSON.stringify(result ?? null))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(async () => {
    await app.close()
    await store.close?.()
  })
  const origin = `http://127.0.0.1:${app.server.address().port}`
  const route = (handler) => `/run/${handlers.push(handler) - 1}`
  const tab = new Browser({ origin, route }, { forgets: false })
  const sid = () => decodeURIComponent(tab.cookie.value).split('.')[0]
  const run = async (handler) => JSON.parse((await tab.run(handler)).text)
  return { store, used, tab, sid, run }
}

const put = (key, value) => (request) => request.session.set(key, value)
const look = (key) => (request) => request.session.get(key)

test('@fastify/session: set, get, regenerate, destroy, with three methods of the store', async (t) => {
  const { store, used, tab, sid, run } = await startFastify(t)
  await run(put('user', 'ada'))
  assert.equal(await run(look('user')), 'ada')
  const anonymous = sid()
  await run((request) => request.session.regenerate(['user']))
  assert.notEqual(sid(), anonymous)
  assert.equal(await store.get(anonymous), undefined)
  assert.equal(await run(look('user')), 'ada')

  await run((request) => request.session.destroy())
  assert.equal(await store.length(), 0)
  assert.equal(await run(look('user')), null)
  assert.deepEqual([...used].sort(), ['destroy', 'get', 'set'])
  assert.equal((await tab.run(() => {})).status, 200)
})

test('@fastify/session: maxAge is kept to', async (t) => {
  const clock = fakeClock(t)
  const { store, run } = await startFastify(t, { cookie: { maxAge: MINUTE } })
  await run(put('user', 'ada'))
  clock.forward(MINUTE - 1)
  assert.equal(await run(look('user')), 'ada')
  clock.forward(MINUTE - 1)
  assert.equal(await run(look('user')), 'ada')
  clock.forward(MINUTE)
  assert.equal(await store.length(), 0)
  assert.equal(await run(look('user')), null)
})

test('@fastify/session copies the session: the last write wins, as documented', async (t) => {
  const { store, tab, run } = await startFastify(t)
  await run(put('user', 'ada'))
  const late = await tab.hold(put('language', 'en'))
  await run(put('theme', 'dark'))
  await late.finish()
  assert.deepEqual(await run((request) => ({ ...request.session, cookie: undefined })), {
    user: 'ada',
    language: 'en',
  })
  assert.equal((await store.stats()).merges, 0)
})

test('@fastify/session copies the session: also over a logout, as documented', async (t) => {
  const { store, tab, sid, run } = await startFastify(t)
  await run(put('user', 'ada'))
  const id = sid()
  const late = await tab.hold(put('language', 'en'))
  await call(store, 'destroy', id)
  await late.finish()
  assert.equal((await store.get(id)).user, 'ada')
  assert.equal((await store.stats()).refused, 0)
})

test('without express-session the store works, and says what needs it', async (t) => {
  const folder = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'store-alone-'))
  t.after(() => fs.promises.rm(folder, { recursive: true }))
  const { files } = require('../package.json')
  const binaries = fs.readdirSync(root).filter((name) => name.endsWith('.node'))
  for (const name of ['package.json', ...files, ...binaries]) {
    const from = path.join(root, name)
    if (!fs.existsSync(from)) continue
    await fs.promises.cp(from, path.join(folder, name), { recursive: true })
  }
  const script = path.join(__dirname, 'flows', 'without-express-session.js')
  const { NODE_PATH: _, ...env } = process.env
  const { stdout } = await promisify(execFile)(process.execPath, [script, folder, root], {
    env,
    timeout: 60_000,
  })
  assert.equal(stdout, 'all of it works\n')
})

test('apps with prefixes of their own on one named store never see each other', async (t) => {
  const shop = await startApp(t, { storeOptions: { url: 'memory:both', prefix: 'shop:' } })
  const admin = await startApp(t, { storeOptions: { url: 'memory:both', prefix: 'admin:' } })
  const customer = shop.browser()
  await customer.run((req) => {
    req.session.user = 'ada'
  })
  const same = admin.browser()
  same.jar = new Map(customer.jar)
  assert.deepEqual(await same.sees(), {})
  await call(admin.store, 'clear')
  assert.deepEqual(await customer.sees(), { user: 'ada' })
  assert.equal(await admin.length(), 0)
})

test('a flood of bots does not sign out who is active', async (t) => {
  const app = await startApp(t, {
    session: { saveUninitialized: true },
    storeOptions: { max: 50 },
  })
  const evicted = new Set()
  app.store.on('evict', (sid) => evicted.add(sid))
  const people = []
  for (let n = 0; n < 5; n++) {
    const tab = app.browser()
    await tab.run((req) => {
      req.session.user = `user ${n}`
    })
    await tab.sees()
    await tab.sees()
    people.push(tab)
  }
  const gate = makeGate()
  let sid
  const late = app.browser().run(async (req) => {
    sid = req.sessionID
    await call(req.session, 'save')
    await gate.pass()
    req.session.spam = true
  })
  await gate.arrived
  for (let n = 0; n < 200; n++) await app.browser().run(() => {})

  for (const [n, tab] of people.entries()) {
    assert.deepEqual(await tab.sees(), { user: `user ${n}` })
  }
  assert.ok((await app.length()) <= 50)
  await app.quiet()
  assert.ok(evicted.has(sid))
  gate.open()
  await late
  await app.quiet()
  assert.deepEqual(app.gone, [sid])
  assert.equal(await app.stored(sid), undefined)
})

test('the recipe for prom-client shows what happened', async (t) => {
  const text = await fs.promises.readFile(path.join(root, 'docs', 'operations.md'), 'utf8')
  const [, recipe] = text.split('## Prometheus')[1].match(/```js\n(.*?)```/s)
  const { register } = require('prom-client')
  register.clear()
  const modules = { 'prom-client': require('prom-client'), 'rust-session-store': require('..') }
  const store = new Function('require', `${recipe}\nreturn store`)((name) => modules[name])

  const app = await startApp(t, { store })
  const tab = app.browser()
  await tab.run((req) => {
    req.session.theme = 'light'
  })
  const late = await tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await tab.run((req) => {
    req.session.theme = 'blue'
  })
  await late.finish()
  const later = await tab.hold((req) => {
    req.session.theme = 'green'
  })
  await tab.run((req) => call(req.session, 'destroy'))
  await later.finish()
  await app.browser().run((req) => {
    req.session.user = 'ada'
  })
  await call(store, 'set', 'large', { text: 'x'.repeat(2 ** 21) }).catch(() => {})

  const metrics = await register.getMetricsAsJSON()
  const shown = {}
  for (const { values } of metrics) {
    for (const { labels, value } of values) shown[labels.figure ?? labels.event] = value
  }
  const { bytes, ...counts } = shown
  assert.ok(bytes > 0)
  assert.deepEqual(counts, {
    sessions: 1,
    hits: 4,
    misses: 0,
    saves: 4,
    merges: 1,
    conflicts: 1,
    refused: 1,
    expired: 0,
    evicted: 0,
    corrupt: 0,
    ERR_STORE_TOO_LARGE: 1,
  })
  assert.match(await register.metrics(), /session_store_events_total\{event="hits"\} 4/)
  register.clear()
})
