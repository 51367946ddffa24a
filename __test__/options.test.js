'use strict'
// What the constructor takes and what it refuses, with which words. Options that change behaviour
// are tested by that behaviour in conformance/ and memory.test.js.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { RustStore, RustStoreError } = require('..')

let names = 0
const fresh = () => `options-${process.pid}-${++names}`

/** Asserts a refusal that names what is wrong, and returns its message. */
function refused(argument, ...names) {
  let message
  assert.throws(
    () => new RustStore(argument),
    (error) => {
      assert.ok(error instanceof RustStoreError, `a RustStoreError, not ${error}`)
      assert.equal(error.code, 'ERR_STORE_CONFIG')
      assert.equal(error.operation, 'open')
      assert.equal(error.retryable, false)
      for (const name of names) assert.ok(error.message.includes(name), `${error.message}: ${name}`)
      message = error.message
      return true
    },
  )
  return message
}

async function works(argument) {
  const store = new RustStore(argument)
  await store.set('a', { n: 1 })
  assert.equal((await store.get('a')).n, 1)
  await store.close()
}

describe('taken', () => {
  const TAKEN = {
    nothing: undefined,
    'an empty object': {},
    'an object without prototype': Object.create(null),
    'the URL memory:': 'memory:',
    'a named URL': `memory:${fresh()}`,
    'a URL as an option': { url: `memory:${fresh()}` },
    'a URL as URL': new URL(`memory:${fresh()}?max=10`),
    'a URL as URL in the options': { url: new URL(`memory:${fresh()}`) },
    'every option at once': {
      url: 'memory:',
      prefix: 'p:',
      ttl: 60,
      touchAfter: 0,
      max: 10,
      maxBytes: 100_000,
      maxSessionBytes: 10_000,
      merge: false,
      atomic: [],
      serializer: { stringify: JSON.stringify, parse: JSON.parse },
    },
    'JSON itself as serializer, whose methods are not enumerable': { serializer: JSON },
    'options that are undefined, as absent': {
      url: undefined,
      prefix: undefined,
      ttl: undefined,
      touchAfter: undefined,
      max: undefined,
      maxBytes: undefined,
      maxSessionBytes: undefined,
      merge: undefined,
      atomic: undefined,
      serializer: undefined,
    },
    'a ttl function': { ttl: () => 60 },
    'an empty prefix': { prefix: '' },
    'a prefix of any characters': { prefix: '\0?&#%: \ud83e\udd80' },
    'a fraction of a second': { ttl: 0.5, touchAfter: 0.25 },
    'atomic with odd keys': { atomic: ['', '__proto__', 'a.b'] },
  }
  for (const [what, argument] of Object.entries(TAKEN)) test(what, () => works(argument))

  test('an instance of a class as serializer, called as its methods', async () => {
    class Marked {
      #mark = '!'
      stringify(session) {
        return this.#mark + JSON.stringify(session)
      }
      parse(text) {
        assert.ok(text.startsWith(this.#mark))
        return JSON.parse(text.slice(1))
      }
    }
    await works({ serializer: new Marked() })
  })

  test('a prefix with a lone surrogate works, or is refused by its name', async () => {
    try {
      await works({ prefix: '\ud800' })
    } catch {
      refused({ prefix: '\ud800' }, 'prefix')
    }
  })

  test('an options object is not changed, and later changes to it mean nothing', async () => {
    const options = Object.freeze({ ttl: 60, atomic: Object.freeze(['cart']) })
    await works(options)
    const open = { max: 2 }
    const store = new RustStore(open)
    open.max = 100
    for (let i = 0; i < 5; i++) await store.set(`sid${i}`, {})
    assert.equal(await store.length(), 2)
    await store.close()
  })
})

describe('refused with ERR_STORE_CONFIG', () => {
  const WRONG = {
    url: [42, null, {}, true, ''],
    prefix: [42, null, {}, true],
    ttl: [0, -1, Number.NaN, '60', null, {}, true],
    touchAfter: [-1, Number.NaN, '60', null, {}, true, () => 1],
    max: [0, -1, 1.5, Number.NaN, '10', null, {}, true],
    maxBytes: [0, -1, 1.5, Number.NaN, '10', null, {}, true],
    maxSessionBytes: [0, -1, 1.5, Number.NaN, '10', null, {}, true],
    merge: [0, 1, 'false', null, {}],
    atomic: ['user', null, {}, [1], [null], true],
    serializer: [
      null,
      'json',
      42,
      {},
      { stringify() {} },
      { parse() {} },
      { stringify: 1, parse: 2 },
    ],
  }
  for (const [name, values] of Object.entries(WRONG)) {
    for (const value of values) {
      const shown = typeof value === 'function' ? 'a function' : JSON.stringify(value)
      test(`${name}: ${Number.isNaN(value) ? 'NaN' : shown}`, () => {
        refused({ [name]: value }, name)
      })
    }
  }

  for (const argument of [null, 42, true, [], ['memory:'], Symbol('x'), () => {}, 10n]) {
    test(`an argument that is neither URL nor options: ${String(argument)}`, () => {
      refused(argument)
    })
  }

  const Configuration = class {
    get max() {
      return 10
    }
  }
  const OTHERS = [new Map([['max', 10]]), new Date(), Promise.resolve({ max: 10 })]
  for (const argument of [...OTHERS, new Configuration(), Object.create({ max: 10 })]) {
    const name = argument.constructor.name
    test(`an object whose keys do not tell what it says: ${name}`, () => {
      refused(argument, 'plain object', name)
    })
  }

  test('the bounds of a name, under each prefix', () => {
    const url = `memory:${fresh()}`
    new RustStore({ url, prefix: 'a:', max: 2 })
    new RustStore({ url, prefix: 'b:', max: 3 })
    refused({ url, prefix: 'a:', max: 3 }, url, '"a:"', 'max 2')
  })

  const MISSPELLED = {
    tll: 'ttl',
    TTL: 'ttl',
    touchafter: 'touchAfter',
    touch_after: 'touchAfter',
    maxbytes: 'maxBytes',
    maxSessionByte: 'maxSessionBytes',
    serialiser: 'serializer',
    prefx: 'prefix',
    URL: 'url',
    atomics: 'atomic',
    merged: 'merge',
  }
  for (const [wrong, right] of Object.entries(MISSPELLED)) {
    test(`an unknown option names itself and the nearest: ${wrong}, ${right}`, () => {
      refused({ [wrong]: 60 }, wrong, right)
    })
  }

  test('an unknown option that is near nothing is named', () => {
    refused({ reapInterval: 60 }, 'reapInterval')
    refused({ __proto__: null, constructor: 1 }, 'constructor')
    refused(JSON.parse('{"__proto__": 1}'), '__proto__')
  })

  test('called without new', () => {
    assert.throws(() => RustStore(), TypeError)
  })
})

describe('the URL', () => {
  test('an unknown scheme is refused by its name, with the known ones', () => {
    refused('memori:app', 'memori', 'memory')
    refused('http://localhost', 'http')
    refused('app')
    refused('')
    refused({ url: 'nothing' })
  })

  test('a password is in no message', () => {
    const told = (url) => {
      try {
        new RustStore(url)
        return ''
      } catch (error) {
        assert.equal(error.code, 'ERR_STORE_CONFIG', url)
        return `${error.message} ${error.stack} ${JSON.stringify(error)} ${error.cause}`
      }
    }
    for (const url of [
      'http://me:hunter2@localhost/',
      'postgres://:hunter2@localhost/?max=1',
      'memory:app?pasword=hunter2',
      'http://me:hunter2@[bad/',
      'me:hunter2@localhost',
      'memory://me:hunter2@app',
    ]) {
      assert.ok(!told(url).includes('hunter2'), told(url))
    }
  })

  test('parameters are options', async () => {
    const store = new RustStore('memory:?max=3&prefix=a%3A&touchAfter=0&merge=false&ttl=60')
    for (let i = 0; i < 9; i++) await store.set(`sid${i}`, {})
    assert.equal(await store.length(), 3)
    await store.close()
    const small = new RustStore('memory:?maxSessionBytes=10')
    await assert.rejects(small.set('a', { text: 'longer' }), { code: 'ERR_STORE_TOO_LARGE' })
    await small.close()
    const bytes = new RustStore('memory:?maxBytes=2000')
    for (let i = 0; i < 50; i++) await bytes.set(`sid${i}`, { text: 'x'.repeat(100) })
    assert.ok((await bytes.stats()).bytes <= 2000)
    await bytes.close()
  })

  test('a prefix as a parameter is the same as one as an option', async () => {
    const url = `memory:${fresh()}`
    const one = new RustStore(`${url}?prefix=a%26b`)
    const two = new RustStore({ url, prefix: 'a&b' })
    const none = new RustStore(url)
    await one.set('a', { n: 1 })
    assert.equal((await two.get('a')).n, 1)
    assert.equal(await none.get('a'), undefined)
  })

  test('parameters are checked as options are', () => {
    refused('memory:app?max=0', 'max')
    refused('memory:app?max=', 'max')
    refused('memory:app?max=many', 'max')
    refused('memory:app?max=1.5', 'max')
    refused('memory:app?ttl=0', 'ttl')
    refused('memory:app?ttl=-5', 'ttl')
    refused('memory:app?ttl=NaN', 'ttl')
    refused('memory:app?touchAfter=-1', 'touchAfter')
    refused('memory:app?merge=maybe', 'merge')
    refused('memory:app?maxByte=5', 'maxByte', 'maxBytes')
    refused('memory:app?serializer=JSON', 'serializer')
    refused('memory:app?url=memory:', 'url')
  })

  test('an option given twice is refused', () => {
    refused({ url: 'memory:app?max=5', max: 5 }, 'max')
    refused({ url: 'memory:app?prefix=a', prefix: 'a' }, 'prefix')
    refused('memory:app?max=5&max=6', 'max')
  })

  test('an option that is undefined does not collide with a parameter', async () => {
    const store = new RustStore({ url: 'memory:?max=2', max: undefined })
    for (let i = 0; i < 5; i++) await store.set(`sid${i}`, {})
    assert.equal(await store.length(), 2)
    await store.close()
  })
})

describe('a place opened twice', () => {
  test('names and prefixes tell places apart', async () => {
    const name = fresh()
    const one = new RustStore(`memory:${name}`)
    const same = new RustStore({ url: `memory:${name}` })
    const other = new RustStore(`memory:${name}x`)
    await one.set('a', { n: 1 })
    assert.equal((await same.get('a')).n, 1)
    assert.equal(await other.get('a'), undefined)
  })

  test('two private stores share nothing', async () => {
    const stores = [new RustStore(), new RustStore(), new RustStore('memory:'), new RustStore({})]
    await stores[0].set('a', { n: 1 })
    for (const store of stores.slice(1)) assert.equal(await store.get('a'), undefined)
  })

  test('with other bounds is refused, naming the option', () => {
    const url = `memory:${fresh()}`
    new RustStore({ url, max: 5 })
    refused({ url, max: 6 }, 'max')
    refused({ url }, 'max')
    refused({ url, max: 5, maxBytes: 1000 }, 'maxBytes')
    new RustStore({ url, max: 5 })
    new RustStore(`${url}?max=5`)
    new RustStore({ url, max: 6, prefix: 'elsewhere:' })
  })

  test('a refused one leaves the place as it is', async () => {
    const url = `memory:${fresh()}`
    const store = new RustStore({ url, max: 2 })
    refused({ url, max: 100 }, 'max')
    for (let i = 0; i < 5; i++) await store.set(`sid${i}`, {})
    assert.equal(await store.length(), 2)
  })

  test('each store object has its own ttl, touchAfter, merge, serializer', async () => {
    const url = `memory:${fresh()}`
    const one = new RustStore({ url, ttl: 60, merge: false, touchAfter: 5 })
    const two = new RustStore({ url, ttl: 1e6, maxSessionBytes: 100 })
    await one.set('a', { text: 'x'.repeat(200) })
    assert.equal((await two.get('a')).text.length, 200)
    await assert.rejects(two.set('a', { text: 'x'.repeat(200) }), { code: 'ERR_STORE_TOO_LARGE' })
  })
})

describe('the module', () => {
  test('CommonJS and ES modules see the same two names', async () => {
    const esm = await import('rust-session-store')
    assert.equal(esm.RustStore, RustStore)
    assert.equal(esm.RustStoreError, RustStoreError)
    assert.equal(esm.default.RustStore, RustStore)
    assert.deepEqual(Object.keys(require('..')).sort(), ['RustStore', 'RustStoreError'])
  })

  test('errors name themselves', () => {
    const error = (() => {
      try {
        return new RustStore({ tll: 1 })
      } catch (thrown) {
        return thrown
      }
    })()
    assert.equal(error.name, 'RustStoreError')
    assert.match(String(error), /^RustStoreError/)
    assert.match(error.stack, /options\.test\.js/)
  })

  test('a store can be shown', () => {
    const { inspect } = require('node:util')
    assert.match(inspect(new RustStore()), /RustStore/)
  })

  test('a subclass may override methods and add its own', async () => {
    class Counting extends RustStore {
      gets = 0
      get(...args) {
        this.gets++
        return super.get(...args)
      }
    }
    const store = new Counting({ ttl: 60 })
    await store.set('a', { n: 1 })
    assert.equal((await store.get('a')).n, 1)
    const inside = []
    store.get('a', (_error, session) => inside.push(session.n))
    assert.deepEqual(inside, [1])
    assert.equal(store.gets, 2)
  })
})
