'use strict'
// What only the memory backend does, beside its bounds: pruning by itself, sharing between worker
// threads, and a clock that is the caller's Date.now().

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { describe, test } = require('node:test')
const { setTimeout: sleep } = require('node:timers/promises')
const { Worker } = require('node:worker_threads')
const { RustStore } = require('..')

let names = 0
const fresh = () => `memory:threads-${process.pid}-${++names}`
const live = (data = {}) => ({ cookie: { expires: new Date(Date.now() + 3_600_000) }, ...data })

/** Polls until `done` says so: pruning has no event to wait for. */
async function eventually(done, what) {
  const end = performance.now() + 10_000
  while (!(await done())) {
    assert.ok(performance.now() < end, `in ten seconds: ${what}`)
    await sleep(20)
  }
}

/** Replaces Date.now for one test. */
function clockFrom(t, start) {
  const real = Date.now
  const clock = { now: start }
  Date.now = () => clock.now
  t.after(() => {
    Date.now = real
  })
  return clock
}

describe('pruning', { concurrency: true }, () => {
  test('expired sessions go by themselves, counted, their bytes freed', async () => {
    const store = new RustStore()
    // Not before all are in: what is saved when it is over was never there.
    const expires = new Date(Date.now() + 2_000)
    for (let i = 0; i < 2000; i++) store.set(`sid${i}`, { cookie: { expires } }, undefined)
    for (let i = 0; i < 10; i++) await store.set(`long${i}`, live())
    await eventually(async () => (await store.stats()).expired === 2000, 'all have been pruned')
    const stats = await store.stats()
    assert.equal(stats.sessions, 10)
    const only = new RustStore()
    for (let i = 0; i < 10; i++) await only.set(`long${i}`, live())
    assert.equal(stats.bytes, (await only.stats()).bytes)
    assert.equal(stats.evicted, 0)
  })

  test('a touched session is not pruned at its first expiry', async () => {
    const store = new RustStore()
    await store.set('a', { n: 1, cookie: { expires: new Date(Date.now() + 100) } })
    await store.set('b', { n: 1, cookie: { expires: new Date(Date.now() + 100) } })
    await store.touch('a', live())
    await eventually(async () => (await store.stats()).expired === 1, 'b has been pruned')
    assert.equal((await store.get('a')).n, 1)
    await store.touch('a', { cookie: { expires: new Date(Date.now() + 50) } })
    await eventually(async () => (await store.stats()).expired === 2, 'a has been pruned')
  })
})

describe("the clock is the caller's Date.now()", () => {
  test('each expired session is counted once, whoever found it', async (t) => {
    const clock = clockFrom(t, Date.now())
    const store = new RustStore()
    for (let i = 0; i < 50; i++) {
      await store.set(`sid${i}`, { cookie: { expires: new Date(clock.now + 1000) } })
    }
    clock.now += 1000
    for (let i = 0; i < 10; i++) assert.equal(await store.get(`sid${i}`), undefined)
    assert.deepEqual(await store.ids(), [])
    // A save brings the clock forward for the pruning, which runs by itself.
    await store.set('new', live())
    await eventually(async () => (await store.stats()).expired >= 50, 'all have been pruned')
    assert.equal((await store.stats()).expired, 50)
  })

  test('sessions live by it, also far in the past and in the future', async (t) => {
    const clock = clockFrom(t, 0)
    const scenes = []
    for (const start of [1_000_000_000_000, 4_000_000_000_000]) {
      clock.now = start
      const store = new RustStore({ ttl: 10 })
      await store.set('a', { n: 1 })
      await store.set('b', { cookie: { expires: new Date(start + 5000) } })
      scenes.push([start, store])
    }
    // Long enough for the pruning by itself, which has to keep to the same clock.
    await sleep(1500)
    for (const [start, store] of scenes) {
      clock.now = start
      assert.equal(await store.length(), 2)
      clock.now = start + 4999
      assert.ok(await store.get('b'))
      clock.now = start + 5000
      assert.equal(await store.get('b'), undefined)
      clock.now = start + 9999
      assert.equal((await store.get('a')).n, 1)
      clock.now = start + 10_000
      assert.equal(await store.get('a'), undefined)
    }
  })

  test('mock timers of node:test move it', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1000 })
    const store = new RustStore({ ttl: 1 })
    await store.set('a', { n: 1 })
    t.mock.timers.tick(999)
    assert.ok(await store.get('a'))
    t.mock.timers.tick(1)
    assert.equal(await store.get('a'), undefined)
  })

  test('answers arrive although every timer is a fake one', async (t) => {
    t.mock.timers.enable({ apis: ['Date', 'setTimeout', 'setInterval', 'setImmediate'] })
    const store = new RustStore()
    await store.set('a', live())
    await store.destroy('a')
    assert.equal(await store.length(), 0)
    await new Promise((resolve) => store.all(resolve))
    await store.close()
  })
})

