'use strict'
// Exact JSON and sids: whatever goes in comes back, as JSON.parse(JSON.stringify()) gives it.

const assert = require('node:assert/strict')
const h = require('./harness.js')

const nested = (depth) => {
  let value = 1
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { k: value }
  return value
}

const VALUES = {
  'key order': { zebra: 1, apple: 2, 10: 'ten', 9: 'nine', mango: { b: 1, a: 2 } },
  numbers: {
    list: [0, -0, 1, -1, 0.1, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 2 ** 53, -(2 ** 53) - 1],
  },
  'numbers that JSON has not': { list: [Number.NaN, Number.POSITIVE_INFINITY, -Infinity] },
  'lone surrogates': {
    high: 'a\ud800b',
    low: '\udc00',
    turned: '\udc00\ud800',
    pair: '\ud83d\ude00',
  },
  'lone surrogates in keys': { '\ud800': 1, '\udfff': 2, '\ud83d\ude00': 3 },
  'control characters': { '\0': '\0', all: String.fromCharCode(...Array(160).keys()) },
  'line separators and escapes': { text: '\u2028\u2029"\\/\b\f\n\r\t\u007f\ufeff\ufffd' },
  'wide text': {
    latin: 'é\u00ff',
    two: 'ж',
    three: '\u20ac',
    four: '\ud83e\udd80',
    mixed: 'aé\u20ac\ud83e\udd80',
  },
  'own __proto__ keys': JSON.parse('{"__proto__":{"admin":true},"deep":{"__proto__":[1]}}'),
  'names of Object.prototype': { constructor: 1, toString: 'x', hasOwnProperty: null, valueOf: {} },
  'empty things': { '': '', object: {}, array: [], nested: { '': { '': [] } } },
  'keys that Rust crates reserve': {
    '$serde_json::private::Number': '1e3',
    '$serde_json::private::RawValue': '{}',
    $oid: '507f1f77bcf86cd799439011',
    'a.b': 1,
    $set: { x: 1 },
    _id: 5,
  },
  'keys that stores reserve': {
    id: 'own',
    req: 1,
    sid: 2,
    __lastAccess: 3,
    lastModified: 4,
    expires: 5,
    base: 6,
    version: 7,
  },
  'what JSON drops': {
    gone: undefined,
    fn() {},
    list: [undefined, Symbol('x')],
    hole: Object.assign([], { 2: 3 }),
  },
  'what JSON turns into text': {
    date: new Date(0),
    bytes: Buffer.from('hi'),
    map: new Map([[1, 2]]),
  },
  'null and booleans': { a: null, b: true, c: false },
  'deep nesting': { deep: nested(1000) },
  'many keys': Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`key${i}`, i])),
  'long text': { ascii: 'a'.repeat(200_000), wide: '\u20ac'.repeat(50_000) },
}

const SIDS = {
  'the name __proto__': '__proto__',
  'the name constructor': 'constructor',
  'a null character': 'a\0b',
  'only a null character': '\0',
  empty: '',
  '3,000 characters': 'x'.repeat(3000),
  '3,000 wide characters': '\u20ac'.repeat(3000),
  spaces: ' \t\n',
  'glob characters': '*?[a]^\\',
  'a slash and dots': '../../etc/passwd',
  'braces, a dollar, a dot': '{a}.$where',
  'an emoji': '\ud83e\udd80',
  quotes: `"'\``,
}

