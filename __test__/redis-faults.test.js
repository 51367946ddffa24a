'use strict'
// Redis that dies, hangs or is cut off under load: every call is answered once and in time, and all is well
// again when the server is.

const assert = require('node:assert/strict')
const { setTimeout: sleep } = require('node:timers/promises')
const { plain, listen, storeError } = require('./conformance/harness.js')
const { Load } = require('./servers/load.js')
const { TIMEOUTS, fault, heard } = require('./servers/fault.js')
const { startMasters, startRedis, startSentinelBefore, until } = require('./servers/redis.js')

// How long a silence lasts, in ms; in CI that of one server is a long one.
const SILENCE = Number(process.env.RUST_STORE_TEST_SILENCE ?? 3_000)
const LONG_SILENCE = process.env.CI === 'true' ? Math.max(SILENCE, 30_000) : SILENCE
const codes = ['ERR_STORE_UNAVAILABLE', 'ERR_STORE_TIMEOUT']
const deadline = TIMEOUTS.commandTimeout

const WITHOUT_SCRIPTS = ['--user', 'default', 'on', 'nopass', '~*', '&*', '+@all', '-@scripting']

/** A server whose acknowledged saves survive kill -9. */
const startDurable = () => startRedis('--appendonly', 'yes', '--appendfsync', 'always')

/**
 * What a network can do is done to each kind of URL: to the one server, to the master that a sentinel
 * names, and to the only node of a cluster; and to saves that go without scripts. Resolves `{ url, end }` of
 * servers behind a proxy.
 */
const PLACES = {
  'one server': (announce) => startBehind(announce),
  'no scripts': (announce) => startBehind(announce, ...WITHOUT_SCRIPTS),
  Sentinel: (announce) => startSentinelBefore(announce),
  Cluster: (announce) => startMasters(1, announce),
}

async function startBehind(announce, ...args) {
  const server = await startRedis(...args)
  const url = `redis://127.0.0.1:${await announce(server.port)}`
  return { url, end: () => server.end() }
}

/** As `fault`, for each kind of URL; the body has a proxy before its server, too. */
function networkFault(name, body) {
  for (const [place, start] of Object.entries(PLACES)) {
    const tried = async (has) => {
      const { proxy, url } = await behindProxy(has, start)
      await body({ ...has, proxy, url, place })
    }
    fault(`${place}: ${name}`, tried, LONG_SILENCE)
  }
}

async function behindProxy({ use, proxied }, start) {
  let proxy
  const announce = async (port) => {
    proxy = await proxied(port)
    return proxy.port
  }
  const { url } = await use(start(announce))
  return { proxy, url }
}

fault(
  'kill -9 under load: acknowledged saves are there again, and so is the store',
  async (has) => {
    const server = await has.use(startDurable())
    const store = await has.open(server.url)
    const [downs, ups] = [listen(store, 'down'), listen(store, 'up')]
    const load = new Load(store)
    await load.passes()
    await server.kill()
    await load.fails(100)
    await server.start()
    const back = performance.now()
    await load.passes(1)
    has.t.diagnostic(`the first call succeeded ${Math.round(performance.now() - back)} ms later`)
    await load.passes()
    await load.end({ deadline, codes })
    assert.equal(await load.lost(), 0)
    assert.equal(downs.length, 1)
    assert.equal(downs[0][0].code, 'ERR_STORE_UNAVAILABLE')
    assert.equal(ups.length, 1)
  },
)

networkFault(
  'silence under load: calls end in time, then fail at once, and all is well after',
  async ({ open, proxy, url, place }) => {
    const store = await open(url)
    const load = new Load(store)
    await load.passes()
    const silent = heard(store, 'down')
    proxy.pause()
    await Promise.all([silent, sleep(place === 'one server' ? LONG_SILENCE : SILENCE)])
    // The breaker is open: no call waits for the network.
    const started = performance.now()
    for (let call = 0; call < 20; call++) {
      await assert.rejects(store.get('a'), storeError('ERR_STORE_UNAVAILABLE', 'get'))
    }
    assert.ok(performance.now() - started < 20 * deadline, 'they did not wait for their deadlines')
    proxy.resume()
    await load.passes()
    await load.end({ deadline, codes })
    assert.ok(load.failed.get('ERR_STORE_TIMEOUT') > 0)
    assert.equal(await load.lost(), 0)
  },
)

