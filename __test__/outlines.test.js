// Sessions whose cookies cross in short, against JSON itself. The second store shows, and writes, the text
// that a backend keeps.
'use strict'

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { once } = require('node:events')
const { after, before, test } = require('node:test')
const { Cookie } = require('express-session')
const { RustStore } = require('..')

const serializer = { stringify: ({ text }) => text, parse: (text) => ({ text }) }
const store = new RustStore('memory:outlines')
const raw = new RustStore({ url: 'memory:outlines', serializer })

const DATE = '2099-11-26T12:34:56.789Z'
const HEAD = '{"cookie":{"originalMaxAge":'
const usual = (rest, maxAge = '60000', date = DATE) =>
  `${HEAD}${maxAge},"expires":"${date}","httpOnly":true,"path":"/"}${rest}`

before(async () => {
  // So that outlines are known.
  for (const cookie of [new Cookie({ maxAge: 60_000 }), new Cookie()]) {
    await store.set('usual', { cookie })
    await store.get('usual')
  }
})

after(() => Promise.all([store.close(), raw.close()]))

async function assertRead(text, what) {
  await raw.set('read', { text })
  const expected = JSON.parse(text)
  const session = await store.get('read')
  assert.deepEqual(session, expected, what)
  assert.equal(JSON.stringify(session), JSON.stringify(expected), what)
}

async function assertWritten(session, what) {
  await store.set('written', session)
  assert.equal((await raw.get('written')).text, JSON.stringify(session), what)
}

test('every text is read as JSON.parse reads it', async () => {
  const texts = {
    usual: usual(',"user":"ada"}'),
    alone: usual('}'),
    timeless: '{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"a":1}',
    beyondAscii: usual(',"user":"αβγ 🦀","é":"\\ud800"}'),
    long: usual(`,"text":"${'x'.repeat(100_000)}"}`),
    inside: usual(',"cookies":{"cookie":"x"}}'),
    twice: usual(`,"cookie":{"originalMaxAge":1,"expires":"${DATE}"}}`),
    twiceAsText: usual(`,"cookie":"${DATE}"}`),
    twiceEscaped: usual(`,"\\u0063ookie":"${DATE}"}`),
    number: usual(',"cookie":1}'),
    spaced: usual(' , "user" : "ada" } '),
    noMaxAge: usual('}', 'null'),
    zero: usual('}', '0'),
    negative: usual('}', '-1'),
    exponent: usual('}', '1e3'),
    fraction: usual('}', '1.50'),
    most: usual('}', '999999999999999'),
    more: usual('}', '1234567890123456789'),
    month: usual('}', '2592000000'),
    noDate: usual('}', '1', 'twenty-four characters!!'),
    escapedDate: usual('}', '1', '2099-11-26T12:34:56.78\\n'),
    proto: usual(',"__proto__":{"a":1}}'),
    numbered: usual(',"2":2,"1":1}'),
    other: '{"cookie":{"path":"/"},"user":"ada"}',
    pathTwice: `${HEAD}1,"path":"/","expires":"${DATE}","path":"/a"}}`,
    expiresTwice: `${HEAD}1,"expires":"${DATE}","expires":"2098-01-01T00:00:00.000Z"}}`,
    maxAgeTwice: `${HEAD}1,"expires":"${DATE}","originalMaxAge":"2"}}`,
    array: '[1,2]',
  }
  for (let round = 0; round < 3; round++) {
    for (const [what, text] of Object.entries(texts)) await assertRead(text, what)
  }
})

