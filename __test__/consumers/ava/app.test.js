// An app with sessions under AVA, which runs each test file in a worker thread of its own.
// Nothing is closed but the server, and AVA ends by itself.
import { once } from 'node:events'
import test from 'ava'
import express from 'express'
import session from 'express-session'
import { RustStore, RustStoreError } from 'rust-session-store'

test('a session lasts over requests', async (t) => {
  const app = express()
  const store = new RustStore()
  app.use(session({ store, secret: 'a', resave: false, saveUninitialized: false }))
  app.get('/', (req, res) => {
    req.session.views = (req.session.views ?? 0) + 1
    res.json({ views: req.session.views })
  })
  const server = app.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')

  const address = `http://127.0.0.1:${server.address().port}/`
  const first = await fetch(address)
  t.deepEqual(await first.json(), { views: 1 })
  const headers = { cookie: first.headers.get('set-cookie').split(';')[0] }
  const second = await fetch(address, { headers })
  t.deepEqual(await second.json(), { views: 2 })
  t.is(await store.length(), 1)
})

test('a wrong option has a name', (t) => {
  const error = t.throws(() => new RustStore({ prefx: 'a:' }), { instanceOf: RustStoreError })
  t.is(error.code, 'ERR_STORE_CONFIG')
  t.regex(error.message, /prefix/)
})
