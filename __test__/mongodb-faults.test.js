'use strict'
// MongoDB in trouble: down at the start, killed under load, silent, broken in the middle of a reply.
// In each: every call is answered once, inside its deadline, and all is well once the server is. The
// servers here are the tests' own, since they are killed.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const net = require('node:net')
const { setImmediate: turn } = require('node:timers/promises')
const { MongoClient } = require('mongodb')
const { RustStore } = require('..')
const { holdUp } = require('./conformance/harness.js')
const servers = require('./servers/mongodb.js')
const { createProxy } = require('./servers/proxy.js')

const { after, before, test } = servers.testing()

const HOUR = 3_600_000
// Short, so that what nobody answers is over soon.
const COMMAND_TIMEOUT = 1_000
const EXPECTED = new Set(['ERR_STORE_UNAVAILABLE', 'ERR_STORE_TIMEOUT'])

let server

before(async () => {
  // Acknowledged writes survive its end, as a real server's majority writes do.
  server = await servers.startServer('--sync-on-commit')
  await servers.createCollection(server.url, 'faults', 'faults')
})

after(() => server?.stop())

/** A store on the server, or on something in front of it. */
function open(t, options = {}, { port = server.port, auth = '' } = {}) {
  const query = 'directConnection=true&collection=faults'
  const url = `mongodb://${auth}127.0.0.1:${port}/faults?${query}`
  const store = new RustStore({ url, commandTimeout: COMMAND_TIMEOUT, ...options })
  t.after(() => store.close())
  return store
}

/** The next event of a store; waiting for it keeps the process alive, which stores do not. */
async function heard(store, name) {
  const alive = setInterval(() => {}, 1000)
  try {
    return await once(store, name)
  } finally {
    clearInterval(alive)
  }
}

const session = (data) => ({ cookie: { expires: new Date(Date.now() + HOUR) }, ...data })

/**
 * Calls of every kind, many at once and again and again until `stop()`, which resolves to what was
 * answered: `{ ok, failed, acknowledged }`. Throws if a call was answered twice, or with anything
 * that trouble does not explain.
 */
function load(store) {
  const acknowledged = new Map()
  let running = true
  let ok = 0
  const failed = {}
  const call = (name, ...args) =>
    new Promise((resolve, reject) => {
      let answers = 0
      store[name](...args, (error, result) => {
        if (++answers > 1) return reject(new Error(`${name} was answered ${answers} times`))
        // A second answer would come by the time this one has been dealt with.
        turn().then(() => resolve({ error: error ?? undefined, result }), reject)
      })
    })
  const count = ({ error }) => {
    if (error === undefined) return ok++
    if (!EXPECTED.has(error.code)) throw error
    assert.equal(error.retryable, true)
    failed[error.code] = (failed[error.code] ?? 0) + 1
  }
  const client = async (id) => {
    for (let n = 1; running; n++) {
      const sid = `s${id}-${n % 5}`
      const saved = await call('set', sid, session({ id, n }))
      count(saved)
      if (saved.error === undefined) acknowledged.set(sid, n)
      // It may have been written, or not.
      else acknowledged.delete(sid)
      const read = await call('get', sid)
      count(read)
      if (read.result) count(await call('touch', sid, read.result))
      if (saved.error || read.error) await turn()
    }
  }
  const clients = Promise.all(Array.from({ length: 16 }, (_, id) => client(id)))
  return {
    get ok() {
      return ok
    },
    /** Resolves when so many more calls have succeeded. */
    async goes(more = 100) {
      const wanted = ok + more
      while (ok < wanted) await Promise.race([clients, turn()])
    },
    async stop() {
      running = false
      await clients
      return { ok, failed, acknowledged }
    },
  }
}

/** What was acknowledged is there. */
async function isKept(store, acknowledged) {
  assert.ok(acknowledged.size > 0)
  for (const [sid, n] of acknowledged) assert.equal((await store.get(sid))?.n, n, sid)
}

test('down at the start: no throw, no rejection, every call fails, and it begins by itself', async (t) => {
  const rejections = []
  const hear = (reason) => rejections.push(reason)
  process.on('unhandledRejection', hear)
  t.after(() => process.off('unhandledRejection', hear))
  await server.kill()
  const store = open(t, { passThrough: true })
  const said = []
  for (const name of ['down', 'up', 'disconnect', 'connect', 'error']) {
    store.on(name, () => said.push(name))
  }
  const [reason] = await heard(store, 'down')
  assert.equal(reason.code, 'ERR_STORE_UNAVAILABLE')
  const calls = [
    ['get', 'a'],
    ['set', 'a', session()],
    ['touch', 'a', session()],
    ['destroy', 'a'],
    ['all'],
    ['length'],
    ['clear'],
    ['ping'],
  ]
  for (const [name, ...args] of calls) {
    await assert.rejects(store[name](...args), (error) => {
      assert.ok(EXPECTED.has(error.code), error.code)
      assert.deepEqual([error.operation, error.backend], [name, 'mongodb'])
      return true
    })
  }
  const up = heard(store, 'up')
  await server.start()
  await up
  await store.set('a', session({ n: 1 }))
  assert.equal((await store.get('a')).n, 1)
  await turn()
  assert.deepEqual(said, ['down', 'disconnect', 'up', 'connect'])
  assert.deepEqual(rejections, [])
})

test('closed while it is down', async (t) => {
  await server.kill()
  const store = open(t)
  const answer = assert.rejects(store.get('a'), (error) => EXPECTED.has(error.code))
  await store.close()
  await answer
  await assert.rejects(store.get('a'), { code: 'ERR_STORE_CLOSED' })
  await server.start()
})