describe('worker threads', () => {
  const worker = (body, workerData) =>
    new Promise((resolve, reject) => {
      const source = `
        const { parentPort, workerData } = require('node:worker_threads')
        const { RustStore } = require(workerData.module)
        const store = new RustStore(workerData.options)
        const live = (data) => ({ cookie: { expires: new Date(Date.now() + 3600000) }, ...data })
        ;(${body})().then((result) => parentPort.postMessage(result))`
      const data = { module: require.resolve('..'), ...workerData }
      const thread = new Worker(source, { eval: true, workerData: data })
      let result
      thread.on('message', (message) => {
        result = message
      })
      thread.on('error', reject)
      thread.on('exit', () => resolve(result))
    })

  test('a named store is one for all threads, and outlives the one that made it', async () => {
    const url = fresh()
    const write = "async () => { await store.set('a', live({ n: 1 })); return store.length() }"
    assert.equal(await worker(write, { options: url }), 1)
    const store = new RustStore(url)
    assert.equal((await store.get('a')).n, 1)
    await store.set('b', live({ n: 2 }))
    const read = "async () => [(await store.get('b')).n, await store.length()]"
    assert.deepEqual(await worker(read, { options: url }), [2, 2])
  })

  test('a private store is private to its thread as well', async () => {
    const store = new RustStore()
    await store.set('a', live())
    assert.equal(await worker('async () => store.length()', {}), 0)
  })

  test('four threads that change one session at once lose nothing', async () => {
    const url = fresh()
    const store = new RustStore(url)
    await store.set('a', live({ cart: {} }))
    const add = `async () => {
      const { number } = workerData
      for (let i = 0; i < 200; i++) {
        const session = await store.get('a')
        session.cart['w' + number + '-' + i] = i
        await store.set('a', session)
        if (i % 50 === 0) await new Promise(setImmediate)
      }
      return (await store.stats()).saves
    }`
    const saves = await Promise.all(
      [0, 1, 2, 3].map((number) => worker(add, { options: url, number })),
    )
    assert.deepEqual(saves, [200, 200, 200, 200])
    assert.equal(Object.keys((await store.get('a')).cart).length, 800)
  })

  test('a session that one thread destroys stays gone for all', async () => {
    const url = fresh()
    const store = new RustStore(url)
    await store.set('a', live())
    const held = await store.get('a')
    await worker("async () => { await store.destroy('a') }", { options: url })
    held.n = 1
    const gone = once(store, 'gone')
    await store.set('a', held)
    assert.deepEqual(await gone, ['a'])
    assert.equal(await store.get('a'), undefined)
  })

  test('bounds hold for all threads together', async () => {
    const options = { url: fresh(), max: 300 }
    const store = new RustStore(options)
    const flood = `async () => {
      let most = 0
      for (let i = 0; i < 3000; i++) {
        await store.set('w' + workerData.number + '-' + i, live())
        if (i % 100 === 0) most = Math.max(most, await store.length())
      }
      return most
    }`
    const most = await Promise.all([0, 1, 2].map((number) => worker(flood, { options, number })))
    assert.equal(await store.length(), 300)
    // Each thread may be one over for a moment, and a count is not taken at one moment.
    for (const count of most) assert.ok(count <= 330, `${count} at a time`)
  })
})
