'use strict'
// The three-way merge, seen from outside: what each side did, what is stored, which `conflict`s.
// Theirs is saved first, mine is the later save.

const assert = require('node:assert/strict')
const h = require('./harness.js')

// [rule, base, theirs does, mine does, result, conflict paths]
const MERGES = [
  [
    'objects merge by key, at any depth',
    { prefs: { view: { zoom: 1, theme: 'light' } } },
    (s) => {
      s.prefs.view.theme = 'dark'
    },
    (s) => {
      s.prefs.view.zoom = 2
      s.prefs.lang = 'de'
    },
    { prefs: { view: { zoom: 2, theme: 'dark' }, lang: 'de' } },
    [],
  ],
  [
    'objects that both sides made are merged by key',
    {},
    (s) => {
      s.cart = { apple: 1, both: 1 }
    },
    (s) => {
      s.cart = { pear: 2, both: 1 }
    },
    { cart: { apple: 1, both: 1, pear: 2 } },
    [],
  ],
  [
    'the same change on both sides is no conflict',
    { n: 1, list: [1], drop: 1 },
    (s) => {
      s.n = 2
      s.list = [1, { x: 2 }]
      delete s.drop
    },
    (s) => {
      s.n = 2
      s.list = [1, { x: 2 }]
      delete s.drop
    },
    { n: 2, list: [1, { x: 2 }] },
    [],
  ],
  [
    'a scalar that both changed: the later save has it',
    { prefs: { theme: 'light' } },
    (s) => {
      s.prefs.theme = 'dark'
    },
    (s) => {
      s.prefs.theme = 'blue'
    },
    { prefs: { theme: 'blue' } },
    [['prefs', 'theme']],
  ],
  [
    'an array is a unit: the later save has it',
    { list: [1], safe: [1] },
    (s) => {
      s.list.push('theirs')
      s.safe.push('theirs')
    },
    (s) => {
      s.list.push('mine')
    },
    { list: [1, 'mine'], safe: [1, 'theirs'] },
    [['list']],
  ],
  [
    'an array that both sides made: the later save has it',
    {},
    (s) => {
      s.flash = ['theirs']
    },
    (s) => {
      s.flash = ['mine']
    },
    { flash: ['mine'] },
    [['flash']],
  ],
  [
    'objects inside arrays are not merged',
    { list: [{ a: 1, b: 1 }] },
    (s) => {
      s.list[0].a = 2
    },
    (s) => {
      s.list[0].b = 2
    },
    { list: [{ a: 1, b: 2 }] },
    [['list']],
  ],
  [
    'a deletion holds, alone',
    { drop: { x: 1 }, keep: 1 },
    (s) => {
      s.keep = 2
    },
    (s) => {
      delete s.drop
    },
    { keep: 2 },
    [],
  ],
  [
    'what mine deleted stays so, whatever theirs changed beneath',
    { login: { id: 1, seen: 1 } },
    (s) => {
      s.login.seen = 2
    },
    (s) => {
      delete s.login
    },
    {},
    [['login']],
  ],
  [
    'what theirs deleted stays so, whatever mine changed beneath',
    { login: { id: 1, deep: { seen: 1 } } },
    (s) => {
      delete s.login
    },
    (s) => {
      s.login.deep.seen = 2
    },
    {},
    [['login']],
  ],
  [
    'what mine set to null stays so, whatever theirs changed beneath',
    { login: { id: 1, seen: 1 } },
    (s) => {
      s.login.seen = 2
    },
    (s) => {
      s.login = null
    },
    { login: null },
    [['login']],
  ],
  [
    'what theirs set to null stays so, whatever mine changed beneath',
    { login: { id: 1, seen: 1 } },
    (s) => {
      s.login = null
    },
    (s) => {
      s.login.seen = 2
    },
    { login: null },
    [['login']],
  ],
  [
    'a deleted scalar stays deleted, whoever changed it',
    { mine: 1, theirs: 1 },
    (s) => {
      s.mine = 2
      delete s.theirs
    },
    (s) => {
      delete s.mine
      s.theirs = 2
    },
    {},
    [['mine'], ['theirs']],
  ],
  [
    'an object in place of a scalar on one side only',
    { a: 1, b: { x: 1 }, c: [1] },
    (s) => {
      s.a = { x: 1 }
    },
    (s) => {
      s.b = 2
      s.c = { y: 1 }
    },
    { a: { x: 1 }, b: 2, c: { y: 1 } },
    [],
  ],
  [
    'different kinds on both sides: the later save has it',
    { a: 1, b: { x: 1 } },
    (s) => {
      s.a = [1]
      s.b = 'theirs'
    },
    (s) => {
      s.a = { mine: 1 }
      s.b.x = 2
    },
    { a: { mine: 1 }, b: { x: 2 } },
    [['a'], ['b']],
  ],
  [
    'keys with dots, without letters, and of Object.prototype are told as they are',
    { 'a.b': { '': 1 }, deep: JSON.parse('{"__proto__":1}'), constructor: 1 },
    (s) => {
      s['a.b'][''] = 2
      Object.defineProperty(s.deep, '__proto__', { value: 2 })
      s.constructor = 2
    },
    (s) => {
      s['a.b'][''] = 3
      Object.defineProperty(s.deep, '__proto__', { value: 3 })
      s.constructor = 3
    },
    { 'a.b': { '': 3 }, deep: JSON.parse('{"__proto__":3}'), constructor: 3 },
    [['a.b', ''], ['constructor'], ['deep', '__proto__']],
  ],
  [
    'beside conflicts, every other change is kept',
    { a: 1, b: { x: 1, y: 1, z: 1 }, c: 1 },
    (s) => {
      s.a = 2
      s.b.x = 2
      s.b.new = 'theirs'
      s.d = 4
    },
    (s) => {
      s.a = 3
      s.b.y = 3
      delete s.b.z
      delete s.c
    },
    { a: 3, b: { x: 2, y: 3, new: 'theirs' }, d: 4 },
    [['a']],
  ],
  [
    'passport and user are units: two identities never mix',
    { passport: { user: 1, at: 1 }, user: { id: 1 } },
    (s) => {
      s.passport.user = 2
      s.user.name = 'theirs'
    },
    (s) => {
      s.passport.at = 2
      s.user.role = 'mine'
    },
    { passport: { user: 1, at: 2 }, user: { id: 1, role: 'mine' } },
    [['passport'], ['user']],
  ],
  [
    'a unit that one side changed is taken whole, without conflict',
    { passport: { user: 1 }, user: { id: 1 } },
    (s) => {
      s.passport = { user: 2, at: 1 }
    },
    (s) => {
      s.user = { id: 3 }
    },
    { passport: { user: 2, at: 1 }, user: { id: 3 } },
    [],
  ],
  [
    'a unit that one side deleted stays deleted',
    { passport: { user: 1 }, user: { id: 1 } },
    (s) => {
      delete s.passport
      s.user.id = 2
    },
    (s) => {
      s.passport.at = 2
      delete s.user
    },
    {},
    [['passport'], ['user']],
  ],
  [
    'units are top-level keys only',
    { deep: { passport: { a: 1, b: 1 } } },
    (s) => {
      s.deep.passport.a = 2
    },
    (s) => {
      s.deep.passport.b = 2
    },
    { deep: { passport: { a: 2, b: 2 } } },
    [],
  ],
]