test('every session is written as JSON.stringify writes it', async () => {
  const options = {
    usual: { maxAge: 60_000 },
    timeless: {},
    all: { maxAge: 60_000, secure: true, sameSite: 'lax', domain: 'a.test', partitioned: true },
    month: { maxAge: 2_592_000_000 },
    fraction: { maxAge: 1000.5 },
    without: { maxAge: null },
    quoted: { maxAge: 60_000, path: '/"\\' },
    beyondAscii: { maxAge: 60_000, path: '/é' },
    boxed: { maxAge: 60_000, path: new String('/boxed') },
    functions: { maxAge: 60_000, priority: () => {} },
  }
  for (let round = 0; round < 3; round++) {
    for (const [what, given] of Object.entries(options)) {
      await assertWritten({ cookie: new Cookie(given), user: 'ada', cart: [1] }, what)
      const cookie = new Cookie(given)
      cookie.extra = what
      await assertWritten({ cookie }, what)
    }
  }
})

test('what an object in a cookie is written as may change', async () => {
  let same = 'lax'
  const toJSON = () => same
  for (const sameSite of [{ toJSON }, Object.assign(() => {}, { toJSON })]) {
    const cookie = new Cookie({ maxAge: 60_000, sameSite })
    same = 'lax'
    await assertWritten({ cookie }, 'lax')
    same = 'strict'
    await assertWritten({ cookie }, 'strict')
  }
})

test('what is not as in other cookies of its kind is written as it is', async () => {
  const usual = () => new Cookie({ maxAge: 60_000, secure: true, sameSite: 'lax' })
  await assertWritten({ cookie: usual() }, 'usual')
  const { sameSite, ...less } = usual().data
  await assertWritten({ cookie: { toJSON: () => less } }, 'a key less')
  // Made once: another cookie would expire later by what has passed since.
  const more = { ...usual().data, more: 1 }
  await assertWritten({ cookie: { toJSON: () => more } }, 'a key more')
  for (const originalMaxAge of [-1, -0, 0.5, 1e15, 1e21, Number.NaN, null, undefined, '1', true]) {
    await assertWritten({ cookie: Object.assign(usual(), { originalMaxAge }) }, originalMaxAge)
  }
  class Late extends Date {
    toISOString() {
      return DATE
    }
  }
  const own = Object.assign(new Date(DATE), { toJSON: () => 'own' })
  for (const expires of [DATE, own, new Late(), 1, false, undefined]) {
    const data = { ...usual().data, expires }
    await assertWritten({ cookie: { toJSON: () => data } }, expires)
  }
  for (const year of [-1, 0, 9999, 10_000, Number.NaN]) {
    const expires = new Date(Date.UTC(2000, 0))
    expires.setUTCFullYear(year)
    const data = { ...usual().data, expires }
    await assertWritten({ cookie: { toJSON: () => data }, year }, year)
  }
})

test('what a cookie inherits is not written', async () => {
  const { originalMaxAge, partitioned, priority, ...rest } = new Cookie({ maxAge: 60_000 }).data
  const data = Object.assign(Object.create(rest), { originalMaxAge, partitioned, priority })
  await assertWritten({ cookie: new Cookie({ maxAge: 60_000 }) }, 'own')
  await assertWritten({ cookie: { toJSON: () => data } }, 'inherited')
})

test('a save from within a save mixes nothing up', async () => {
  const inner = { cookie: new Cookie({ path: '/inner' }), inner: true }
  const usual = () => new Cookie({ maxAge: 60_000 })
  const save = (result) => {
    store.set('inner', inner, () => {})
    return result
  }
  const get = { enumerable: true, get: () => save(undefined) }
  const toJSON = (result) => ({ toJSON: () => save(result) })
  const sessions = {
    value: { cookie: usual(), value: toJSON('written') },
    cookie: { cookie: toJSON({ originalMaxAge: 1.5, expires: null, path: '/' }), v: 1 },
    cookieAsText: { cookie: toJSON('x'), v: 1 },
    attribute: { cookie: new Cookie({ maxAge: 60_000, sameSite: toJSON('lax') }), v: 1 },
    getter: Object.defineProperty({ cookie: usual() }, 'getter', get),
    getterAndOdd: Object.defineProperty(
      { cookie: Object.assign(usual(), { originalMaxAge: -3 }) },
      'getter',
      get,
    ),
    cookieGetter: Object.assign(Object.defineProperty({}, 'cookie', get), { v: 1 }),
  }
  for (const [what, session] of Object.entries(sessions)) {
    await assertWritten(session, what)
    assert.equal((await raw.get('inner')).text, JSON.stringify(inner), what)
  }
})

