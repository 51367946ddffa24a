// What the browser gets: when the response leaves, its headers, and how errors reach the app.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { RustStore } = require('..')
const { call, dataOf, startApp, MINUTE } = require('./flows/app')

/** Middleware ahead of express-session that notes what it does to the response. */
function watchResponses() {
  const calls = []
  return {
    /** The calls since the last time this was asked. */
    calls: () => calls.splice(0),
    note: (what) => calls.push(what),
    middleware(_req, res, next) {
      for (const name of ['write', 'end']) {
        const original = res[name]
        res[name] = function (...args) {
          calls.push(name)
          return original.apply(this, args)
        }
      }
      next()
    },
  }
}

/** An app whose response calls are watched, and the store's answers among them. */
async function watched(t, options) {
  const watch = watchResponses()
  const app = await startApp(t, { before: [watch.middleware], ...options })
  for (const method of ['set', 'touch']) {
    const original = app.store[method]
    app.store[method] = function (sid, session, callback) {
      return original.call(this, sid, session, (...answer) => {
        watch.note(method)
        callback(...answer)
      })
    }
  }
  return { app, watch, tab: app.browser() }
}

const maxAge = { session: { cookie: { maxAge: MINUTE } } }

test('the response is written once, after the save', async (t) => {
  const { watch, tab } = await watched(t, maxAge)
  const reply = await tab.run((req) => {
    req.session.user = 'ada'
    return 'x'.repeat(5000)
  })
  assert.equal(reply.body.length, 5000)
  assert.deepEqual(watch.calls(), ['set', 'end'])
})

test('the response is written once, after the touch', async (t) => {
  const { watch, tab } = await watched(t, maxAge)
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  watch.calls()
  const reply = await tab.run((req) => req.session.user)
  assert.equal(reply.body, 'ada')
  assert.deepEqual(watch.calls(), ['touch', 'end'])
})

test('the response is written once, after a save that was merged', async (t) => {
  const { watch, tab } = await watched(t, maxAge)
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  const late = await tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await tab.run((req) => {
    req.session.language = 'en'
  })
  watch.calls()
  await late.finish()
  assert.deepEqual(watch.calls(), ['set', 'end'])
  assert.deepEqual(await tab.sees(), { user: 'ada', theme: 'dark', language: 'en' })
})

test('a save that was refused does not hold the response up', async (t) => {
  const { watch, tab } = await watched(t, maxAge)
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  const late = await tab.hold((req) => {
    req.session.theme = 'dark'
  })
  await tab.run((req) => call(req.session, 'destroy'))
  watch.calls()
  assert.equal((await late.finish()).status, 200)
  assert.deepEqual(watch.calls(), ['set', 'end'])
})

test('bodies arrive whole: empty, one byte, a Buffer, streamed, HEAD', async (t) => {
  const app = await startApp(t, { session: { resave: true, saveUninitialized: true } })
  const tab = app.browser()
  const send = (body) => async (_req, res) => void res.type('txt').send(body)
  for (const text of ['', 'x', 'é'.repeat(3000)]) {
    assert.equal((await tab.run(send(text))).text, text)
    assert.equal((await tab.run(send(Buffer.from(text)))).text, text)
  }
  const streamed = await tab.run((_req, res) => {
    res.write('a')
    res.write('b')
    res.end('c')
  })
  assert.equal(streamed.text, 'abc')
  const head = await tab.run(send('seven b'), { method: 'HEAD' })
  assert.equal(head.headers['content-length'], '7')
  assert.equal((await tab.run((_req, res) => void res.status(204).end())).status, 204)
})

test('destroy(() => res.redirect("/")); res.clearCookie() works', async (t) => {
  const app = await startApp(t)
  const tab = app.browser()
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  const { sid } = tab
  const reply = await tab.request(
    app.route(async (req, res) => {
      const redirected = new Promise((resolve, reject) => {
        req.session.destroy((error) => {
          if (error) return reject(error)
          res.redirect('/')
          resolve()
        })
      })
      res.clearCookie('connect.sid')
      await redirected
    }),
  )
  assert.equal(reply.status, 302)
  assert.equal(reply.headers.location, '/')
  assert.equal(reply.cookies.length, 1)
  assert.equal(reply.cookies[0].value, '')
  assert.equal(tab.sid, undefined)
  assert.equal(await app.stored(sid), undefined)
})

test('regenerate of a store that no session() has been given is answered', async () => {
  await assert.rejects(new RustStore().regenerate({}), { code: 'ERR_STORE_UNSUPPORTED' })
})