const byText = (a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)

module.exports = (row) => {
  const rule = h.rulesOf(row)

  async function merge({ pair }, options, base, theirs, mine) {
    const [store, other] = await pair(options)
    await store.set('a', h.visitor(store, 'a', base))
    const later = await h.load(store, 'a')
    const sooner = await h.load(other, 'a')
    const events = h.listen(store, 'conflict')
    theirs(sooner)
    mine(later)
    await other.set('a', sooner)
    await store.set('a', later)
    await h.quiet(store)
    return { store, events, got: h.dataOf(await store.get('a')) }
  }

  for (const [what, base, theirs, mine, result, paths] of MERGES) {
    rule(`merge: ${what}`, async (ctx) => {
      const { store, events, got } = await merge(ctx, {}, base, theirs, mine)
      assert.deepStrictEqual(got, result)
      if (paths.length === 0) {
        assert.deepEqual(events, [], 'no conflict')
      } else {
        assert.equal(events.length, 1, 'one conflict event for one save')
        assert.equal(events[0][0], 'a')
        assert.deepEqual([...events[0][1]].sort(byText), [...paths].sort(byText))
      }
      const stats = await store.stats()
      assert.equal(stats.conflicts, paths.length ? 1 : 0)
      assert.equal(stats.merges, 1)
    })
  }

  rule('atomic: names other units, and passport merges then', async (ctx) => {
    const { got, events } = await merge(
      ctx,
      { atomic: ['cart'] },
      { cart: { a: 1 }, passport: { user: 1 } },
      (s) => {
        s.cart.b = 1
        s.passport.x = 1
      },
      (s) => {
        s.cart.c = 1
        s.passport.y = 1
      },
    )
    assert.deepEqual(got, { cart: { a: 1, c: 1 }, passport: { user: 1, x: 1, y: 1 } })
    assert.deepEqual(events, [['a', [['cart']]]])
  })

  rule('atomic: an empty list merges everything by key', async (ctx) => {
    const { got, events } = await merge(
      ctx,
      { atomic: [] },
      { user: { id: 1 } },
      (s) => {
        s.user.x = 1
      },
      (s) => {
        s.user.y = 1
      },
    )
    assert.deepEqual(got, { user: { id: 1, x: 1, y: 1 } })
    assert.deepEqual(events, [])
  })
}
