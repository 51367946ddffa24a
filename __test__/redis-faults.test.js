'use strict'
// Redis that dies, hangs, is cut off or is not there yet, under load: every call is answered once and
// in time, and all is well again when the server is.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const { setTimeout: sleep } = require('node:timers/promises')
const { Worker } = require('node:worker_threads')
const { RustStore } = require('..')
const { plain, listen, storeError } = require('./conformance/harness.js')
const { Load } = require('./servers/load.js')
const { createProxy } = require('./servers/proxy.js')
const {
  freePort,
  startMasters,
  startRedis,
  startRedisOn,
  startRedisTls,
  startSentinelBefore,
  testing,
  until,
} = require('./servers/redis.js')

const { test } = testing()

// How long a silence lasts, in ms; in CI that of one server is a long one.
const SILENCE = Number(process.env.RUST_STORE_TEST_SILENCE ?? 3_000)
const LONG_SILENCE = process.env.CI === 'true' ? Math.max(SILENCE, 30_000) : SILENCE
const TIMEOUTS = { commandTimeout: 1000, connectTimeout: 1000 }
const codes = ['ERR_STORE_UNAVAILABLE', 'ERR_STORE_TIMEOUT']
const deadline = TIMEOUTS.commandTimeout

/** A server whose acknowledged saves survive kill -9. */
const startDurable = () => startRedis('--appendonly', 'yes', '--appendfsync', 'always')

/**
 * What a network can do is done to each kind of URL: to the one server, to the master that a sentinel
 * names, and to the only node of a cluster. Resolves `{ url, end }` of servers behind a proxy.
 */
const PLACES = {
  'one server': async (announce) => {
    const server = await startRedis()
    const url = `redis://127.0.0.1:${await announce(server.port)}`
    return { url, end: () => server.end() }
  },
  Sentinel: (announce) => startSentinelBefore(announce),
  Cluster: (announce) => startMasters(1, announce),
}

/** Waits for an event. A store that nobody calls keeps no process alive, and waiting does. */
function heard(store, event) {
  const events = listen(store, event)
  return until(`the event ${event}`, () => events.length > 0).then(() => events[0])
}

/** How many a server has, with that which asks. */
async function connections(server) {
  return (await server.ask('CLIENT', 'LIST', 'TYPE', 'normal')).split('\n').length
}

/** Runs a test with servers, proxies and stores that are gone after it. */
function fault(name, body) {
  test(name, { timeout: 60_000 + LONG_SILENCE }, async (t) => {
    const ends = []
    const use = async (starting, end = (it) => it.end()) => {
      const it = await starting
      ends.push(() => end(it))
      return it
    }
    const open = (url, options) =>
      use(new RustStore({ url, ...TIMEOUTS, ...options }), (store) => store.close().catch(() => {}))
    const proxied = (port) => use(createProxy(port), (proxy) => proxy.close())
    try {
      await body({ t, use, open, proxied })
    } finally {
      for (const end of ends.reverse()) await end()
    }
  })
}

fault('what has come while the event loop was held up is no failure', async ({ use, open }) => {
  const server = await use(startRedis())
  const store = await open(server.url, { commandTimeout: 200 })
  const downs = listen(store, 'down')
  await store.set('a', plain({ n: 1 }))
  const reading = store.get('a')
  // It is sent at the end of the turn.
  await new Promise(setImmediate)
  const end = Date.now() + 500
  while (Date.now() < end) {}
  assert.equal((await reading).n, 1)
  assert.equal((await store.get('a')).n, 1)
  assert.deepEqual(downs, [])
})