test('regenerate answers later than the call', async (t) => {
  const app = await startApp(t)
  const tab = app.browser()
  const reply = await tab.run(async (req, res) => {
    const done = new Promise((resolve) => {
      req.session.regenerate(() => {
        req.session.user = 'ada'
        resolve(res.getHeader('x-after'))
      })
    })
    res.setHeader('x-after', 'set after the call')
    return done
  })
  assert.equal(reply.body, 'set after the call')
  assert.deepEqual(await tab.sees(), { user: 'ada' })
})

test("callbacks run in their own request's AsyncLocalStorage context", async (t) => {
  const context = new AsyncLocalStorage()
  let requests = 0
  const before = [(_req, _res, next) => context.run(++requests, next)]
  const app = await startApp(t, { before })
  const tab = app.browser()
  const handler = async (req) => {
    const mine = context.getStore()
    const seen = []
    const note = (resolve) => () => {
      seen.push(context.getStore() - mine)
      resolve()
    }
    req.session.n = mine
    await new Promise((resolve) => req.session.save(note(resolve)))
    await new Promise((resolve) => req.session.reload(note(resolve)))
    await new Promise((resolve) => req.sessionStore.length(note(resolve)))
    await new Promise((resolve) => req.session.regenerate(note(resolve)))
    await new Promise((resolve) => req.session.destroy(note(resolve)))
    return seen
  }
  const held = []
  for (let n = 0; n < 5; n++) held.push(await tab.hold(handler))
  const replies = await Promise.all(held.map((request) => request.finish()))
  for (const { body } of replies) assert.deepEqual(body, [0, 0, 0, 0, 0])
})

test('events are told later, in the context of the request whose save they are about', async (t) => {
  const context = new AsyncLocalStorage()
  let requests = 0
  const before = [(_req, _res, next) => context.run(++requests, next)]
  const app = await startApp(t, { before })
  const told = []
  app.store.on('conflict', () => told.push(['conflict', context.getStore()]))
  app.store.on('gone', () => told.push(['gone', context.getStore()]))
  const tab = app.browser()
  const change = (req) => {
    req.session.theme = context.getStore()
    req.session.save()
    assert.deepEqual(told, [])
  }
  await tab.run(change)
  const conflicting = await tab.hold(change)
  await tab.run(change)
  await conflicting.finish()
  await app.quiet()
  assert.deepEqual(told.splice(0), [['conflict', 2]])

  const refused = await tab.hold(change)
  await tab.run((req) => call(req.session, 'destroy'))
  await refused.finish()
  await app.quiet()
  assert.deepEqual(told, [['gone', 4]])
})

test('an app error after the session was changed still saves it and answers', async (t) => {
  const app = await startApp(t)
  const tab = app.browser()
  const reply = await tab.run((req) => {
    req.session.user = 'ada'
    throw new Error('the app failed')
  })
  assert.equal(reply.status, 500)
  assert.equal(app.errors.splice(0).length, 1)
  assert.deepEqual(await tab.sees(), { user: 'ada' })
})

test('a session that is too large: the browser has its answer, the app the error', async (t) => {
  const app = await startApp(t, { storeOptions: { maxSessionBytes: 1000 } })
  const tab = app.browser()
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  const reply = await tab.run((req) => {
    req.session.upload = 'x'.repeat(2000)
    return 'fine'
  })
  assert.equal(reply.body, 'fine')
  assert.deepEqual(await tab.sees(), { user: 'ada' })
  const [error] = app.errors.splice(0)
  assert.equal(error.code, 'ERR_STORE_TOO_LARGE')
  assert.equal(error.operation, 'set')
})

test('a store that is closed: the next request gets the error, once', async (t) => {
  const app = await startApp(t)
  const tab = app.browser()
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  await app.store.close()
  const reply = await tab.run(() => 'not reached')
  assert.equal(reply.status, 500)
  assert.deepEqual(
    app.errors.splice(0).map((error) => error.code),
    ['ERR_STORE_CLOSED'],
  )
})

test('an error thrown in a handler is not answered by the store', async (t) => {
  const app = await startApp(t)
  const tab = app.browser()
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  const { sid } = tab
  const reply = await tab.run((_req, _res) => {
    throw new TypeError('thrown while the session is loaded')
  })
  assert.equal(reply.body.error, 'thrown while the session is loaded')
  assert.equal(app.errors.splice(0).length, 1)
  assert.deepEqual(dataOf(await app.stored(sid)), { user: 'ada' })
})
