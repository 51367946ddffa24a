'use strict'
// RustStore in place of connect-redis and the other way round, on one server and under traffic: keys and
// values are the same, so either reads what the other has written.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { RedisStore } = require('connect-redis')
const express = require('express')
const session = require('express-session')
const { createClient } = require('redis')
const { RustStore } = require('..')
const { load, visitor } = require('./conformance/harness.js')
const { startRedis, testing } = require('./servers/redis.js')

const { after, before, test } = testing()

const HOUR = 3_600_000

let server
let client
let theirs
let ours

before(async () => {
  server = await startRedis()
  client = await createClient({ url: server.url }).connect()
  theirs = new RedisStore({ client })
  ours = new RustStore(server.url)
})

after(async () => {
  await ours?.close()
  client?.destroy()
  server?.end()
})

/** The text of a session, and the ms it has left. */
async function stored(sid) {
  return { text: await client.get(`sess:${sid}`), left: await client.pTTL(`sess:${sid}`) }
}

test('what either writes for a session is the same, to the byte', async () => {
  const of = (sid) => {
    const session = visitor(ours, sid, { user: 'a', cart: [], text: 'h\u00e9 \ud800' })
    // express-session asks the clock twice for it.
    session.cookie.originalMaxAge = HOUR
    return session
  }
  await theirs.set('one', of('one'))
  await ours.set('two', of('two'))
  const [one, two] = [await stored('one'), await stored('two')]
  const expires = (text) => JSON.parse(text).cookie.expires
  assert.equal(two.text.replace(expires(two.text), expires(one.text)), one.text)
  for (const { left } of [one, two]) assert.ok(left > HOUR - 20_000 && left <= HOUR)
})

test('an expiry is shown as a time also where the stored cookie is an odd one', async () => {
  const shown = async (cookie) => {
    await client.set('sess:odd', JSON.stringify({ cookie }), { PX: HOUR })
    const session = await ours.get('odd')
    return session.cookie.expires
  }
  const [past, soon, late] = [-1, 60_000, 2 * HOUR].map((ms) => new Date(Date.now() + ms))
  const isAbout = (text, ms) => {
    assert.equal(new Date(text).toISOString(), text)
    assert.ok(Math.abs(Date.parse(text) - Date.now() - ms) < 5_000, text)
  }
  isAbout(await shown({ originalMaxAge: HOUR, expires: past }), HOUR)
  isAbout(await shown({ originalMaxAge: HOUR + 0.75, expires: soon }), HOUR)
  assert.equal(await shown({ originalMaxAge: HOUR, expires: late }), late.toISOString())
  // Not of the form that toISOString writes.
  isAbout(await shown({ originalMaxAge: HOUR, expires: soon.toUTCString() }), HOUR)
  assert.equal(
    await shown({ originalMaxAge: HOUR, expires: late.toUTCString() }),
    late.toUTCString(),
  )
  const distant = '+010001-01-01T00:00:00.000Z'
  assert.equal(await shown({ originalMaxAge: HOUR, expires: distant }), distant)
  // It is there, so it ends later than it says; by how much nobody can tell.
  isAbout(await shown({ originalMaxAge: null, expires: past }), 24 * HOUR)
  for (const originalMaxAge of [-1e16, 1e16]) {
    const text = await shown({ originalMaxAge, expires: late })
    assert.ok(text >= late.toISOString() || text === '+275760-09-13T00:00:00.000Z', text)
  }
  // Of the same length, and no text that is in the order of its time.
  const american = '01/01/2099T00:00:00.000Z'
  assert.equal(await shown({ originalMaxAge: HOUR, expires: american }), american)
  assert.equal(await shown({ originalMaxAge: HOUR, expires: 'some day' }), 'some day')
  await ours.destroy('odd')
})

