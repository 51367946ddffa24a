'use strict'
// The connections of a Redis store when nobody is in a hurry: one that is not there yet, that waits for its
// event loop, that is silent, that ends with its thread or its store.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const { setTimeout: sleep } = require('node:timers/promises')
const { Worker } = require('node:worker_threads')
const { holdUp, plain, listen, storeError } = require('./conformance/harness.js')
const { TIMEOUTS, fault, heard } = require('./servers/fault.js')
const { freePort, startRedis, startRedisOn, startRedisTls, until } = require('./servers/redis.js')

const deadline = TIMEOUTS.commandTimeout

/** How many a server has, with that which asks. */
async function connections(server) {
  return (await server.ask('CLIENT', 'LIST', 'TYPE', 'normal')).split('\n').length
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

fault('what an app holds up itself is no failure', async ({ use, open }) => {
  const server = await use(startRedis())
  await holdUp(await open(server.url, { commandTimeout: 200 }), 300)
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

fault('a server that is not there yet: no throw, an event, and it is found', async (has) => {
  const port = await freePort()
  const store = await has.open(`redis://127.0.0.1:${port}`)
  const [error] = await heard(store, 'down')
  assert.equal(error.code, 'ERR_STORE_UNAVAILABLE')
  await assert.rejects(store.get('a'), (error) => {
    assert.equal(error.retryable, true)
    return storeError('ERR_STORE_UNAVAILABLE', 'get')(error)
  })
  // An operation of several steps is told of as itself.
  await assert.rejects(store.ids(), storeError('ERR_STORE_UNAVAILABLE', 'ids'))
  await assert.rejects(store.ids(), /^RustStoreError: redis ids: /)
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
