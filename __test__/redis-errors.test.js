'use strict'
// What Redis may refuse, each with the code that the app reads, and whether to try again.

const assert = require('node:assert/strict')
const { RustStore } = require('..')
const { listen, plain } = require('./conformance/harness.js')
const { startRedis, testing, until } = require('./servers/redis.js')

const { test } = testing()

const UNAVAILABLE = { code: 'ERR_STORE_UNAVAILABLE', retryable: true }
const AUTH = { code: 'ERR_STORE_AUTH', retryable: false }
const set = (store) => store.set('a', plain({ n: 2 }))
const get = (store) => store.get('a')

const cases = [
  {
    name: 'OOM: the server is full, and keeps what it has',
    prepare: (server) => server.ask('CONFIG', 'SET', 'maxmemory', 1),
    call: set,
    wanted: UNAVAILABLE,
    says: /maxmemory/,
  },
  {
    name: 'READONLY: the server has become a replica',
    prepare: (server) => server.ask('REPLICAOF', '127.0.0.1', 1),
    call: set,
    wanted: UNAVAILABLE,
    says: /replica/,
  },
  {
    name: 'NOAUTH: a password is wanted',
    args: ['--requirepass', 'sesame'],
    call: get,
    wanted: AUTH,
    says: /password/,
  },
  {
    name: 'WRONGPASS: the password is wrong',
    args: ['--requirepass', 'sesame'],
    url: (port) => `redis://:hunter2@127.0.0.1:${port}`,
    isDown: true,
    call: get,
    wanted: AUTH,
    says: /password/,
  },
  {
    name: 'NOPERM: the ACL allows reading only',
    setUp: (server) => server.ask('ACL', 'SETUSER', 'app', 'on', '>hunter2', '~sess:*', '+get'),
    url: (port) => `redis://app:hunter2@127.0.0.1:${port}`,
    call: set,
    wanted: AUTH,
    says: /ACL/,
  },
  {
    name: 'CLUSTERDOWN: nobody has the slots',
    args: ['--cluster-enabled', 'yes'],
    call: get,
    wanted: UNAVAILABLE,
    says: /cluster/,
  },
  {
    name: 'MOVED: this is a node of a cluster',
    args: ['--cluster-enabled', 'yes', '--cluster-require-full-coverage', 'no'],
    prepare: (server) => elsewhere(server),
    call: get,
    wanted: { code: 'ERR_STORE_CONFIG', retryable: false },
    says: /redis\+cluster:/,
  },
]

/** Makes a server say that another has the slots. */
async function elsewhere(server) {
  const other = await startRedis('--cluster-enabled', 'yes')
  try {
    await other.ask('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
    await server.ask('CLUSTER', 'MEET', '127.0.0.1', other.port)
    await until('the slots to be known', async () =>
      (await server.ask('CLUSTER', 'SLOTS')).includes(String(other.port)),
    )
    await until('the cluster', async () =>
      (await server.ask('CLUSTER', 'INFO')).includes('cluster_state:ok'),
    )
  } finally {
    other.end()
  }
}

for (const { name, args = [], setUp, prepare, url, isDown, call, wanted, says } of cases) {
  test(name, { timeout: 30_000 }, async () => {
    const server = await startRedis(...args)
    await setUp?.(server)
    const store = new RustStore(url ? url(server.port) : server.url)
    try {
      const downs = listen(store, 'down')
      if (call === set && prepare) await store.set('a', plain({ n: 1 }))
      await prepare?.(server)
      if (isDown) await until('the event down', () => downs.length > 0)
      await assert.rejects(call(store), (error) => {
        const { code, retryable, backend, message } = error
        assert.deepEqual({ code, retryable, backend }, { ...wanted, backend: 'redis' })
        assert.match(message, says)
        assert.ok(!`${message} ${error.stack} ${JSON.stringify(error)}`.includes('hunter2'))
        return true
      })
      if (call === set && prepare) assert.equal((await get(store)).n, 1)
    } finally {
      await store.close().catch(() => {})
      server.end()
    }
  })
}

test('WRONGTYPE: a key of another type is a corrupt record', async () => {
  const server = await startRedis()
  const store = new RustStore(server.url)
  try {
    const corrupt = listen(store, 'corrupt')
    await server.ask('RPUSH', 'sess:list', 'x')
    await store.set('a', plain())
    assert.equal(await store.get('list'), undefined)
    await until('the event', () => corrupt.length === 1)
    assert.equal(corrupt[0][0], 'list')
    assert.deepEqual(Object.keys(await store.all()), ['a'])
    // A new session takes its place.
    await store.set('list', plain({ n: 1 }))
    assert.equal((await store.get('list')).n, 1)
  } finally {
    await store.close()
    server.end()
  }
})