// Over TLS answers come by another thread, while callbacks run.
fault('callbacks that go on asking leave the event loop to others', async ({ use, open }) => {
  const server = await use(startRedisTls())
  const store = await open(server.url)
  await store.set('a', plain())
  const most = 60_000
  let isOver = false
  let asked = 0
  setTimeout(() => {
    isOver = true
  }, 50)
  await new Promise((resolve, reject) => {
    let left = 0
    const ask = () => {
      asked++
      left++
      store.get('a', (error) => {
        left--
        if (error) reject(error)
        // What an app does with a session: by then the next answers are there.
        const end = performance.now() + 0.05
        while (performance.now() < end) {}
        if (!isOver && asked < most) ask()
        else if (left === 0) resolve()
      })
    }
    for (let i = 0; i < 200; i++) ask()
  })
  assert.ok(isOver, `no timer in the time of ${asked} answers`)
})

/** As `fault`, for each kind of URL; the body has a proxy before its server, too. */
function networkFault(name, body) {
  for (const [place, start] of Object.entries(PLACES)) {
    fault(`${place}: ${name}`, async (has) => {
      const { proxy, url } = await behindProxy(has, start)
      await body({ ...has, proxy, url, place })
    })
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

fault('a server that is not there yet: no throw, an event, and it is found', async (has) => {
  const port = await freePort()
  const store = await has.open(`redis://127.0.0.1:${port}`)
  const [error] = await heard(store, 'down')
  assert.equal(error.code, 'ERR_STORE_UNAVAILABLE')
  await assert.rejects(store.get('a'), (error) => {
    assert.equal(error.retryable, true)
    return storeError('ERR_STORE_UNAVAILABLE', 'get')(error)
  })
  // Fire and forget, and nobody listens to `error`.
  store.destroy('a', undefined)
  const up = heard(store, 'up')
  await has.use(startRedisOn(port))
  await up
  await store.set('a', plain())
  assert.ok(await store.get('a'))
})

fault(
  'express-session is told to do without sessions only where that was asked for',
  async (has) => {
    const server = await has.use(startRedis())
    const asked = await has.open(server.url, { passThrough: true })
    const not = await has.open(server.url)
    const events = [asked, not].map((store) => [
      listen(store, 'disconnect'),
      listen(store, 'connect'),
    ])
    await Promise.all([asked.ping(), not.ping()])
    const downs = [heard(asked, 'down'), heard(not, 'down')]
    await server.kill()
    await Promise.all(downs)
    const ups = [heard(asked, 'up'), heard(not, 'up')]
    await server.start()
    await Promise.all(ups)
    const counts = events.map((pair) => pair.map((seen) => seen.length))
    assert.deepEqual(counts, [
      [1, 1],
      [0, 0],
    ])
  },
)

fault(
  'express-session is told of a server that was not there when it came to listen',
  async (has) => {
    const port = await freePort()
    const store = await has.open(`redis://127.0.0.1:${port}`, { passThrough: true })
    await heard(store, 'disconnect')
    const seen = []
    const before = store.listenerCount('disconnect')
    const listener = () => seen.push('removed')
    store.on('disconnect', listener).off('disconnect', listener)
    store.once('disconnect', () => seen.push('disconnect'))
    store.on('connect', () => seen.push('connect'))
    await until('the news', () => seen.length > 0)
    await has.use(startRedisOn(port))
    await until('the server', () => seen.length > 1)
    assert.deepEqual(seen, ['disconnect', 'connect'])
    assert.equal(store.listenerCount('disconnect'), before)
  },
)

fault(
  'a silent server: a clear has its deadline like all others, whenever it begins',
  async (has) => {
    const server = await has.use(startRedis())
    const proxy = await has.proxied(server.port)
    const store = await has.open(`redis://127.0.0.1:${proxy.port}`)
    await store.ping()
    proxy.pause()
    const get = assert.rejects(store.get('a'))
    // Well within the time of the call before it, whose end looks after all of them.
    await sleep(deadline / 2)
    const since = performance.now()
    await assert.rejects(store.clear())
    const ms = performance.now() - since
    assert.ok(ms < 1.5 * deadline, `answered after ${ms} ms`)
    await get
  },
)

/** A store that knows that it may run no scripts, behind a proxy. */
async function withoutScripts(has, options) {
  const server = await has.use(startRedis())
  await server.ask('ACL', 'SETUSER', 'default', '-@scripting')
  const proxy = await has.proxied(server.port)
  const store = await has.open(`redis://127.0.0.1:${proxy.port}`, options)
  await store.set('a', plain({ n: 1 }))
  const session = await store.get('a')
  session.n = 2
  await store.set('a', session)
  return { server, proxy, store, session }
}

fault(
  'no scripts: a silent server shows, also where nothing but saves is asked for',
  async (has) => {
    const { proxy, store, session } = await withoutScripts(has)
    const downs = listen(store, 'down')
    const ups = listen(store, 'up')
    proxy.pause()
    await until('the news', async () => {
      await assert.rejects(store.set('a', session))
      return downs.length > 0
    })
    proxy.resume()
    await until('the server', () => ups.length > 0)
    session.n = 3
    await store.set('a', session)
    assert.equal((await store.get('a')).n, 3)
  },
)

fault('no scripts: a touch that looks first moves no expiry back', async (has) => {
  const { server, proxy, store } = await withoutScripts(has, {
    touchAfter: 5,
    commandTimeout: 10_000,
  })
  await server.ask('PEXPIRE', 'sess:a', '60000')
  const session = await store.get('a')
  proxy.delay(500)
  const commands = async () =>
    (await server.ask('INFO', 'commandstats')).match(/pttl:calls=(\d+)/)?.[1]
  const before = await commands()
  session.cookie.expires = new Date(Date.now() + 120_000)
  const touching = store.touch('a', session)
  await until('the look', async () => (await commands()) !== before)
  await server.ask('PEXPIRE', 'sess:a', '3600000')
  await touching
  assert.ok(Number(await server.ask('PTTL', 'sess:a')) > 3_000_000)
})

fault(
  'Cluster: nodes that take connections and say nothing: a clear has its deadline',
  async (has) => {
    const server = net.createServer(() => {})
    await has.use(once(server.listen(0, '127.0.0.1'), 'listening'), () => server.close())
    const url = `redis+cluster://127.0.0.1:${server.address().port}`
    const store = await has.open(url, { connectTimeout: 30_000 })
    const since = performance.now()
    await Promise.all(
      [store.clear(), store.length(), store.ping()].map((call) => assert.rejects(call)),
    )
    const ms = performance.now() - since
    assert.ok(ms < 1.5 * deadline, `answered after ${ms} ms`)
  },
)

fault('a worker thread that ends while it connects leaves no socket behind', async (has) => {
  if (process.platform !== 'linux') return
  const server = await has.use(startRedis())
  const sockets = () => {
    const names = fs.readdirSync('/proc/self/fd').map((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`)
      } catch {
        return ''
      }
    })
    return names.filter((name) => name.startsWith('socket:')).length
  }
  const code = `
    const { RustStore } = require(${JSON.stringify(require.resolve('..'))})
    new RustStore(${JSON.stringify(server.url)})
    require('node:worker_threads').parentPort.postMessage('open')
    setInterval(() => {}, 1000)`
  const end = async (ms) => {
    const worker = new Worker(code, { eval: true })
    await once(worker, 'message')
    await sleep(ms)
    await worker.terminate()
  }
  // What the process has of its own from the first store on.
  await end(50)
  await until('the first to end', async () => (await connections(server)) === 1)
  const before = sockets()
  for (let round = 0; round < 40; round++) await end(round % 4)
  await until('all of them to be closed', () => sockets() <= before)
})

fault('closing under load: what is under way ends first', async (has) => {
  const server = await has.use(startRedis())
  const store = await has.open(server.url)
  const sids = Array.from({ length: 500 }, (_, index) => `s${index}`)
  const saves = sids.map((sid) => store.set(sid, plain()))
  await store.close()
  await Promise.all(saves)
  assert.equal(await server.ask('DBSIZE'), '500')
  await assert.rejects(store.get('a'), storeError('ERR_STORE_CLOSED', 'get'))
  await until('the end of the connection', async () => (await connections(server)) === 1)
})