networkFault(
  'silence: no call waits for the connection that is made anew',
  async ({ open, proxy, url }) => {
    // Longer than the test may take: who waited for it would be late.
    const store = await open(url, { connectTimeout: 600_000 })
    await store.set('a', plain())
    const silent = heard(store, 'down')
    proxy.pause()
    await assert.rejects(store.get('a'), storeError('ERR_STORE_TIMEOUT', 'get'))
    const [error] = await silent
    assert.equal(error.code, 'ERR_STORE_UNAVAILABLE')
    await assert.rejects(store.get('a'), storeError('ERR_STORE_UNAVAILABLE', 'get'))
    proxy.resume()
    await until('the store to be up', () =>
      store.ping().then(
        () => true,
        () => false,
      ),
    )
  },
)

networkFault(
  'silence during a clear: it ends, as does what waits for it, and all is well after',
  async ({ open, proxy, url }) => {
    const store = await open(url)
    await store.set('a', plain({ n: 1 }))
    proxy.pause()
    // It may take any number of steps, and so has no deadline as a whole.
    const cleared = store.clear()
    const isOne = ({ code }) => codes.includes(code)
    await Promise.all([assert.rejects(cleared, isOne), assert.rejects(store.get('a'), isOne)])
    proxy.resume()
    await until('a save', () =>
      store.set('a', plain({ n: 2 })).then(
        () => true,
        () => false,
      ),
    )
    assert.equal((await store.get('a')).n, 2)
  },
)

networkFault('replies cut in two under load: no call gets the answer of another', async (has) => {
  const { open, proxy, url } = has
  const store = await open(url)
  const load = new Load(store)
  for (let cut = 0; cut < 5; cut++) {
    await load.passes()
    await proxy.cut()
  }
  await load.passes()
  await load.end({ deadline, codes: ['ERR_STORE_UNAVAILABLE'] })
  assert.ok(load.failures > 0, 'who lost the answer was told')
  assert.equal(await load.lost(), 0)
})

networkFault(
  'a slow network: slower than the deadline is a timeout, faster is none',
  async (has) => {
    const { open, proxy, url } = has
    const store = await open(url, { commandTimeout: 3000 })
    await store.set('a', plain({ n: 1 }))
    proxy.delay(200)
    assert.equal((await store.get('a')).n, 1)
    proxy.delay(30_000)
    await assert.rejects(store.get('a'), storeError('ERR_STORE_TIMEOUT', 'get'))
  },
)

networkFault(
  'more than the connection has room for: it is written in its order when there is',
  async ({ open, proxy, url }) => {
    const store = await open(url, { commandTimeout: 20_000 })
    // It is about a connection that is there: one that is only being made has a shorter deadline.
    await store.ping()
    const large = 'x'.repeat(900_000)
    const sids = Array.from({ length: 24 }, (_, index) => `s${index}`)
    for (let round = 1; round <= 3; round++) {
      proxy.pause()
      const saving = []
      for (const [index, sid] of sids.entries()) {
        saving.push(store.set(sid, plain({ round, large: index % 2 ? large : '' })))
        // Some of each turn find the connection full, some have to wait for those.
        if (index % 5 === 0) await new Promise(setImmediate)
      }
      proxy.resume()
      await Promise.all(saving)
      const found = await Promise.all(sids.map((sid) => store.get(sid)))
      assert.deepEqual(
        found.map(({ round, large }) => [round, large.length]),
        sids.map((_, index) => [round, index % 2 ? large.length : 0]),
      )
    }
  },
)

fault('Cluster: a master that goes silent stops none of the others', async (has) => {
  const { proxy, url } = await behindProxy(has, (announce) => startMasters(3, announce))
  const store = await has.open(url)
  const downs = listen(store, 'down')
  const load = new Load(store)
  await load.passes()
  const saved = () => [...load.acknowledged]
  const moved = (before) => saved().filter((n, index) => n > before[index]).length
  proxy.pause()
  await load.fails()
  // What the silent one has can be neither read nor saved; all else goes on without waiting for it.
  const silent = saved()
  await load.passes(3000)
  assert.ok(moved(silent) > 0 && moved(silent) < silent.length, `${moved(silent)} went on`)
  await sleep(SILENCE)
  proxy.resume()
  const back = saved()
  await until('every session to be saved', () => moved(back) === back.length)
  await load.end({ deadline, codes })
  assert.equal(await load.lost(), 0)
  assert.equal(downs.length, 0, 'the cluster was never down as a whole')
})
