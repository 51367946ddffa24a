'use strict'
// What one store is asked for takes effect in the order it was asked, acknowledged or not.

const assert = require('node:assert/strict')
const h = require('./harness.js')

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