test('killed under load, and started again', async (t) => {
  const store = open(t)
  await store.clear()
  const traffic = load(store)
  await traffic.goes()
  const down = heard(store, 'down')
  await server.kill()
  await down
  const up = heard(store, 'up')
  await server.start()
  await up
  await traffic.goes()
  const { failed, acknowledged } = await traffic.stop()
  assert.ok(failed.ERR_STORE_UNAVAILABLE > 0, 'those that came while it was down')
  await isKept(store, acknowledged)
})

test('silent under load, and talking again', async (t) => {
  const proxy = await createProxy(server.port)
  t.after(() => proxy.close())
  const store = open(t, {}, proxy)
  await store.clear()
  const traffic = load(store)
  await traffic.goes()
  const down = heard(store, 'down')
  proxy.pause()
  const [reason] = await down
  assert.equal(reason.code, 'ERR_STORE_UNAVAILABLE')
  const up = heard(store, 'up')
  proxy.resume()
  await up
  await traffic.goes()
  const { failed, acknowledged } = await traffic.stop()
  assert.ok(failed.ERR_STORE_TIMEOUT > 0, 'those that were under way')
  await isKept(store, acknowledged)
})

test('connections that break in the middle of a reply', async (t) => {
  const proxy = await createProxy(server.port)
  t.after(() => proxy.close())
  const store = open(t, {}, proxy)
  await store.clear()
  const traffic = load(store)
  for (let round = 0; round < 3; round++) {
    await traffic.goes()
    proxy.cut()
  }
  await traffic.goes()
  const { acknowledged } = await traffic.stop()
  await isKept(store, acknowledged)
})

test('a slow network: answers are late, and none is lost', async (t) => {
  const proxy = await createProxy(server.port)
  t.after(() => proxy.close())
  const store = open(t, { commandTimeout: 30_000, connectTimeout: 30_000 }, proxy)
  await store.clear()
  proxy.delay(30)
  const sids = Array.from({ length: 50 }, (_, n) => `slow-${n}`)
  await Promise.all(sids.map((sid, n) => store.set(sid, session({ n }))))
  const found = await Promise.all(sids.map((sid) => store.get(sid)))
  assert.deepEqual(
    found.map(({ n }) => n),
    sids.map((_, n) => n),
  )
})

test('close waits for what is under way', async (t) => {
  const proxy = await createProxy(server.port)
  t.after(() => proxy.close())
  const store = open(t, { commandTimeout: 30_000, connectTimeout: 30_000 }, proxy)
  await store.clear()
  proxy.delay(50)
  const saved = store.set('last', session({ n: 1 }))
  await store.close()
  await saved
  assert.equal((await open(t).get('last')).n, 1)
})

test('wrong credentials', async (t) => {
  const store = open(t, {}, { port: server.port, auth: 'nobody:hunter2@' })
  const [reason] = await heard(store, 'down')
  for (const error of [reason, await store.get('a').catch((error) => error)]) {
    assert.equal(error.code, 'ERR_STORE_AUTH')
    assert.equal(error.retryable, false)
    const all = `${error.message} ${error.stack} ${require('node:util').inspect(error)}`
    assert.ok(!all.includes('hunter2'))
  }
})

// With secantusdb there is nothing to fail over to: the workflow gives a replica set of MongoDB's own.
if (process.env.MONGODB_URL?.includes('replicaSet=')) {
  test('a failover under load: what was acknowledged is there', { timeout: 120_000 }, async (t) => {
    const base = process.env.MONGODB_URL
    const client = await MongoClient.connect(base)
    t.after(() => client.close())
    const primary = async () => (await client.db('admin').command({ hello: 1 })).primary
    const url = servers.urlOf(base, 'failover')
    const store = new RustStore({ url })
    t.after(() => store.close())
    await store.clear()
    const traffic = load(store)
    await traffic.goes()
    for (let round = 0; round < 2; round++) {
      const before = await primary()
      await client.db('admin').command({ replSetStepDown: 20, force: true })
      while ([undefined, before].includes(await primary().catch(() => undefined))) await turn()
      await traffic.goes(500)
    }
    const { acknowledged } = await traffic.stop()
    await isKept(store, acknowledged)
    await client.db('failover').dropDatabase()
  })
}

test('a clear whose connection goes silent ends, and holds nothing up', async (t) => {
  let isArmed = false
  const sockets = new Set()
  const proxy = net.createServer((client) => {
    const own = net.connect(server.port, '127.0.0.1')
    let isSilent = false
    client.on('data', (bytes) => {
      if (isArmed && bytes.includes('deletes')) {
        isArmed = false
        isSilent = true
      }
      if (!isSilent) own.write(bytes)
    })
    own.on('data', (bytes) => isSilent || client.write(bytes))
    for (const socket of [client, own]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => client.destroy() && own.destroy())
    }
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  const store = open(t, {}, { port: proxy.address().port })
  await store.set('a', session({ n: 1 }))
  isArmed = true
  await assert.rejects(store.clear(), ({ code }) => EXPECTED.has(code))
  const end = Date.now() + 10 * COMMAND_TIMEOUT
  const isThere = () =>
    store.get('a').then(
      (found) => found?.n === 1,
      () => false,
    )
  while (!(await isThere())) assert.ok(Date.now() < end, 'the store goes on')
  await store.clear()
  assert.equal(await store.length(), 0)
})

test('what an app holds up itself is no failure', async (t) => {
  const store = open(t)
  await store.ping()
  await holdUp(store, 1.5 * COMMAND_TIMEOUT)
})
