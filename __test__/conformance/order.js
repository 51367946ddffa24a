'use strict'
// What one store is asked for takes effect in the order it was asked, acknowledged or not.

const assert = require('node:assert/strict')
const { RustStore } = require('../..')
const h = require('./harness.js')

/** The same numbers below `most` for the same seed. */
function numbers(seed) {
  let state = seed
  return (most) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (state >> 8) % most
  }
}

/** What the sessions of `all` have as `n`, by sid. */
const valuesOf = (sessions) =>
  Object.entries(sessions)
    .map(([sid, { n }]) => [sid, n])
    .sort()

module.exports = (row) => {
  const rule = h.rulesOf(row)

  rule(
    'order: a get that follows a set, a touch or a destroy sees it, acknowledged or not',
    async ({ open, pair }) => {
      const { ordered } = row.capabilities
      const one = ordered !== 'process' && (await open())
      const [store, other] = one ? [one, one] : await pair()
      const saved = store.set('a', h.plain({ n: 1 }))
      const [here, there] = await Promise.all([store.get('a'), other.get('a')])
      assert.deepEqual([here.n, there.n], [1, 1])
      await saved
      const destroyed = store.destroy('a')
      const gone = await Promise.all([store.get('a'), other.get('a')])
      assert.deepEqual(gone, [undefined, undefined])
      await destroyed
      store.set('a', h.plain({ n: 2 }), undefined)
      const removed = store.destroy('a')
      store.set('b', h.plain({ n: 3 }), undefined)
      if (ordered === 'sid') await Promise.all([removed, store.get('b')])
      const all = await store.all()
      assert.deepEqual(Object.keys(all), ['b'])
      await removed
    },
  )

  rule('order: saves of one object run in the order issued', async ({ open }) => {
    const store = await open()
    await h.seed(store, 'a', { n: 0 })
    const session = await h.load(store, 'a')
    const order = []
    const all = []
    for (let n = 1; n <= 20; n++) {
      session.n = n
      all.push(
        new Promise((resolve, reject) =>
          store.set('a', session, (error) => {
            order.push(n)
            if (error) reject(error)
            else resolve()
          }),
        ),
      )
    }
    await Promise.all(all)
    assert.deepEqual(
      order,
      Array.from({ length: 20 }, (_, i) => i + 1),
    )
    assert.equal((await store.get('a')).n, 20)
  })

  /** A request that has read its session, which another one has changed meanwhile: its save has to be merged. */
  async function overtaken({ open, again }) {
    const store = await open()
    const other = row.capabilities.shared ? await again(store) : store
    await h.seed(store, 'a', { n: 1 })
    const mine = await h.load(store, 'a')
    const theirs = await h.load(other, 'a')
    theirs.theirs = true
    await other.set('a', theirs)
    return { store, other, mine }
  }

  rule('order: a get that follows a save which has to be merged sees it', async (has) => {
    const { store, other, mine } = await overtaken(has)
    mine.mine = true
    const expected = { n: 1, theirs: true, mine: true }
    let isSaved = false
    const saved = store.set('a', mine).then(() => {
      isSaved = true
    })
    // Asked for in the turn of the save, and in later ones, for as long as it is under way.
    const asked = []
    const ask = () => {
      asked.push(store.get('a'))
      if (row.capabilities.ordered === 'process') asked.push(other.get('a'))
    }
    ask()
    while (!isSaved) {
      await h.turn()
      ask()
    }
    await saved
    ask()
    for (const session of await Promise.all(asked)) assert.deepEqual(h.dataOf(session), expected)
    assert.equal((await store.stats()).merges, 1)
  })

  rule('order: a save that follows one which has to be merged starts from it', async (has) => {
    const { store, mine } = await overtaken(has)
    mine.flash = 'saved'
    const first = store.set('a', mine)
    delete mine.flash
    mine.n = 2
    const second = store.set('a', mine)
    // What the first has added is no change of somebody else's.
    const expected = { n: 2, theirs: true }
    // A read that is answered inside the call comes before a save that waits for another.
    if (row.timing.get === 'later') assert.deepEqual(h.dataOf(await store.get('a')), expected)
    await Promise.all([first, second])
    assert.deepEqual(h.dataOf(await store.get('a')), expected)
  })

  rule('order: a get that follows a destroy which has to wait finds nothing', async ({ open }) => {
    const store = await open()
    const mine = h.plain({ n: 1 })
    const saved = [store.set('a', mine)]
    mine.n = 2
    saved.push(store.set('a', mine), store.destroy('a'))
    assert.equal(await store.get('a'), undefined)
    await Promise.all(saved)
    assert.equal(await store.get('a'), undefined)
  })

  rule('order: what waits for a clear holds up no other sid', async ({ open }) => {
    const store = await open()
    const session = h.plain({ n: 1 })
    await store.set('a', session)
    const asked = [store.clear(), store.set('a', session), store.set('a', session)]
    asked.push(store.set('b', h.plain({ n: 2 })))
    assert.equal((await store.get('b')).n, 2)
    await Promise.all(asked)
    assert.equal((await store.get('b')).n, 2)
  })

  rule(
    'order: a save that follows a clear brings nothing back from before it',
    async ({ open }) => {
      const store = await open()
      const session = h.plain({ old: true })
      const asked = [store.set('a', session)]
      session.n = 2
      asked.push(store.set('a', session), store.clear(), store.set('a', h.plain({ fresh: true })))
      await Promise.all(asked)
      assert.deepEqual(h.dataOf(await store.get('a')), { fresh: true })
    },
  )

  rule(
    'order: a clear comes after the saves before it, also after those that wait',
    async ({ open }) => {
      const store = await open()
      const session = h.plain({ n: 0 })
      const saves = () => {
        session.n++
        return store.set('a', session)
      }
      const asked = [saves(), store.set('b', h.plain()), saves(), saves(), store.clear()]
      asked.push(store.set('c', h.plain({ n: 1 })))
      await Promise.all(asked)
      assert.deepEqual(await store.ids(), ['c'])
      // One that waits behind another.
      const fresh = h.plain({ n: 0 })
      const again = () => Promise.all([store.set('d', fresh), store.set('d', h.plain())])
      await Promise.all([again(), store.clear(), again(), store.clear()])
      assert.deepEqual(await store.ids(), [])
      await store.set('e', h.plain({ n: 2 }))
      assert.equal((await store.get('e')).n, 2)
    },
  )

  rule(
    'order: whatever is asked for without waiting ends as it does in memory',
    async ({ open }) => {
      const store = await open()
      for (let seed = 1; seed <= 30; seed++) {
        const below = numbers(seed)
        const memory = new RustStore()
        const both = [memory, store]
        // Of each sid an object that is saved again and again, in either store.
        const held = both.map(() => ({ a: h.plain(), b: h.plain(), c: h.plain() }))
        const calls = []
        const asked = []
        const ask = (name, sid, session = () => []) => {
          calls.push(`${name} ${sid ?? ''}`)
          const args = sid === undefined ? [] : [sid]
          asked.push(...both.map((one, index) => one[name](...args, ...session(index))))
        }
        for (let n = 0; n < 30; n++) {
          const sid = 'abc'[below(3)]
          const kind = below(10)
          if (kind < 3) ask('set', sid, () => [h.plain({ n })])
          else if (kind < 5) ask('set', sid, (index) => [Object.assign(held[index][sid], { n })])
          else if (kind < 7) ask('destroy', sid)
          else if (kind < 9) ask('get', sid)
          else if (below(3) === 0) ask('clear')
          if (below(6) === 0) await new Promise(setImmediate)
        }
        await Promise.all(asked)
        const [wanted, found] = await Promise.all(both.map((one) => one.all()))
        assert.deepEqual(valuesOf(found), valuesOf(wanted), `seed ${seed}: ${calls.join(', ')}`)
        await Promise.all([memory.close(), store.clear()])
      }
    },
  )

  rule('order: a touch that ends the session comes after the saves before it', async ({ open }) => {
    const store = await open()
    const gone = h.listen(store, 'gone')
    for (let round = 0; round < 20; round++) {
      const sid = `sid${round}`
      await h.seed(store, sid, { n: 0 })
      const mine = await h.load(store, sid)
      // No Session, whose setter changes more of the cookie.
      const theirs = await store.get(sid)
      theirs.cookie.expires = new Date(0)
      mine.n = 1
      const asked = [store.set(sid, mine)]
      mine.n = 2
      asked.push(store.set(sid, mine), store.touch(sid, theirs))
      await Promise.all(asked)
      assert.equal(await store.get(sid), undefined)
    }
    await h.quiet(store)
    assert.deepEqual(gone, [])
  })

  rule('order: a save after a touch that ends its session is refused', async ({ open }) => {
    const store = await open()
    const gone = h.listen(store, 'gone')
    const sids = Array.from({ length: 20 }, (_, round) => `sid${round}`)
    for (const sid of sids) {
      await h.seed(store, sid, { n: 0 })
      const mine = await h.load(store, sid)
      // No Session, whose setter changes more of the cookie.
      const theirs = await store.get(sid)
      theirs.cookie.expires = new Date(0)
      mine.n = 1
      await Promise.all([store.touch(sid, theirs), store.set(sid, mine)])
      assert.equal(await store.get(sid), undefined)
    }
    await h.quiet(store)
    assert.deepEqual(gone.flat(), sids)
  })
}
