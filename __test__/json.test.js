// The package's own way to the text of a session against JSON.stringify.
'use strict'

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { test } = require('node:test')
const vm = require('node:vm')
const { Cookie, Session } = require('express-session')
const { stringify } = require('../lib/json')
const native = require('../lib/native')
const { shorten, written } = require('../lib/short')

const AT = Date.UTC(2026, 10, 26, 12, 34, 56, 789)

function sessionOf(data, cookie) {
  const session = new Session({ sessionID: 'a' })
  session.cookie = cookie
  return Object.assign(session, data)
}

function outcome(write, session) {
  try {
    return write(session)
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}

/** What the engine makes of the text as it is handed to it. */
function across(session) {
  const text = shorten(session)
  const { outline, maxAge } = written
  return outline < 0 ? text : native.lengthen(text, outline, maxAge)
}

function assertSame(session, what) {
  const text = outcome(JSON.stringify, session)
  assert.equal(outcome(stringify, session), text, what)
  // Twice: what the first one has taught, the second one goes by.
  assert.equal(outcome(across, session), text, what)
  assert.equal(outcome(across, session), text, what)
}

/** Cookies that are, or look like, express-session's. */
function cookies() {
  const later = new Date(AT)
  const inherited = Object.create({
    expires: later,
    toJSON: () => Object.create({ expires: later }),
  })
  const withNumber = (key) => Object.defineProperty(new Date(AT), key, { value: () => Number.NaN })
  const withFunction = () => Object.assign(() => {}, { expires: later })
  class Late extends Date {
    toISOString() {
      return 'late'
    }
  }
  const boxed = Object.assign(new String('boxed'), { expires: later })
  return {
    usual: new Cookie({ maxAge: 60_000 }),
    all: new Cookie({
      maxAge: 60_000,
      secure: true,
      sameSite: 'lax',
      domain: 'a.test',
      priority: 'low',
    }),
    without: new Cookie({ maxAge: null }),
    never: new Cookie({ expires: false }),
    invalid: new Cookie({ expires: new Date(Number.NaN) }),
    far: new Cookie({ expires: new Date(8.64e15) }),
    before: new Cookie({ expires: new Date(-8.64e15) }),
    text: new Cookie({ expires: later.toISOString() }),
    other: new Cookie({ expires: new Late(AT) }),
    own: new Cookie({ expires: Object.assign(new Date(AT), { toJSON: () => 'own' }) }),
    realm: new Cookie({ expires: vm.runInNewContext(`new Date(${AT})`) }),
    getTime: new Cookie({ expires: withNumber('getTime'), maxAge: 60_000 }),
    valueOf: new Cookie({ expires: withNumber('valueOf') }),
    toPrimitive: new Cookie({ expires: withNumber(Symbol.toPrimitive) }),
    function: { toJSON: withFunction },
    date: { toJSON: () => later },
    inheritedPretended: { toJSON: () => Object.create({ expires: Object.create(Date.prototype) }) },
    pretended: { toJSON: () => ({ expires: Object.create(Date.prototype) }) },
    object: { expires: later, path: '/' },
    inherited,
    twice: { toJSON: () => ({ expires: later, toJSON: () => 'twice' }) },
    boxed: { toJSON: () => boxed },
    array: { toJSON: () => Object.assign([1], { expires: later }) },
    key: { toJSON: (key) => `for ${key}` },
    nothing: { toJSON: () => undefined },
    null: { toJSON: () => null },
    big: { toJSON: () => 1n },
    throwing: {
      toJSON: () => {
        throw new RangeError('no cookie today')
      },
    },
  }
}

test('writes every cookie as JSON.stringify does', () => {
  for (const [what, cookie] of Object.entries(cookies())) {
    assertSame(sessionOf({ user: 'ada', views: 1 }, cookie), what)
    assertSame({ before: 1, cookie, after: 2 }, what)
  }
})

test('writes every session as JSON.stringify does', () => {
  const cookie = new Cookie({ maxAge: 60_000 })
  const circle = sessionOf({}, cookie)
  circle.circle = circle
  const wide = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`key${n}`, n]))
  const getters = Object.defineProperties(sessionOf({}, cookie), {
    seen: { enumerable: true, get: () => 'seen' },
    hidden: { enumerable: false, value: 'hidden' },
  })
  const odd = {
    numbered: sessionOf({ b: 1, 2: 'two', 1: 'one' }, cookie),
    cookieLast: Object.assign(sessionOf({}, undefined), { a: 1 }, { cookie }),
    wide: sessionOf(wide, cookie),
    proto: sessionOf(JSON.parse('{"__proto__":{"a":1},"constructor":2}'), cookie),
    undefined: sessionOf({ no: undefined, none: () => {}, symbol: Symbol('s') }, cookie),
    symbols: sessionOf({ [Symbol('key')]: 1 }, cookie),
    dates: sessionOf({ at: new Date(AT), list: [new Date(AT)] }, cookie),
    big: sessionOf({ big: 1n }, cookie),
    toJSON: sessionOf({ toJSON: () => ({ own: true }) }, cookie),
    inheritedToJSON: Object.assign(Object.create({ toJSON: () => 'own' }), { cookie }),
    noFunction: sessionOf({ toJSON: 1 }, cookie),
    inherited: Object.assign(Object.create({ cookie }), { user: 'ada' }),
    array: Object.assign([1, 2], { cookie }),
    boxed: Object.assign(new Number(1), { cookie }),
    proxy: new Proxy(sessionOf({ user: 'ada' }, cookie), {}),
    frozen: Object.freeze(sessionOf({ user: 'ada' }, Object.freeze(cookie))),
    bare: Object.assign(Object.create(null), { cookie, user: 'ada' }),
    withoutCookie: { user: 'ada' },
    null: { cookie: null },
    number: { cookie: 1 },
    circle,
    getters,
  }
  for (const [what, session] of Object.entries(odd)) assertSame(session, what)
})