module.exports = (row) => {
  const rule = h.rulesOf(row)

  for (const [what, data] of Object.entries(VALUES)) {
    rule(`exact JSON: ${what}`, async ({ open }) => {
      const store = await open()
      // What the user gets is parsed from text, so own `__proto__` keys are copied as such.
      const given = Object.defineProperties(
        { cookie: { originalMaxAge: null, expires: null } },
        Object.getOwnPropertyDescriptors(data),
      )
      const text = JSON.stringify(given)
      await store.set('a', given)
      const got = await store.get('a')
      assert.equal(JSON.stringify(got), text)
      if (what !== 'deep nesting') assert.deepStrictEqual(got, JSON.parse(text))
      assert.deepEqual(Reflect.ownKeys(got), Reflect.ownKeys(JSON.parse(text)))
      assert.equal(Object.getPrototypeOf(got), Object.prototype)
      assert.equal(JSON.stringify((await store.all()).a), text)
      for await (const [, walked] of store.entries()) assert.equal(JSON.stringify(walked), text)
      // The same once more, as a save of what was read.
      got.extra = 1
      await store.set('a', got)
      assert.equal(
        JSON.stringify(await store.get('a')),
        JSON.stringify({ ...JSON.parse(text), extra: 1 }),
      )
      assert.equal({}.admin, undefined)
    })

    rule(`exact JSON: ${what}, next to another request's change`, async ({ pair }) => {
      const [store, other] = await pair()
      const given = Object.defineProperties(
        { cookie: { originalMaxAge: null, expires: null } },
        Object.getOwnPropertyDescriptors(data),
      )
      await store.set('a', given)
      const mine = await store.get('a')
      const theirs = await other.get('a')
      theirs.theirs = 1
      await other.set('a', theirs)
      mine.mine = 1
      await store.set('a', mine)
      const got = await store.get('a')
      assert.deepEqual([got.mine, got.theirs], [1, 1])
      delete got.mine
      delete got.theirs
      assert.equal(JSON.stringify(got), JSON.stringify(given))
    })
  }

  rule('exact JSON: toJSON of the session itself decides', async ({ open }) => {
    const store = await open()
    await store.set('a', { secret: 1, toJSON: () => ({ shown: 2 }) })
    assert.deepEqual(await store.get('a'), { shown: 2 })
  })

  rule('exact JSON: the text of a serializer is kept to the letter', async ({ open }) => {
    const text = '{ "big":1e400,"n": 1.0 ,"same":1,"same":2, "e":"\\u00e9\\ud800" }'
    const parsed = []
    const serializer = {
      stringify: () => text,
      parse(stored) {
        parsed.push(stored)
        return JSON.parse(stored)
      },
    }
    const store = await open({ serializer })
    await store.set('a', {})
    const got = await store.get('a')
    assert.deepEqual(parsed, [text])
    assert.deepEqual(got, { big: Number.POSITIVE_INFINITY, n: 1, same: 2, e: 'é\ud800' })
  })

  rule('serializer: text that is not JSON is stored as it is', async ({ open }) => {
    const serializer = {
      stringify: (session) =>
        `v1\0é\u20ac|${Buffer.from(JSON.stringify(session)).toString('base64')}`,
      parse: (text) => JSON.parse(Buffer.from(text.split('|')[1], 'base64').toString()),
    }
    const store = await open({ serializer })
    await store.set('a', h.plain({ n: 'é\u20ac' }))
    assert.equal((await store.get('a')).n, 'é\u20ac')
  })

  for (const [what, sid] of Object.entries(SIDS)) {
    rule(`sid: ${what}`, async ({ open }) => {
      const store = await open()
      assert.equal(await store.get(sid), undefined)
      await store.set(sid, h.plain({ n: 1 }))
      await store.set('neighbour', h.plain({ n: 2 }))
      assert.equal((await store.get(sid)).n, 1)
      await store.touch(sid, h.plain())
      assert.deepEqual((await store.ids()).sort(), [sid, 'neighbour'].sort())
      const all = await store.all()
      assert.equal(Object.getPrototypeOf(all), null)
      assert.ok(Object.hasOwn(all, sid))
      assert.equal(all[sid].n, 1)
      assert.equal(await store.length(), 2)
      const walked = new Map()
      for await (const [key, session] of store.entries()) walked.set(key, session.n)
      assert.deepEqual([walked.get(sid), walked.size], [1, 2])
      await store.destroy(sid)
      assert.equal(await store.get(sid), undefined)
      assert.equal((await store.get('neighbour')).n, 2)
    })
  }

  rule('sid: names of Object.prototype are missing until stored', async ({ open }) => {
    const store = await open()
    for (const sid of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      assert.equal(await store.get(sid), undefined, sid)
    }
  })

  rule('sid: String(sid) decides, for numbers, null, objects and symbols', async ({ open }) => {
    const store = await open()
    for (const sid of [42, null, undefined, true, 1.5, -0, ['a', 'b'], Symbol('s'), 10n]) {
      await store.set(sid, h.plain({ sid: String(sid) }))
      assert.equal((await store.get(String(sid))).sid, String(sid))
      assert.equal((await store.get(sid)).sid, String(sid))
      await store.touch(sid, h.plain())
      await store.destroy(sid)
      assert.equal(await store.get(String(sid)), undefined)
    }
    const named = { toString: () => 'named' }
    await store.set('named', h.plain({ n: 1 }))
    assert.equal((await store.get(named)).n, 1)
  })

  rule('sid: strings that differ only in lone surrogates are different sids', async ({ open }) => {
    const store = await open()
    const sids = [
      '\ud800',
      '\ud801',
      '\udc00',
      '\udfff',
      '\ufffd',
      '\ud800\udc00',
      '\udc00\ud800',
      '?',
    ]
    for (const sid of sids) await store.set(sid, h.plain({ sid }))
    for (const sid of sids) assert.equal((await store.get(sid)).sid, sid)
    assert.equal(await store.length(), sids.length)
    assert.deepEqual((await store.ids()).sort(), [...sids].sort())
    assert.deepEqual(Object.keys(await store.all()).sort(), [...sids].sort())
  })

  rule('sid: upper and lower case, composed and decomposed, are different', async ({ open }) => {
    const store = await open()
    const sids = ['a', 'A', '\u00e9', 'e\u0301', 'a ', 'a\0']
    for (const sid of sids) await store.set(sid, h.plain({ sid }))
    for (const sid of sids) assert.equal((await store.get(sid)).sid, sid)
  })

  rule('sid: over the limit is a clear error, for every method', async ({ open }) => {
    const store = await open()
    const most = row.capabilities.maxSidBytes
    const longest = 'x'.repeat(most)
    await store.set(longest, h.plain({ n: 1 }))
    assert.equal((await store.get(longest)).n, 1)
    const wide = '\u20ac'.repeat(Math.floor(most / 3) + 1)
    for (const sid of [`${longest}x`, wide]) {
      const tooLong = (operation) => h.storeError('ERR_STORE_TOO_LARGE', operation)
      await assert.rejects(store.get(sid), tooLong('get'))
      await assert.rejects(store.set(sid, h.plain()), tooLong('set'))
      await assert.rejects(store.touch(sid, h.plain()), tooLong('touch'))
      await assert.rejects(store.destroy(sid), tooLong('destroy'))
    }
    assert.equal(await store.length(), 1)
  })
}
