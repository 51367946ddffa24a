// Run by integrations.test.js with the package copied to a folder from which express-session
// cannot be found: node without-express-session.js <package> <repository>. Prints what it found.
'use strict'

const assert = require('node:assert/strict')
const { EventEmitter } = require('node:events')
const { createRequire } = require('node:module')
const path = require('node:path')

const [, , packageFolder, repository] = process.argv
const fromPackage = createRequire(path.join(packageFolder, 'index.js'))
assert.throws(() => fromPackage.resolve('express-session'), { code: 'MODULE_NOT_FOUND' })

const { RustStore, RustStoreError } = fromPackage(packageFolder)
const store = new RustStore()
assert.ok(store instanceof EventEmitter)

/** An answer to a callback, as an array of its arguments. */
const answer = (method, ...args) =>
  new Promise((resolve) => store[method](...args, (...got) => resolve(got)))

async function callbacks() {
  const session = { cookie: { originalMaxAge: null }, user: 'ada' }
  assert.deepEqual(await answer('set', 'a', session), [null])
  assert.deepEqual(await answer('get', 'a'), [null, session])
  assert.deepEqual(await answer('touch', 'a', session), [null])
  assert.deepEqual(await answer('length'), [null, 1])
  assert.deepEqual(await answer('destroy', 'a'), [null])
  assert.deepEqual(await answer('get', 'a'), [null])
  assert.equal(await store.get('a'), undefined)
}

async function concurrency() {
  await store.set('b', { cart: {} })
  const [first, second] = [await store.get('b'), await store.get('b')]
  first.cart.bread = 1
  second.cart.milk = 1
  await store.set('b', first)
  await store.set('b', second)
  assert.deepEqual(await store.get('b'), { cart: { bread: 1, milk: 1 } })
  await store.destroy('b')
  await store.set('b', first)
  assert.equal(await store.get('b'), undefined)
}

/** What needs express-session's classes says so; nothing else does. */
async function unsupported() {
  const code = 'ERR_STORE_UNSUPPORTED'
  assert.throws(() => store.createSession({}, { cookie: {} }), { code })
  for (const method of ['regenerate', 'load']) {
    const [error] = await answer(method, method === 'load' ? 'a' : { sessionID: 'a' })
    assert.ok(error instanceof RustStoreError)
    assert.equal(error.code, code)
    assert.match(error.message, /express-session/)
  }
}

async function fastify() {
  const fromRepository = createRequire(path.join(repository, 'package.json'))
  const app = fromRepository('fastify')()
  app.register(fromRepository('@fastify/cookie'))
  app.register(fromRepository('@fastify/session'), {
    secret: 'a secret of thirty-two characters',
    cookie: { secure: false },
    store,
  })
  app.get('/', (request) => {
    const count = (request.session.get('count') ?? 0) + 1
    request.session.set('count', count)
    return { count }
  })
  const first = await app.inject('/')
  const [{ name, value }] = first.cookies
  const second = await app.inject({ url: '/', cookies: { [name]: value } })
  await app.close()
  assert.deepEqual(second.json(), { count: 2 })
}

async function main() {
  await callbacks()
  await concurrency()
  await unsupported()
  await fastify()
  console.log('all of it works')
}

main()
