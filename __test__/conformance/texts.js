'use strict'
// The merge as it shows in the stored text: what did not change keeps its bytes, and another
// writer's spelling of the same value is no change.

const assert = require('node:assert/strict')
const { RustStore } = require('../..')
const h = require('./harness.js')

module.exports = (row) => {
  const rule = h.rulesOf(row)

  // A serializer that writes given text and remembers what it was given to read, to see the
  // record as it is stored.
  function scribe() {
    const self = { next: null, read: [] }
    self.serializer = {
      stringify(session) {
        const text = self.next ?? JSON.stringify(session)
        self.next = null
        return text
      },
      parse(text) {
        self.read.push(text)
        return JSON.parse(text)
      },
    }
    return self
  }

  rule('text: what no side changed keeps its bytes, and keys their order', async ({ open }) => {
    const pen = scribe()
    const store = await open({ serializer: pen.serializer })
    pen.next =
      '{"z":1.0,"big":12345678901234567890,"e":1e400,"s":"\\u00e9\\/\\ud800","o":{"b":1E2,"a":-0},"n":1}'
    await store.set('a', {})
    const mine = await store.get('a')
    const theirs = await store.get('a')
    pen.next =
      '{"z":1.0,"big":12345678901234567890,"e":1e400,"s":"\\u00e9\\/\\ud800","o":{"b":1E2,"a":-0,"t":2.50},"n":1}'
    await store.set('a', theirs)
    pen.next =
      '{"z":1.0,"big":12345678901234567890,"e":1e400,"s":"\\u00e9\\/\\ud800","o":{"b":1E2,"a":-0},"n":2.0}'
    await store.set('a', mine)
    pen.read.length = 0
    await store.get('a')
    assert.equal(
      pen.read[0],
      '{"z":1.0,"big":12345678901234567890,"e":1e400,"s":"\\u00e9\\/\\ud800","o":{"b":1E2,"a":-0,"t":2.50},"n":2.0}',
    )
  })

  const SAME = {
    'a number': ['1', '1.0', '2'],
    'an exponent': ['100', '1e2', '2'],
    'minus zero': ['0', '-0', '2'],
    'a string': ['"\u00e9/"', '"\\u00e9\\/"', '"x"'],
    'an escaped surrogate pair': ['"\ud83e\udd80"', '"\\ud83e\\udd80"', '"x"'],
    'an array': ['[1,"\u00e9"]', '[ 1.0 , "\\u00e9" ]', '[2]'],
    'an object with another order of keys': ['{"a":1,"b":2}', '{"b":2.0,"a":1}', '{"a":1,"b":3}'],
  }
  for (const [what, [base, rewritten, changed]] of Object.entries(SAME)) {
    rule(`text: ${what} that another writer spells differently is no change`, async ({ open }) => {
      const pen = scribe()
      const store = await open({ serializer: pen.serializer })
      const conflicts = h.listen(store, 'conflict')
      pen.next = `{"v":${base},"n":1}`
      await store.set('a', {})
      const mine = await store.get('a')
      const theirs = await store.get('a')
      pen.next = `{"v":${rewritten},"n":2}`
      await store.set('a', theirs)
      pen.next = `{"v":${changed},"n":1}`
      await store.set('a', mine)
      const got = await store.get('a')
      assert.deepEqual(got, { v: JSON.parse(changed), n: 2 })
      await h.quiet(store)
      assert.deepEqual(conflicts, [])
    })
  }

  rule('text: what callbacks read and save stays out of the answers after theirs', async (ctx) => {
    const store = await ctx.open()
    const memory = new RustStore()
    const HOUR = 3_600_000
    const seed = async (place, sid, path, maxAge) => {
      const session = h.visitor(place, sid, { sid }, maxAge)
      session.cookie.path = path
      await place.set(sid, session)
      // From the second time on it is known how its cookie is written.
      for (let i = 0; i < 2; i++) await place.get(sid)
      return session
    }
    const mine = await seed(store, 'a', '/a', HOUR)
    const other = await seed(memory, 'b', '/b', 2 * HOUR)
    const disturb = () => {
      memory.get('b', () => {})
      memory.set('b', other, () => {})
    }
    const answers = []
    for (let i = 0; i < 40; i++) {
      // A touch that moves nothing would be answered without the backend.
      mine.cookie.expires = new Date(Date.now() + HOUR + 10 * i)
      store.touch('a', mine, disturb)
      answers.push(new Promise((resolve) => store.get('a', (_, found) => resolve(found))))
      store.get('a', disturb)
    }
    for (const { sid, cookie } of await Promise.all(answers)) {
      assert.deepEqual([sid, cookie.path], ['a', '/a'])
      assert.ok(Math.abs(cookie.originalMaxAge - HOUR) < 1000)
    }
    await memory.close()
  })

  rule('text: a number that both wrote alike in other digits is no conflict', async ({ open }) => {
    const pen = scribe()
    const store = await open({ serializer: pen.serializer })
    const conflicts = h.listen(store, 'conflict')
    pen.next = '{"v":1}'
    await store.set('a', {})
    const mine = await store.get('a')
    const theirs = await store.get('a')
    pen.next = '{"v":20}'
    await store.set('a', theirs)
    pen.next = '{"v":2e1,"m":1}'
    await store.set('a', mine)
    assert.deepEqual(await store.get('a'), { v: 20, m: 1 })
    await h.quiet(store)
    assert.deepEqual(conflicts, [])
  })

  rule('text: white space and deep nesting survive a merge', async ({ open }) => {
    const pen = scribe()
    const store = await open({ serializer: pen.serializer })
    const deep = `${'['.repeat(3000)}1${']'.repeat(3000)}`
    pen.next = `\n{ "deep" : ${deep} ,\t"n": 1 }\n`
    await store.set('a', {})
    const mine = await store.get('a')
    const theirs = await store.get('a')
    theirs.n = 2
    await store.set('a', theirs)
    mine.m = 3
    await store.set('a', mine)
    const got = await store.get('a')
    assert.deepEqual([got.n, got.m], [2, 3])
    assert.equal(JSON.stringify(got.deep), deep)
  })

  const build = (depth) => {
    const top = { cookie: { originalMaxAge: null, expires: null } }
    let at = top
    for (let i = 0; i < depth; i++) {
      at.k = {}
      at = at.k
    }
    return top
  }
  const bottom = (session, depth) => {
    let at = session
    for (let i = 0; i < depth; i++) at = at.k
    return at
  }
  async function mergeAt(store, depth) {
    await store.set('a', build(depth))
    const mine = await store.get('a')
    const theirs = await store.get('a')
    bottom(theirs, depth).t = 1
    theirs.top = 'theirs'
    await store.set('a', theirs)
    bottom(mine, depth).m = 1
    await store.set('a', mine)
    return store.get('a')
  }

  for (const depth of [100, 1000]) {
    rule(`text: objects merge by key ${depth} levels deep`, async ({ open }) => {
      const store = await open()
      const conflicts = h.listen(store, 'conflict')
      const got = await mergeAt(store, depth)
      assert.deepEqual(bottom(got, depth), { t: 1, m: 1 })
      await h.quiet(store)
      assert.deepEqual(conflicts, [])
    })
  }

  rule('text: a merge of endlessly deep objects ends, with what is beside them', async (ctx) => {
    const store = await ctx.open()
    const got = await mergeAt(store, 3000)
    assert.equal(bottom(got, 3000).m, 1, 'the later save')
    assert.equal(got.top, 'theirs')
  })
}
