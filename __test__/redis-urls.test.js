'use strict'
// The ways to name a server: what a URL and the options may say, and what a call is told where nothing
// that is meant stands at their end.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { symlinkSync } = require('node:fs')
const { createServer: createHttpServer } = require('node:http')
const net = require('node:net')
const { join } = require('node:path')
const { RustStore } = require('..')
const { isStoreError, listen, plain } = require('./conformance/harness.js')
const { startRedis, startRedisTls, testing, until } = require('./servers/redis.js')

const { after, before, test } = testing()

// What a busy machine may add to a deadline.
const MARGIN = 5_000
const SOCKET = 'the.sock'
// All that may mean something in a URL, and what is no ASCII.
const SPECIAL = ['@', ':', '/', '?', '#', '%', '%41', '&', '=', '+', '[', '\\', '"', 'é🦀']

let server
// The server's folder.
let folder
// What stands behind the login in a URL.
let host

before(async () => {
  server = await startRedis('--unixsocket', SOCKET)
  folder = (await server.ask('CONFIG', 'GET', 'dir')).split('\n')[1]
  host = `127.0.0.1:${server.port}`
  // Who does not log in reaches no session.
  await server.ask('ACL', 'SETUSER', 'default', 'resetkeys')
  await addUser('app', 'sesame')
})

after(() => server?.end())

const addUser = (name, password) =>
  server.ask('ACL', 'SETUSER', name, 'on', `>${password}`, '~*', '+@all')

/** One command to the server by a user who sees everything. */
const ask = (...words) =>
  server.ask('--user', 'app', '--pass', 'sesame', '--no-auth-warning', ...words)

/** Opens a store, which is closed after `body`. */
async function withStore(options, body) {
  const store = new RustStore(options)
  try {
    return await body(store)
  } finally {
    await store.close()
  }
}

let saves = 0

/** Asserts that a store saves and reads, and that it is in that database of our server. */
async function reaches(options, db = 0) {
  const sid = `s${++saves}`
  await withStore(options, async (store) => {
    await store.set(sid, plain({ sid }))
    assert.equal((await store.get(sid)).sid, sid)
  })
  const found = JSON.parse(await ask('-n', db, 'GET', `sess:${sid}`))
  assert.equal(found?.sid, sid, `it is in database ${db}`)
}

/** Asserts that a call fails in time, with one answer, and resolves its error. */
async function fails(options) {
  return withStore(options, async (store) => {
    const answers = []
    const begun = performance.now()
    await new Promise((resolve) => store.get('a', (...args) => resolve(answers.push(args))))
    assert.ok(performance.now() - begun < 2_000 + MARGIN)
    await assert.rejects(store.get('a'))
    assert.equal(answers.length, 1)
    const [[error]] = answers
    isStoreError(error, error.code, 'get')
    assert.equal(error.backend, 'redis')
    return error
  })
}

const LOGINS = {
  'in the URL': (at) => `redis://app:sesame@${at}`,
  'as options': (at) => ({ url: `redis://${at}`, username: 'app', password: 'sesame' }),
  'as parameters': (at) => `redis://${at}?username=app&password=sesame`,
  'the user in the URL, the password as an option': (at) => ({
    url: `redis://app@${at}`,
    password: 'sesame',
  }),
  'the password in the URL, the user as an option': (at) => ({
    url: `redis://:sesame@${at}`,
    username: 'app',
  }),
}
for (const [how, options] of Object.entries(LOGINS)) {
  test(`a login ${how}`, async () => {
    await reaches(options(host))
  })
}

test('a password without a user is that of the default user', async () => {
  const own = await startRedis('--requirepass', 'sesame')
  const url = `redis://127.0.0.1:${own.port}`
  try {
    for (const options of [url.replace('//', '//:sesame@'), { url, password: 'sesame' }]) {
      await withStore(options, (store) => store.set('a', plain()))
    }
    assert.equal((await fails(url)).code, 'ERR_STORE_AUTH')
  } finally {
    own.end()
  }
})

test('a login that is wrong, or of nobody, reaches no session', async () => {
  for (const login of ['', 'app:Sesame@', 'nobody:sesame@', ':sesame@', 'app:@']) {
    const error = await fails(`redis://${login}${host}`)
    assert.deepEqual([error.code, error.retryable], ['ERR_STORE_AUTH', false], login)
  }
})

for (const special of [...SPECIAL, ' ', SPECIAL.join('')]) {
  test(`${JSON.stringify(special)} in user and password, percent-encoded or as options`, async () => {
    // Redis allows no space in a name.
    const [username, password] = [`u${special}v`.replace(' ', '-'), `p${special}q`]
    await addUser(username, password)
    const [user, secret] = [username, password].map(encodeURIComponent)
    await reaches(`redis://${user}:${secret}@${host}`)
    await reaches(`redis://${host}?username=${user}&password=${secret}`)
    await reaches({ url: `redis://${host}`, username, password })
  })
}

test('valkey: is redis:, and the scheme may be in capitals', async () => {
  await reaches(`valkey://app:sesame@${host}/2`, 2)
  await reaches(`REDIS://app:sesame@${host}`)
})

