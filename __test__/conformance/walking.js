'use strict'
// all, length, ids, clear, entries, and the prefix that keeps two stores apart on one place.

const assert = require('node:assert/strict')
const h = require('./harness.js')

async function fill(store, count, from = 0) {
  const all = []
  for (let i = from; i < from + count; i++) all.push(store.set(`sid${i}`, h.plain({ n: i })))
  await Promise.all(all)
}

async function walk(store, each = () => {}) {
  const seen = []
  for await (const [sid, session] of store.entries()) {
    seen.push(sid)
    await each(sid, session, seen.length)
  }
  return seen
}

module.exports = (row) => {
  const rule = h.rulesOf(row)
  const { many } = row.capabilities

  rule('all: an object without prototype, sid to session', async ({ open }) => {
    const store = await open()
    const empty = await store.all()
    assert.equal(Object.getPrototypeOf(empty), null)
    assert.deepEqual(Object.keys(empty), [])
    await fill(store, 3)
    for (const options of [[], [{}], [{ as: 'object' }], [{ as: undefined }]]) {
      const all = await store.all(...options)
      assert.equal(Object.getPrototypeOf(all), null)
      assert.deepEqual(Object.keys(all).sort(), ['sid0', 'sid1', 'sid2'])
      assert.equal(all.sid1.n, 1)
      assert.ok(!('id' in all.sid1), 'no key is added')
    }
  })

  rule("all: as array gives each session its id, and leaves a user's own id", async ({ open }) => {
    const store = await open()
    assert.deepEqual(await store.all({ as: 'array' }), [])
    await store.set('a', h.plain({ n: 1 }))
    await store.set('b', h.plain({ n: 2, id: 'own' }))
    await store.set('c', h.plain({ n: 3, id: 0 }))
    const all = await store.all({ as: 'array' })
    assert.ok(Array.isArray(all))
    const ids = Object.fromEntries(all.map((session) => [session.n, session.id]))
    assert.deepEqual(ids, { 1: 'a', 2: 'own', 3: 0 })
    assert.ok(!('id' in (await store.get('a'))), 'the record has no id')
  })

  rule('all: as array, saved back, stores no id that the user did not give', async ({ open }) => {
    const store = await open()
    await store.set('a', h.plain({ n: 1 }))
    const quick = await store.get('a')
    const [session] = await store.all({ as: 'array' })
    quick.theirs = true
    await store.set('a', quick)
    delete session.id
    session.mine = true
    await store.set('a', session)
    assert.deepEqual(h.dataOf(await store.get('a')), { n: 1, theirs: true, mine: true })
  })

  rule('all: as array, of sessions that can take no id, or are one object', async ({ open }) => {
    const made = new Map()
    const parse = (text) => {
      if (!made.has(text))
        made.set(
          text,
          JSON.parse(text, (_, value) => Object.freeze(value)),
        )
      return made.get(text)
    }
    const store = await open({ serializer: { stringify: JSON.stringify, parse } })
    for (const sid of ['a', 'b']) await store.set(sid, { n: 1 })
    const all = await store.all({ as: 'array' })
    assert.deepEqual(all.map(({ id, n }) => [id, n]).sort(), [
      ['a', 1],
      ['b', 1],
    ])
  })

  rule('length and ids: follow set and destroy', async ({ open }) => {
    const store = await open()
    assert.equal(await store.length(), 0)
    assert.deepEqual(await store.ids(), [])
    await fill(store, 300)
    assert.equal(await store.length(), 300)
    await fill(store, 10)
    assert.equal(await store.length(), 300, 'saving again adds nothing')
    assert.equal(new Set(await store.ids()).size, 300)
    await store.destroy('sid7')
    await store.destroy('sid7')
    assert.equal(await store.length(), 299)
    assert.ok(!(await store.ids()).includes('sid7'))
    assert.equal((await store.stats()).sessions, 299)
  })

  rule('clear: removes every session, and the store goes on', async ({ open }) => {
    const store = await open()
    await fill(store, 50)
    await store.clear()
    assert.equal(await store.length(), 0)
    assert.deepEqual(Object.keys(await store.all()), [])
    assert.deepEqual(await walk(store), [])
    assert.equal(await store.get('sid1'), undefined)
    assert.equal((await store.stats()).sessions, 0)
    await store.clear()
    await fill(store, 1)
    assert.equal(await store.length(), 1)
  })

  rule('clear: what is saved after it was called stays', async ({ open }) => {
    const store = await open()
    await fill(store, 10)
    const cleared = store.clear()
    await store.set('new', h.plain({ n: 1 }))
    await cleared
    assert.equal((await store.get('new'))?.n, 1)
    assert.equal(await store.get('sid1'), undefined)
  })

  rule('entries: every session exactly once, over many pages', async ({ open }) => {
    const store = await open()
    await fill(store, 3000)
    const sums = { n: 0 }
    const seen = await walk(store, (_sid, session) => {
      sums.n += session.n
    })
    assert.equal(seen.length, 3000)
    assert.equal(new Set(seen).size, 3000)
    assert.equal(sums.n, (3000 * 2999) / 2)
  })

  rule('entries: an async iterator that can be driven by hand and left early', async ({ open }) => {
    const store = await open()
    assert.deepEqual(await store.entries().next(), { done: true, value: undefined })
    await fill(store, 500)
    const entries = store.entries()
    assert.equal(entries[Symbol.asyncIterator](), entries)
    const { done, value } = await entries.next()
    assert.equal(done, false)
    assert.ok(Array.isArray(value) && value.length === 2)
    assert.equal(value[0], `sid${value[1].n}`)
    assert.equal((await entries.return()).done, true)
    assert.equal((await entries.next()).done, true)
    let count = 0
    for await (const _ of store.entries()) if (++count === 3) break
    assert.equal(count, 3)
    assert.equal((await walk(store)).length, 500, 'a walk that was left holds nothing')
  })

  rule(
    'entries: sessions that are there all the time are seen once, whatever else happens',
    async ({ open }) => {
      const store = await open()
      await fill(store, many)
      const seen = await walk(store, async (_sid, _session, count) => {
        if (count > many / 2) return
        await store.set(`new${count}`, h.plain({ n: -1 }))
        await store.set(`sid${count}`, h.plain({ n: count }))
        await store.touch(`sid${count + 1}`, h.plain())
      })
      const old = seen.filter((sid) => sid.startsWith('sid'))
      assert.equal(new Set(old).size, many, 'none is missed')
      assert.equal(new Set(seen).size, seen.length, 'none comes twice')
    },
  )

  rule('entries: the store may be emptied during a walk', async ({ open }) => {
    const store = await open()
    await fill(store, many)
    const seen = await walk(store, (sid) => store.destroy(sid))
    assert.equal(new Set(seen).size, many)
    assert.equal(await store.length(), 0)
    await fill(store, many)
    let count = 0
    await walk(store, async () => {
      if (++count === 1) await store.clear()
    })
    assert.ok(count >= 1 && count <= many)
  })

  rule('entries: several walks at a time do not disturb each other', async ({ open }) => {
    const store = await open()
    await fill(store, 700)
    const walks = await Promise.all([walk(store), walk(store), walk(store)])
    for (const seen of walks) assert.equal(new Set(seen).size, 700)
  })

  rule('entries: what they hand out can be changed and saved', async ({ open }) => {
    const store = await open()
    await fill(store, 300)
    for await (const [sid, session] of store.entries()) {
      session.seen = true
      await store.set(sid, session)
    }
    const all = await store.all({ as: 'array' })
    assert.equal(all.filter((session) => session.seen).length, 300)
  })

  rule(
    'entries: a close during the walk ends it with an error, not in silence',
    async ({ open }) => {
      const store = await open()
      await fill(store, 3000)
      await assert.rejects(
        walk(store, async (_sid, _session, count) => {
          if (count === 1) await store.close()
        }),
        h.storeError('ERR_STORE_CLOSED', 'entries'),
      )
    },
  )

  rule('prefix: works on every backend', async ({ open }) => {
    const store = await open({ prefix: 'app:' })
    await fill(store, 3)
    assert.equal((await store.get('sid1')).n, 1)
    assert.deepEqual((await store.ids()).sort(), ['sid0', 'sid1', 'sid2'], 'sids come without it')
    assert.deepEqual(Object.keys(await store.all()).sort(), ['sid0', 'sid1', 'sid2'])
    assert.deepEqual((await walk(store)).sort(), ['sid0', 'sid1', 'sid2'])
    assert.equal((await store.all({ as: 'array' })).find((one) => one.n === 1).id, 'sid1')
    await store.clear()
    assert.equal(await store.length(), 0)
  })

  const PREFIXES = [
    ['one:', 'two:', {}],
    ['', 'two:', { exactPrefixes: true }],
    ['a', 'ab', { exactPrefixes: true }],
    ['s*', 's', { exactPrefixes: true }],
    ['\0', '', { exactPrefixes: true }],
  ]
  for (const [first, second, needs] of PREFIXES) {
    const title = `prefix: ${JSON.stringify(first)} and ${JSON.stringify(second)} never see each other`
    rule(title, { shared: true, ...needs }, async ({ open, again }) => {
      const one = await open({ prefix: first })
      const two = await again(one, { prefix: second })
      for (const sid of ['a', 'b', 'bc', 'c', 'two:a', '\0a']) {
        await one.set(sid, h.plain({ n: 1 }))
        assert.equal(await two.get(sid), undefined)
        await two.set(sid, h.plain({ n: 2 }))
        assert.equal((await one.get(sid)).n, 1)
      }
      await two.set('only', h.plain({ n: 2 }))
      await two.destroy('a')
      await two.touch('a', h.plain())
      assert.equal((await one.get('a')).n, 1)
      assert.deepEqual([await one.length(), await two.length()], [6, 6])
      assert.equal((await one.stats()).sessions, 6)
      assert.ok(!(await one.ids()).includes('only'))
      assert.ok(Object.values(await one.all()).every((session) => session.n === 1))
      await walk(one, (_sid, session) => assert.equal(session.n, 1))
      await two.clear()
      assert.deepEqual([await one.length(), await two.length()], [6, 0])
    })
  }

  rule(
    'shared: two store objects on one place see the same sessions',
    { shared: true },
    async (ctx) => {
      const one = await ctx.open()
      const two = await ctx.again(one)
      await one.set('a', h.plain({ n: 1 }))
      assert.equal((await two.get('a')).n, 1)
      await two.destroy('a')
      assert.equal(await one.get('a'), undefined)
      await fill(one, 5)
      assert.deepEqual([await one.length(), await two.length()], [5, 5])
      await two.clear()
      assert.equal(await one.length(), 0)
      const [mine, theirs] = [await one.stats(), await two.stats()]
      assert.deepEqual([mine.saves, theirs.saves], [6, 0], 'counters are of each store object')
    },
  )

  rule('places: two stores on different places never see each other', async ({ open }) => {
    const one = await open()
    const two = await open()
    await one.set('a', h.plain({ n: 1 }))
    assert.equal(await two.get('a'), undefined)
    await two.clear()
    assert.equal(await one.length(), 1)
  })
}
