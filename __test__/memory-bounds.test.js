'use strict'
// `max` and `maxBytes` of the memory backend: exact, and kind to people who are active.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { describe, test } = require('node:test')
const { RustStore } = require('..')

const live = (data = {}) => ({ cookie: { expires: new Date(Date.now() + 3_600_000) }, ...data })

describe('max', () => {
  test('is exact after every save, and evict tells each sid that went', async () => {
    const store = new RustStore({ max: 100 })
    const evicted = []
    store.on('evict', (sid) => evicted.push(sid))
    for (let i = 0; i < 250; i++) {
      await store.set(`sid${i}`, live({ n: i }))
      assert.equal(await store.length(), Math.min(i + 1, 100))
      assert.equal((await store.get(`sid${i}`)).n, i, 'what was just saved is there')
    }
    await store.ping()
    const stats = await store.stats()
    assert.deepEqual([stats.sessions, stats.evicted, stats.expired], [100, 150, 0])
    assert.equal(new Set(evicted).size, 150)
    for (const sid of evicted) assert.equal(await store.get(sid), undefined)
    const left = new Set(await store.ids())
    assert.equal(left.size, 100)
    for (let i = 0; i < 250; i++) assert.notEqual(left.has(`sid${i}`), evicted.includes(`sid${i}`))
  })

  test('of 1 keeps the last', async () => {
    const store = new RustStore({ max: 1 })
    for (const sid of ['a', 'b', 'c', 'c', 'b']) await store.set(sid, live({ sid }))
    assert.deepEqual(await store.ids(), ['b'])
    assert.equal((await store.stats()).evicted, 3)
  })

  test('saving again evicts nothing', async () => {
    const store = new RustStore({ max: 10 })
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 10; i++) await store.set(`sid${i}`, live({ round }))
    }
    const stats = await store.stats()
    assert.deepEqual([stats.sessions, stats.evicted], [10, 0])
  })

  test('room that destroy and expiry made is used before anybody is evicted', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const store = new RustStore({ max: 10 })
    for (let i = 0; i < 5; i++) {
      await store.set(`short${i}`, { cookie: { expires: new Date(Date.now() + 1000) } })
    }
    for (let i = 0; i < 5; i++) await store.set(`long${i}`, live())
    t.mock.timers.tick(1000)
    for (let i = 0; i < 5; i++) await store.set(`new${i}`, live())
    let stats = await store.stats()
    assert.deepEqual([stats.sessions, stats.evicted], [10, 0], 'the expired ones went')
    for (let i = 0; i < 5; i++) assert.ok(await store.get(`long${i}`), `long${i}`)
    await store.destroy('long0')
    await store.set('last', live())
    stats = await store.stats()
    assert.deepEqual([stats.sessions, stats.evicted], [10, 0])
  })

  test('an evicted session that is saved late stays gone', async () => {
    const store = new RustStore({ max: 1 })
    await store.set('a', live())
    const held = await store.get('a')
    const evicted = once(store, 'evict')
    await store.set('b', live())
    // Whichever of the two went: only one can be there.
    const [sid] = await evicted
    assert.equal(sid, 'a')
    const gone = once(store, 'gone')
    held.n = 1
    await store.set('a', held)
    assert.deepEqual(await gone, ['a'])
    assert.deepEqual(await store.ids(), ['b'])
  })

  test('evict comes later than the call, also to a store that is saved inside', async () => {
    const store = new RustStore({ max: 1 })
    await store.set('a', live())
    let inside = true
    const evicted = new Promise((resolve) => store.once('evict', () => resolve(inside)))
    store.set('b', live(), undefined)
    inside = false
    assert.equal(await evicted, false)
  })

  test('nobody is evicted by what fails or is gone at once', async () => {
    const store = new RustStore({ max: 2, maxSessionBytes: 500 })
    await store.set('a', live())
    await store.set('b', live())
    await assert.rejects(store.set('c', { big: 'x'.repeat(1000) }))
    await assert.rejects(store.set('c', { big: 1n }))
    await store.set('c', { cookie: { expires: new Date(0) } })
    await store.touch('c', live())
    assert.deepEqual((await store.ids()).sort(), ['a', 'b'])
    assert.equal((await store.stats()).evicted, 0)
  })
})

