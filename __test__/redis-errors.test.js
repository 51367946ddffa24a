'use strict'
// What Redis may refuse, each with the code that the app reads, and whether to try again.

const assert = require('node:assert/strict')
const { mkdirSync } = require('node:fs')
const { join } = require('node:path')
const { RustStore } = require('..')
const { listen, plain } = require('./conformance/harness.js')
const { startRedis, testing, until } = require('./servers/redis.js')

const { test } = testing()

const UNAVAILABLE = { code: 'ERR_STORE_UNAVAILABLE', retryable: true }
const AUTH = { code: 'ERR_STORE_AUTH', retryable: false }
const set = (store) => store.set('a', plain({ n: 2 }))
const get = (store) => store.get('a')
/** A save that compares. */
const change = async (store) => {
  const session = await store.get('a')
  session.n = 2
  await store.set('a', session)
}

/** A user that may do everything but what is told. */
const allow = (server, ...rights) =>
  server.ask('ACL', 'SETUSER', 'app', 'on', '>hunter2', '~*', '+@all', ...rights)
const asApp = (port) => `redis://app:hunter2@127.0.0.1:${port}`

const cases = [
  {
    name: 'OOM: the server is full, and keeps what it has',
    prepare: (server) => server.ask('CONFIG', 'SET', 'maxmemory', 1),
    call: set,
    wanted: UNAVAILABLE,
    says: /maxmemory/,
  },
  {
    name: 'MISCONF: the server cannot write its file, and takes no more',
    args: ['--save', '3600 1'],
    prepare: failToWrite,
    call: set,
    wanted: UNAVAILABLE,
    says: /disk/,
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
    url: asApp,
    call: set,
    wanted: AUTH,
    says: /ACL/,
  },
  {
    name: 'a right that the script lacks',
    setUp: (server) => allow(server),
    prepare: (server) => server.ask('ACL', 'SETUSER', 'app', '-set'),
    url: asApp,
    call: change,
    wanted: AUTH,
    says: /ACL/,
  },
  {
    name: 'OOM, where a save goes without scripts',
    setUp: (server) => allow(server, '-@scripting'),
    prepare: (server) => server.ask('CONFIG', 'SET', 'maxmemory', 1),
    url: asApp,
    call: change,
    wanted: UNAVAILABLE,
    says: /maxmemory/,
  },
  {
    name: 'READONLY, where a save goes without scripts',
    setUp: (server) => allow(server, '-@scripting'),
    prepare: (server) => server.ask('REPLICAOF', '127.0.0.1', 1),
    url: asApp,
    call: change,
    wanted: UNAVAILABLE,
    says: /replica/,
  },
  {
    name: 'NOPERM, where a save goes without scripts',
    setUp: (server) => allow(server, '-@scripting'),
    prepare: (server) => server.ask('ACL', 'SETUSER', 'app', '-set'),
    url: asApp,
    call: change,
    wanted: AUTH,
    says: /ACL/,
  },
  {
    name: 'NOPERM: transactions are forbidden as scripts are, and nothing is written without',
    setUp: (server) => allow(server, '-@scripting', '-multi'),
    prepare: () => {},
    url: asApp,
    call: change,
    wanted: AUTH,
    says: /ACL/,
  },
  {
    name: 'NOAUTH: a password is wanted before the database is chosen',
    args: ['--requirepass', 'sesame'],
    url: (port) => `redis://127.0.0.1:${port}/1`,
    isDown: true,
    call: get,
    wanted: AUTH,
    says: /password/,
  },
  {
    name: 'NOPERM: the user may not choose a database',
    setUp: (server) => allow(server, '-select'),
    url: (port) => `${asApp(port)}/1`,
    isDown: true,
    call: get,
    wanted: AUTH,
    says: /ACL/,
  },
  {
    name: 'there is no database of that number',
    url: (port) => `redis://127.0.0.1:${port}/99`,
    isDown: true,
    call: get,
    wanted: { code: 'ERR_STORE_CONFIG', retryable: false },
    says: /"db"/,
  },
  {
    name: 'a cluster that is none',
    url: (port) => `redis+cluster://127.0.0.1:${port}`,
    call: (store) => store.ping(),
    wanted: { code: 'ERR_STORE_CONFIG', retryable: false },
    says: /redis:/,
  },
  {
    name: 'a cluster of which the user may not ask who has what',
    args: ['--cluster-enabled', 'yes'],
    setUp: (server) => allow(server, '-cluster|slots'),
    url: (port) => `redis+cluster://app:hunter2@127.0.0.1:${port}`,
    call: (store) => store.length(),
    wanted: AUTH,
    says: /ACL/,
  },
  {
    name: 'a cluster without slots',
    args: ['--cluster-enabled', 'yes'],
    url: (port) => `redis+cluster://127.0.0.1:${port}`,
    // It has no deadline of its own.
    call: (store) => store.clear(),
    wanted: UNAVAILABLE,
    says: /slots/,
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

/** Has a server fail to write its file: a folder has its name. */
async function failToWrite(server) {
  const [, dir] = (await server.ask('CONFIG', 'GET', 'dir')).split('\n')
  mkdirSync(join(dir, 'dump.rdb', 'taken'), { recursive: true })
  await server.ask('BGSAVE')
  await until('the file to fail', async () =>
    (await server.ask('INFO', 'persistence')).includes('rdb_last_bgsave_status:err'),
  )
}

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
      const keeps = prepare && call !== get
      if (keeps) await store.set('a', plain({ n: 1 }))
      await prepare?.(server)
      if (isDown) await until('the event down', () => downs.length > 0)
      await assert.rejects(call(store), (error) => {
        const { code, retryable, backend, message } = error
        assert.deepEqual({ code, retryable, backend }, { ...wanted, backend: 'redis' })
        assert.match(message, says)
        assert.ok(!`${message} ${error.stack} ${JSON.stringify(error)}`.includes('hunter2'))
        return true
      })
      if (keeps) assert.equal((await get(store)).n, 1)
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