test('a serializer of the app sees whole texts of what another store has read', async () => {
  const seen = []
  const serializer = {
    stringify: JSON.stringify,
    parse: (text) => {
      seen.push(text)
      return JSON.parse(text)
    },
  }
  const strict = new RustStore({ url: 'memory:outlines', serializer })
  const session = { cookie: new Cookie({ maxAge: 60_000 }), n: 1 }
  await store.set('shared', session)
  const text = JSON.stringify(session)
  await store.get('shared')
  const read = await store.get('shared')
  read.cookie.path = '/moved'
  await strict.touch('shared', read)
  for (let i = 0; i < 3; i++) await store.get('shared')
  await strict.set('shared', Object.assign(await store.get('shared'), { n: 2 }))
  assert.equal(seen[0], text)
  for (const seenText of seen) assert.equal(typeof JSON.parse(seenText).cookie, 'object')
  await strict.close()
})

for (const [what, patch] of [
  ['read', 'JSON.parse = (text) => parse(text, (k, v) => (k === "expires" ? 1 : v))'],
  ['write', 'JSON.stringify = (value) => stringify(value, undefined, 1)'],
]) {
  test(`an app that has JSON ${what} otherwise gets that`, () => {
    const script = `
      const { parse, stringify } = JSON
      const { RustStore } = require('./index.js')
      const { Cookie } = require('express-session')
      const store = new RustStore()
      const session = () => ({ cookie: new Cookie({ expires: new Date(8e15), maxAge: 6e4 }), a: 1 })
      const save = (sid) => store.set(sid, session(), () => {})
      save('before')
      store.get('before', () => {})
      ${patch}
      save('after')
      store.get('after', (error, found) => {
        const { expires, originalMaxAge } = found.cookie
        console.log(typeof expires, Math.round(originalMaxAge / 1e3), found.a)
      })`
    const output = execFileSync(process.execPath, ['-e', script], { cwd: `${__dirname}/..` })
    assert.equal(String(output).trim(), `${what === 'read' ? 'number' : 'string'} 60 1`)
  })
}

test('sessions that were read and written in short are merged', async () => {
  const cookie = new Cookie({ maxAge: 60_000 })
  await store.set('merged', { cookie, n: 1 })
  const [one, two] = [await store.get('merged'), await store.get('merged')]
  one.one = true
  two.two = true
  await store.set('merged', one)
  one.again = true
  await store.set('merged', two)
  await store.set('merged', one)
  const { text } = await raw.get('merged')
  const { cookie: kept, ...rest } = JSON.parse(text)
  assert.deepEqual(kept, JSON.parse(JSON.stringify(cookie)))
  assert.deepEqual(rest, { n: 1, one: true, two: true, again: true })
})

test('what is told of a damaged text is about all of it', async () => {
  const text = usual(',"user":}')
  await raw.set('damaged', { text })
  const told = once(store, 'corrupt')
  assert.equal(await store.get('damaged'), undefined)
  const [sid, error] = await told
  assert.equal(sid, 'damaged')
  assert.throws(() => JSON.parse(text), { message: error.message })
})

// Last: it leaves no room for others.
test('more kinds of cookies than are remembered are read and written all the same', async () => {
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 30; n++) {
      await assertWritten({ cookie: new Cookie({ maxAge: 1e6, path: `/${n}` }), n })
      await assertRead(usual(`,"n":${n}}`).replace('"path":"/"', `"path":"/read/${n}"`))
    }
  }
})