describe('maxBytes', () => {
  test('is never exceeded, and is made use of', async () => {
    const maxBytes = 50_000
    const store = new RustStore({ maxBytes })
    let most = 0
    for (let i = 0; i < 1000; i++) {
      await store.set(`sid${i}`, live({ text: 'x'.repeat((i * 37) % 900) }))
      const { bytes } = await store.stats()
      assert.ok(bytes <= maxBytes, `${bytes} bytes after ${i + 1} saves`)
      most = Math.max(most, bytes)
      assert.ok(await store.get(`sid${i}`), 'what was just saved is there')
    }
    assert.ok(most > maxBytes * 0.9, `at most ${most} were used`)
    assert.ok((await store.stats()).evicted > 0)
  })

  test('a session that grows pushes out others, not itself', async () => {
    const store = new RustStore({ maxBytes: 20_000 })
    for (let i = 0; i < 15; i++) await store.set(`sid${i}`, live({ text: 'x'.repeat(800) }))
    const before = await store.length()
    const grown = await store.get('sid3')
    grown.text = 'y'.repeat(12_000)
    await store.set('sid3', grown)
    assert.equal((await store.get('sid3')).text.length, 12_000)
    const stats = await store.stats()
    assert.ok(stats.bytes <= 20_000)
    assert.ok((await store.length()) < before)
  })

  test('bytes follow set, destroy and clear down to nothing', async () => {
    const store = new RustStore()
    assert.equal((await store.stats()).bytes, 0)
    await store.set('a', live())
    const one = (await store.stats()).bytes
    await store.set('b', live({ text: 'x'.repeat(1000) }))
    const two = (await store.stats()).bytes
    assert.ok(two - one >= 1000 && two - one < 1000 + 2 * one)
    await store.set('b', live())
    assert.equal((await store.stats()).bytes, 2 * one)
    await store.destroy('b')
    assert.equal((await store.stats()).bytes, one)
    await store.clear()
    assert.equal((await store.stats()).bytes, 0)
  })
})

describe('a flood of bots', () => {
  /** A visit as express-session makes it. */
  async function visit(store, sid) {
    const session = await store.get(sid)
    if (!session) return false
    await store.touch(sid, live())
    return true
  }

  for (const bound of [{ max: 1000 }, { maxBytes: 200_000 }]) {
    const [name] = Object.keys(bound)
    test(`${name}: does not sign out people who come back during it`, async () => {
      const store = new RustStore(bound)
      const people = Array.from({ length: 200 }, (_, i) => `person${i}`)
      for (const sid of people) await store.set(sid, live({ user: sid }))
      for (let round = 0; round < 3; round++) for (const sid of people) await visit(store, sid)
      for (let i = 0; i < 20_000; i++) {
        store.set(`bot${i}`, live(), undefined)
        if (i % 2000 === 1999) {
          for (const sid of people) assert.ok(await visit(store, sid), `${sid} after ${i} bots`)
        }
      }
      assert.ok((await store.stats()).evicted > 15_000)
    })

    test(`${name}: does not sign out people who were active before it`, async () => {
      const store = new RustStore(bound)
      const people = Array.from({ length: 200 }, (_, i) => `person${i}`)
      for (const sid of people) await store.set(sid, live({ user: sid }))
      for (let round = 0; round < 3; round++) for (const sid of people) await visit(store, sid)
      for (let i = 0; i < 20_000; i++) store.set(`bot${i}`, live(), undefined)
      let left = 0
      for (const sid of people) if (await store.get(sid)) left++
      assert.equal(left, people.length)
    })
  }

  test('bots that come twice push out no people who come all the time', async () => {
    const store = new RustStore({ max: 1000 })
    const people = Array.from({ length: 100 }, (_, i) => `person${i}`)
    for (const sid of people) await store.set(sid, live())
    for (let bots = 0; bots < 5000; bots++) {
      await store.set(`bot${bots}`, live())
      await visit(store, `bot${bots}`)
      if (bots % 100) continue
      for (const sid of people) assert.ok(await visit(store, sid), `${sid} after ${bots} bots`)
    }
  })

  test('people who sign in during it can go on', async () => {
    const store = new RustStore({ max: 500 })
    let bots = 0
    const flood = (count) => {
      for (let i = 0; i < count; i++) store.set(`bot${bots++}`, live(), undefined)
    }
    flood(2000)
    for (let i = 0; i < 100; i++) {
      await store.set(`person${i}`, live())
      for (let clicks = 0; clicks < 3; clicks++) {
        flood(20)
        assert.ok(await visit(store, `person${i}`), `person${i}, click ${clicks}`)
      }
    }
    flood(5000)
    let left = 0
    for (let i = 0; i < 100; i++) if (await store.get(`person${i}`)) left++
    assert.equal(left, 100)
  })

  test('when everybody is active, somebody new is let in all the same', async () => {
    const store = new RustStore({ max: 10 })
    for (let i = 0; i < 10; i++) {
      await store.set(`person${i}`, live())
      for (let clicks = 0; clicks < 5; clicks++) await visit(store, `person${i}`)
    }
    for (let i = 0; i < 30; i++) {
      await store.set(`new${i}`, live())
      assert.ok(await visit(store, `new${i}`), `new${i}`)
      assert.equal(await store.length(), 10)
    }
  })

  test('people who stopped coming make room in the end', async () => {
    const store = new RustStore({ max: 100 })
    for (let i = 0; i < 100; i++) {
      await store.set(`old${i}`, live())
      for (let clicks = 0; clicks < 5; clicks++) await visit(store, `old${i}`)
    }
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 100; i++) {
        const sid = `new${i}`
        if (!(await visit(store, sid))) await store.set(sid, live())
        await visit(store, sid)
      }
    }
    const ids = await store.ids()
    assert.ok(ids.filter((sid) => sid.startsWith('new')).length >= 50, 'most are of the new ones')
  })
})
