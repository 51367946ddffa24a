'use strict'
// Two requests of one session: no lost update, no resurrection.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const h = require('./harness.js')

module.exports = (row) => {
  const rule = h.rulesOf(row)

  rule('set: two requests that changed different keys both keep their change', async ({ pair }) => {
    const [store, other] = await pair()
    await h.seed(store, 'a', { n: 1 })
    const mine = await h.load(store, 'a')
    const theirs = await h.load(other, 'a')
    theirs.theme = 'dark'
    await other.set('a', theirs)
    mine.cart = { apple: 1 }
    await store.set('a', mine)
    const expected = { n: 1, theme: 'dark', cart: { apple: 1 } }
    assert.deepEqual(h.dataOf(await store.get('a')), expected)
    const { merges, conflicts, saves } = await store.stats()
    assert.deepEqual([merges, conflicts], [1, 0])
    assert.ok(saves >= 2, 'a merged save counts as a save')
  })

  rule('set: fifty requests at once lose nothing', async ({ pair }) => {
    const [store, other] = await pair()
    await h.seed(store, 'a', { cart: {} })
    const requests = await Promise.all(
      Array.from({ length: 50 }, (_, i) => h.load(i % 2 ? store : other, 'a')),
    )
    await Promise.all(
      requests.map((session, i) => {
        session.cart[`item${i}`] = i
        session[`key${i}`] = i
        return (i % 2 ? store : other).set('a', session)
      }),
    )
    const got = await store.get('a')
    assert.equal(Object.keys(got.cart).length, 50)
    for (let i = 0; i < 50; i++) assert.deepEqual([got.cart[`item${i}`], got[`key${i}`]], [i, i])
  })

  rule('set: unchanged since it was read is written as it is', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1, gone: true })
    const session = await h.load(store, 'a')
    delete session.gone
    session.n = 2
    await store.set('a', session)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 2 })
    assert.equal((await store.stats()).merges, 0)
  })

  rule('set: a request that changed nothing writes nothing over', async ({ pair }) => {
    const [store, other] = await pair()
    await h.seed(store, 'a', { n: 1 })
    const idle = await h.load(store, 'a')
    const busy = await h.load(other, 'a')
    busy.n = 2
    await other.set('a', busy)
    await store.set('a', idle)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 2 })
  })

  const ENDS = {
    destroyed: (store) => store.destroy('a'),
    cleared: (store) => store.clear(),
    'saved as expired': (store) => store.set('a', h.plain({}, new Date(0))),
    'touched into the past': (store) => store.touch('a', h.plain({}, new Date(0))),
  }
  for (const merge of [true, false]) {
    for (const [how, end] of Object.entries(ENDS)) {
      rule(`gone: a session ${how} stays gone, with merge ${merge}`, async ({ pair }) => {
        const [store, other] = await pair({ merge })
        await h.seed(store, 'a', { user: 1 })
        const held = await h.load(store, 'a')
        await end(other)
        held.n = 2
        const heard = once(store, 'gone')
        const error = await new Promise((resolve) => store.set('a', held, resolve))
        assert.equal(error ?? null, null, 'success')
        assert.deepEqual(await heard, ['a'])
        assert.equal(await store.get('a'), undefined)
        assert.equal(await store.length(), 0)
        const stats = await store.stats()
        assert.deepEqual([stats.refused, stats.errors], [1, {}])
      })
    }
  }

  rule('gone: a session that outlived its maxAge loses its save', async ({ open, clock }) => {
    const time = clock()
    const store = await open()
    await h.seed(store, 'a', { n: 1 }, time.minute)
    const held = await h.load(store, 'a')
    await time.pass(time.minute + 300)
    held.touch()
    held.n = 2
    const heard = once(store, 'gone')
    await store.set('a', held)
    assert.deepEqual(await heard, ['a'])
    assert.equal(await store.get('a'), undefined)
  })

  rule('gone: nothing brings a session back, however often it is saved', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const held = await h.load(store, 'a')
    const gone = h.listen(store, 'gone')
    await store.destroy('a')
    for (let i = 0; i < 3; i++) {
      held.n = i
      await store.set('a', held)
      await store.touch('a', held)
    }
    assert.equal(await store.get('a'), undefined)
    await h.quiet(store)
    assert.equal(gone.length, 3)
    assert.equal((await store.stats()).refused, 3)
  })

  rule('gone: a destroy issued before a save, both under way, wins', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const held = await h.load(store, 'a')
    held.n = 2
    await Promise.all([store.destroy('a'), store.set('a', held)])
    assert.equal(await store.get('a'), undefined)
  })

  rule('gone: a save issued before a destroy, both under way, is destroyed', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 1 })
    const held = await h.load(store, 'a')
    held.n = 2
    await Promise.all([store.set('a', held), store.destroy('a')])
    assert.equal(await store.get('a'), undefined)
  })

  rule(
    'gone: the object saved without a base is bound to its record from then on',
    async ({ open }) => {
      const store = await open()
      const data = h.plain({ n: 1 })
      await store.set('a', data)
      await store.destroy('a')
      const heard = once(store, 'gone')
      await store.set('a', data)
      assert.deepEqual(await heard, ['a'])
      assert.equal(await store.get('a'), undefined)
      await store.set('a', { ...data })
      assert.equal((await store.get('a')).n, 1, 'a copy is a new session')
    },
  )

  rule(
    "base: after a save it is that object's own text, never the merged record",
    async ({ pair }) => {
      const [store, other] = await pair()
      await h.seed(store, 'a', { n: 1 })
      const held = await h.load(store, 'a')
      const quick = await h.load(other, 'a')
      quick.theirs = { x: 1 }
      await other.set('a', quick)
      held.mine = 1
      await store.set('a', held)
      held.mine = 2
      await store.set('a', held)
      // The held object never saw `theirs`; that is not a deletion.
      assert.deepEqual(h.dataOf(await store.get('a')), { n: 1, theirs: { x: 1 }, mine: 2 })
      quick.theirs.y = 2
      await other.set('a', quick)
      held.last = true
      await store.set('a', held)
      assert.deepEqual(h.dataOf(await store.get('a')), {
        n: 1,
        theirs: { x: 1, y: 2 },
        mine: 2,
        last: true,
      })
    },
  )

  rule('base: what a save added, the next one can delete', async ({ pair }) => {
    const [store, other] = await pair()
    await h.seed(store, 'a')
    const held = await h.load(store, 'a')
    held.flash = ['saved']
    await store.set('a', held)
    const quick = await h.load(other, 'a')
    quick.n = 1
    await other.set('a', quick)
    delete held.flash
    await store.set('a', held)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 1 })
  })

  rule("base: two saves issued at once, around another request's change", async ({ pair }) => {
    const [store, other] = await pair()
    await h.seed(store, 'a', { list: [1] })
    const held = await h.load(store, 'a')
    const quick = await h.load(other, 'a')
    quick.theirs = true
    await other.set('a', quick)
    held.list = [1, 2]
    const first = store.set('a', held)
    held.list = [1, 2, 3]
    held.more = true
    const second = store.set('a', held)
    await Promise.all([first, second])
    const expected = { list: [1, 2, 3], theirs: true, more: true }
    assert.deepEqual(h.dataOf(await store.get('a')), expected)
  })

  const FAILURES = {
    'too large': (session) => {
      session.fat = 'x'.repeat(2000)
    },
    unserialisable: (session) => {
      session.fat = 1n
    },
  }
  for (const [why, spoil] of Object.entries(FAILURES)) {
    rule(`base: a save that fails (${why}) leaves it as it was`, async ({ pair }) => {
      const [store, other] = await pair({ maxSessionBytes: 1000 })
      await h.seed(store, 'a', { n: 1, drop: true })
      const held = await h.load(store, 'a')
      held.n = 2
      delete held.drop
      spoil(held)
      await assert.rejects(store.set('a', held))
      const quick = await h.load(other, 'a')
      quick.theirs = true
      await other.set('a', quick)
      delete held.fat
      await store.set('a', held)
      assert.deepEqual(h.dataOf(await store.get('a')), { n: 2, theirs: true })
    })
  }

  rule('merge false: the last write wins whole, without conflict or merge', async ({ pair }) => {
    const [store, other] = await pair({ merge: false })
    await h.seed(store, 'a', { n: 1, list: [1] })
    const mine = await h.load(store, 'a')
    const theirs = await h.load(other, 'a')
    theirs.theirs = true
    theirs.n = 3
    await other.set('a', theirs)
    const conflicts = h.listen(store, 'conflict')
    mine.n = 2
    await store.set('a', mine)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 2, list: [1] })
    await h.quiet(store)
    assert.deepEqual(conflicts, [])
    const { merges } = await store.stats()
    assert.equal(merges, 0)
  })

  const opaque = {
    stringify: (session) => `!${Buffer.from(JSON.stringify(session)).toString('base64')}`,
    parse: (text) => JSON.parse(Buffer.from(text.slice(1), 'base64').toString()),
  }

  rule(
    'serializer: text that is not JSON is compared: an idle request undoes nothing',
    async (ctx) => {
      const [store, other] = await ctx.pair({ serializer: opaque })
      const conflicts = h.listen(store, 'conflict')
      await store.set('a', h.plain({ n: 1 }))
      const idle = await store.get('a')
      const busy = await other.get('a')
      busy.n = 2
      await other.set('a', busy)
      await store.set('a', idle)
      assert.equal((await store.get('a')).n, 2)
      await h.quiet(store)
      assert.deepEqual(conflicts, [])
    },
  )

  rule(
    'serializer: text that is not JSON is not merged: the later save, and conflict',
    async (ctx) => {
      const [store, other] = await ctx.pair({ serializer: opaque })
      const conflicts = h.listen(store, 'conflict')
      await store.set('a', h.plain({ n: 1 }))
      const mine = await store.get('a')
      const theirs = await other.get('a')
      theirs.theirs = true
      await other.set('a', theirs)
      mine.mine = true
      await store.set('a', mine)
      assert.deepEqual(h.dataOf(await store.get('a')), { n: 1, mine: true })
      await h.quiet(store)
      assert.deepEqual(
        conflicts.map(([sid]) => sid),
        ['a'],
      )
      assert.equal((await store.stats()).conflicts, 1)
    },
  )

  rule('serializer: text that is not JSON: a session that is gone stays gone', async (ctx) => {
    const [store, other] = await ctx.pair({ serializer: opaque })
    await store.set('a', h.plain({ n: 1 }))
    const held = await store.get('a')
    await other.destroy('a')
    const heard = once(store, 'gone')
    held.n = 2
    await store.set('a', held)
    assert.deepEqual(await heard, ['a'])
    assert.equal(await store.get('a'), undefined)
  })
}
