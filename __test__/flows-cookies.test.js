// What comes back as it was set: cookie options, session data, the session id.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { call, dataOf, fakeClock, startApp, MINUTE } = require('./flows/app')

test('secure cookies are sent over TLS only, as the proxy tells it', async (t) => {
  const app = await startApp(t, { session: { cookie: { secure: true, sameSite: 'none' } } })
  const sign = (req) => {
    req.session.user = 'ada'
  }
  const plain = await app.browser().run(sign)
  assert.deepEqual(plain.cookies, [])

  const tab = app.browser()
  const headers = { 'x-forwarded-proto': 'https' }
  const { cookies } = await tab.run(sign, { headers })
  assert.equal(cookies[0].secure, true)
  assert.equal(cookies[0].samesite, 'None')
  assert.equal(cookies[0].httponly, true)
  const again = await tab.run((req) => req.session.cookie.data, { headers })
  assert.equal(again.body.secure, true)
  assert.equal(again.body.sameSite, 'none')
})

test("secure: 'auto' goes by the first request of the session, and is kept", async (t) => {
  const app = await startApp(t, { session: { cookie: { secure: 'auto', sameSite: 'auto' } } })
  for (const [headers, secure, sameSite] of [
    [{ 'x-forwarded-proto': 'https' }, true, 'none'],
    [{}, false, 'lax'],
  ]) {
    const tab = app.browser()
    await tab.run(
      (req) => {
        req.session.user = 'ada'
      },
      { headers },
    )
    const { body } = await tab.run((req) => req.session.cookie.data, { headers })
    assert.equal(body.secure, secure)
    assert.equal(body.sameSite, sameSite)
  }
})

test('every cookie option comes back as it was set', async (t) => {
  // express-session looks at the clock twice to set a maxAge, and has 1 ms less where that has gone on.
  fakeClock(t)
  const cookie = {
    path: '/run',
    domain: '127.0.0.1',
    httpOnly: false,
    sameSite: 'strict',
    priority: 'high',
    partitioned: true,
    maxAge: 10 * MINUTE,
  }
  const app = await startApp(t, { session: { cookie: () => cookie } })
  const tab = app.browser()
  const { cookies } = await tab.run((req) => {
    req.session.user = 'ada'
  })
  assert.equal(cookies[0].path, '/run')
  assert.equal(cookies[0].samesite, 'Strict')
  assert.equal(cookies[0].httponly, undefined)
  assert.equal(cookies[0].partitioned, true)

  const { body } = await tab.run((req) => req.session.cookie.data)
  const { maxAge: originalMaxAge, ...rest } = cookie
  const { expires, ...found } = body
  assert.deepEqual(found, { ...rest, originalMaxAge })
  assert.ok(Math.abs(Date.parse(expires) - Date.now() - originalMaxAge) < MINUTE)
})

test('what a session may hold comes back as JSON has it', async (t) => {
  const app = await startApp(t)
  const tab = app.browser()
  const data = {
    text: 'é \u{1f600} \ud800 \0 "\\',
    numbers: [0, -0, 1.5, 1e21, 5e-324, 2 ** 53],
    empty: [{}, [], '', null, false],
    at: new Date(0),
    missing: undefined,
    nested: JSON.parse('{"__proto__":{"a":1},"constructor":2}'),
  }
  await tab.run((req) => {
    Object.assign(req.session, data)
  })
  const { text } = await tab.run((req) => JSON.stringify(dataOf(req.session)))
  assert.equal(JSON.parse(text), JSON.stringify(data))
})

test('the session id may be chosen by the app', async (t) => {
  let n = 0
  const app = await startApp(t, { session: { genid: () => `tenant:é/${++n}` } })
  const tab = app.browser()
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  assert.equal(tab.sid, 'tenant:é/1')
  assert.deepEqual(await tab.sees(), { user: 'ada' })
  assert.deepEqual(await call(app.store, 'ids'), ['tenant:é/1'])
})