test('what connect-redis has written is read, touched, saved and destroyed', async () => {
  await theirs.set('a', visitor(ours, 'a', { n: 1 }, 60_000))
  const [our, their] = [await ours.get('a'), await theirs.get('a')]
  // A touch may have moved the expiry that the text tells; what is shown is never earlier.
  assert.ok(our.cookie.expires >= their.cookie.expires)
  our.cookie.expires = their.cookie.expires
  assert.deepEqual(our, their)
  assert.deepEqual((await ours.ids()).sort(), ['a', 'one', 'two'])

  const loaded = await load(ours, 'a')
  loaded.cookie.maxAge = HOUR
  await ours.touch('a', loaded)
  assert.ok((await stored('a')).left > HOUR - 20_000)

  loaded.n = 2
  await ours.set('a', loaded)
  assert.equal((await theirs.get('a')).n, 2)

  await ours.destroy('a')
  assert.equal(await client.get('sess:a'), null)
})

test('what RustStore has written is read, touched, saved and destroyed', async () => {
  await ours.set('b', visitor(ours, 'b', { n: 1 }, 60_000))
  const read = await theirs.get('b')
  assert.equal(read.n, 1)
  await theirs.touch('b', visitor(ours, 'b', { n: 1 }, HOUR))
  assert.ok((await stored('b')).left > HOUR - 20_000)
  // The text still says a minute; what is shown is never earlier than the truth.
  assert.ok(new Date((await ours.get('b')).cookie.expires) > new Date())

  await theirs.set('b', { ...read, n: 2 })
  assert.equal((await ours.get('b')).n, 2)
  assert.equal(await theirs.length(), await ours.length())
  await theirs.destroy('b')
  assert.equal(await ours.get('b'), undefined)
})

test('a save of connect-redis between our read and our save is merged', async () => {
  await ours.set('c', visitor(ours, 'c', { ours: 0, theirs: 0 }))
  for (let round = 1; round <= 20; round++) {
    const mine = await load(ours, 'c')
    await theirs.set('c', { ...(await theirs.get('c')), theirs: round })
    mine.ours = round
    await ours.set('c', mine)
    const { ours: our, theirs: their } = await theirs.get('c')
    assert.deepEqual({ our, their }, { our: round, their: round })
  }
  const late = await load(ours, 'c')
  await theirs.destroy('c')
  late.ours = 'late'
  await ours.set('c', late)
  assert.equal(await client.get('sess:c'), null, 'a logout there is a logout here')
})

/** An app that counts a visitor's requests, and signs out. */
async function serve(store) {
  const app = express()
  app.use(session({ store, secret: 'one', resave: false, saveUninitialized: false }))
  app.get('/', (req, res) => {
    req.session.views = (req.session.views ?? 0) + 1
    res.send(String(req.session.views))
  })
  app.get('/look', (req, res) => {
    res.send(String(req.session.views ?? 0))
  })
  app.get('/out', (req, res) => {
    req.session.destroy(() => res.send('bye'))
  })
  const listener = app.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address()
  return { url: `http://127.0.0.1:${port}`, end: () => listener.close() }
}

test('two processes of one app, one with each store: visitors notice nothing', async () => {
  const apps = [await serve(theirs), await serve(ours)]
  try {
    const visit = async (name) => {
      let cookie
      const ask = async (app, path) => {
        const response = await fetch(`${apps[app].url}${path}`, {
          headers: cookie ? { cookie } : {},
        })
        cookie = response.headers.get('set-cookie')?.split(';')[0] ?? cookie
        return response.text()
      }
      for (let views = 1; views <= 30; views++) {
        const app = (views + name) % 2
        assert.equal(await ask(app, '/'), String(views))
        assert.equal(await ask(1 - app, '/look'), String(views))
      }
      await ask(name % 2, '/out')
      for (const app of [0, 1]) assert.equal(await ask(app, '/look'), '0')
    }
    await Promise.all(Array.from({ length: 16 }, (_, name) => visit(name)))
  } finally {
    for (const app of apps) app.end()
  }
})