test('a database in the path, as a parameter or as an option', async () => {
  const url = `redis://app:sesame@${host}`
  await reaches(`${url}/`)
  await reaches(`${url}/3`, 3)
  await reaches(`${url}?db=4`, 4)
  await reaches({ url, db: 5 }, 5)
  await reaches({ url: `${url}/`, db: 6 }, 6)
  const error = await fails(`${url}/99`)
  assert.deepEqual([error.code, error.retryable], ['ERR_STORE_CONFIG', false])
  assert.match(error.message, /"db"/)
})

test('a host by its name', async () => {
  await reaches(`redis://app:sesame@localhost:${server.port}`)
})

/** Whether this machine has ::1. */
async function hasIpv6() {
  const listener = net.createServer()
  try {
    await once(listener.listen(0, '::1'), 'listening')
    return true
  } catch {
    return false
  } finally {
    listener.close()
  }
}

test('an IPv6 address in brackets', async (t) => {
  if (!(await hasIpv6())) return t.diagnostic('not tried: this machine has no ::1')
  const own = await startRedis('--bind', '127.0.0.1', '::1', '--requirepass', 'sesame')
  try {
    const url = `redis://:sesame@[::1]:${own.port}`
    for (const [db, options] of [url, `${url}/1`, { url, db: 2 }].entries()) {
      await withStore(options, (store) => store.set('a', plain()))
      const flags = ['--pass', 'sesame', '--no-auth-warning', '-n', db]
      assert.equal(await own.ask(...flags, 'EXISTS', 'sess:a'), '1', `database ${db}`)
    }
  } finally {
    own.end()
  }
})

test('a socket of this machine, with a login and a database', async () => {
  const path = join(folder, SOCKET)
  await reaches(`redis+unix://app:sesame@${path}`)
  await reaches(`redis+unix://app:sesame@${path}?db=1`, 1)
  await reaches({ url: `redis+unix://${path}`, username: 'app', password: 'sesame', db: 2 }, 2)
  assert.equal((await fails(`redis+unix://${path}`)).code, 'ERR_STORE_AUTH')
  const odd = join(folder, 'a ?#%@é')
  symlinkSync(path, odd)
  const encoded = odd.split('/').map(encodeURIComponent).join('/')
  await reaches(`redis+unix://app:sesame@${encoded}?db=3`, 3)
  const { code, retryable } = await fails(`redis+unix://${path}.not`)
  assert.deepEqual([code, retryable], ['ERR_STORE_UNAVAILABLE', true])
})

test('TLS: a certificate for another host name is refused, and the message says so', async () => {
  const secured = await startRedisTls()
  try {
    // It is made out to 127.0.0.1.
    for (const url of [secured.url, secured.url.replace('rediss:', 'valkeys:')]) {
      await withStore(url, (store) => store.set('a', plain()))
    }
    const error = await fails(secured.url.replace('127.0.0.1', 'localhost'))
    assert.deepEqual([error.code, error.retryable], ['ERR_STORE_UNAVAILABLE', true])
    assert.match(error.message, /TLS: the server's certificate/)
    assert.match(error.cause.message, /not valid for name "localhost"/)
  } finally {
    secured.end()
  }
})

test('TLS on one side only: no call gets through', async () => {
  const secured = await startRedisTls()
  try {
    const plainly = secured.url.replace('rediss:', 'redis:').replace(/\?.*/, '')
    for (const url of [plainly, `rediss://app:sesame@${host}`]) {
      // A server that waits for more says nothing.
      const { code } = await fails({ url, connectTimeout: 300 })
      assert.equal(code, 'ERR_STORE_UNAVAILABLE', url)
    }
    const options = { url: `rediss://app:sesame@${host}`, connectTimeout: 300 }
    await withStore(options, async (store) => {
      const downs = listen(store, 'down')
      await until('the event down', () => downs.length > 0)
      assert.match(downs[0][0].message, /does it speak TLS/)
    })
  } finally {
    secured.end()
  }
})

test('a host name that nobody has: to be tried again', async () => {
  const { code, retryable, message } = await fails('redis://nothing.invalid')
  assert.deepEqual([code, retryable], ['ERR_STORE_UNAVAILABLE', true])
  // Where names take long to be looked up, it is the connection that there is none of yet.
  assert.match(message, /server/)
})

test('a port where a web server answers: each call fails, and nothing is taken for a session', async () => {
  const web = createHttpServer((_, res) => res.end('hello')).listen(0, '127.0.0.1')
  await once(web, 'listening')
  try {
    for (const login of ['', 'app:sesame@']) {
      const error = await fails(`redis://${login}127.0.0.1:${web.address().port}`)
      assert.deepEqual([error.code, error.retryable], ['ERR_STORE_UNAVAILABLE', true])
      assert.match(error.message, /no Redis/)
      assert.ok(!`${error.message} ${error.cause?.message}`.includes('sesame'))
    }
  } finally {
    web.close()
  }
})