test('what the session does while it is written is written as JSON.stringify does', () => {
  const cookie = () => new Cookie({ expires: new Date(AT) })
  const makes = {
    'changes the cookie before it is its turn': () => {
      const user = { toJSON: () => (session.cookie.expires = null) }
      const session = { user, cookie: cookie() }
      return session
    },
    'adds a key': () => {
      const session = { cookie: { toJSON: () => (session.later = 1) } }
      return session
    },
    'counts how often it is asked': () => {
      let count = 0
      const counted = () => ({ count: ++count, toJSON: () => 'never' })
      return { cookie: { toJSON: counted }, last: { toJSON: () => count } }
    },
  }
  for (const [what, make] of Object.entries(makes)) {
    assert.equal(stringify(make()), JSON.stringify(make()), what)
    assert.equal(across(make()), JSON.stringify(make()), what)
  }
})

test('leaves a session and its cookie as they are', () => {
  const session = sessionOf({ user: 'ada' }, new Cookie({ expires: new Date(AT) }))
  const { cookie } = session
  const { expires } = cookie
  stringify(session)
  shorten(session)
  assert.equal(session.cookie, cookie)
  assert.equal(cookie.expires, expires)
  assert.equal(expires.getTime(), AT)
  assert.deepEqual(Object.keys(session), ['cookie', 'user'])
})

for (const [when, first, then] of [
  ['before the store was loaded', 'teach()', ''],
  ['after it', '', 'teach()'],
]) {
  test(`an app that taught all Dates another text ${when} gets that`, () => {
    const script = `
      function teach() { Date.prototype.toJSON = function () { return 'in ' + this.getTime() } }
      ${first}
      const { RustStore } = require('./index.js')
      ${then}
      const { Cookie } = require('express-session')
      const store = new RustStore()
      store.set('a', { cookie: new Cookie({ expires: new Date(8e15) }) })
      store.get('a', (error, session) => console.log(session.cookie.expires))`
    const output = execFileSync(process.execPath, ['-e', script], { cwd: `${__dirname}/..` })
    assert.equal(String(output).trim(), 'in 8000000000000000')
  })
}
