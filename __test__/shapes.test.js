// Sessions that are put together because the shape of their text is known, against JSON.parse. The second
// store shows, and writes, the text that a backend keeps.
'use strict'

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { once } = require('node:events')
const { after, test } = require('node:test')
const { RustStore } = require('..')

const serializer = { stringify: ({ text }) => text, parse: (text) => ({ text }) }
const store = new RustStore('memory:shapes')
const raw = new RustStore({ url: 'memory:shapes', serializer })

after(() => Promise.all([store.close(), raw.close()]))

async function assertRead(text) {
  await raw.set('read', { text })
  const expected = JSON.parse(text)
  const session = await store.get('read')
  assert.deepEqual(session, expected, text)
  // The order of keys, too.
  assert.equal(JSON.stringify(session), JSON.stringify(expected), text)
  return session
}

/** Reads it until its shape is known, and once more. */
async function assertAlways(...texts) {
  for (let round = 0; round < 3; round++) for (const text of texts) await assertRead(text)
}

test('values of every kind are read as JSON.parse reads them, whatever was there before', async () => {
  const strings = ['""', '"a"', '"a longer one, of more than a few"', '"é"', '"日本"', '"🦀x🦀"']
  const escaped = ['"\\""', '"\\\\"', '"\\u00e9\\n"', '"\\ud83e\\udd80é"', '"\\ud800"', '"\\u0000"']
  const numbers = [
    '0',
    '-0',
    '1',
    '-1.5',
    '1e3',
    '1E+2',
    '5e-324',
    '1e400',
    '9007199254740993',
    '0.1',
  ]
  for (const kind of [strings, escaped, numbers, ['true', 'false'], ['null']]) {
    for (const [index, one] of kind.entries()) {
      const other = kind[(index + 1) % kind.length]
      const text = `{"é":"🦀","a":${one},"b":[${other},{"c":${one}}],"d":"é","e":{},"f":[]}`
      await assertRead(text)
      await assertRead(text)
    }
  }
  await raw.set('zero', { text: '{"n":-0}' })
  for (let i = 0; i < 3; i++) assert.ok(Object.is((await store.get('zero')).n, -0))
})

test('keys and texts out of the ordinary are read as JSON.parse reads them', async () => {
  await assertAlways(
    '{"__proto__":{"a":1}}',
    '{"a":{"__proto__":"x","b":2}}',
    '{"constructor":1,"toString":"x","hasOwnProperty":true}',
    '{"2":"b","1":"a"}',
    '{"1":"a","2":"b"}',
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"\\"":1}',
    '{"\u2028":1}',
    '{"a]});process.exit(9);({":1}',
    '{"":""}',
    '{ "a" : 1 }',
    '[1,"two",[true]]',
    '[]',
    '{"a":"x","b":1.0}',
    `{"deep":${'['.repeat(500)}${']'.repeat(500)}}`,
    `{"many":[${Array.from({ length: 100 }, (_, n) => n)}]}`,
    `{"long":"${'x'.repeat(10_000)}"}`,
  )
})

test('each session is an object of its own', async () => {
  const text = '{"a":{"b":[1,{}]},"c":"x"}'
  await assertAlways(text)
  const session = await assertRead(text)
  session.a.b[1].d = 1
  session.a.b.push(2)
  session.c = 'y'
  const again = await assertRead(text)
  for (const [mine, expected] of [
    [again, Object.prototype],
    [again.a, Object.prototype],
    [again.a.b, Array.prototype],
  ]) {
    assert.equal(Object.getPrototypeOf(mine), expected)
  }
})

test('texts that are no JSON are corrupt, also where the rest of them is known', async () => {
  await assertAlways('{"a":1,"b":"x","c":true,"d":"\\n"}')
  for (const text of [
    '{"a":01,"b":"x","c":true,"d":"\\n"}',
    '{"a":1.,"b":"x","c":true,"d":"\\n"}',
    '{"a":1,"b":"\n","c":true,"d":"\\n"}',
    '{"a":1,"b":"x","c":tru,"d":"\\n"}',
    '{"a":1,"b":"x","c":true,"d":"\\x"}',
    '{"a":1,"b":"x","c":true,"d":"\\ud80"}',
    '{"a":1,"b":"x","c":true,"d":"\\n"',
    '{"a":1,"b":"x","c":true,"d":"\\n"}}',
  ]) {
    await raw.set('damaged', { text })
    const told = once(store, 'corrupt')
    assert.equal(await store.get('damaged'), undefined, text)
    const [, error] = await told
    assert.throws(() => JSON.parse(text), { message: error.message }, text)
  }
})

test('any session is read as JSON.parse reads it', async () => {
  let seed = 1
  const next = (n) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return (seed >>> 8) % n
  }
  const keys = ['a', 'b-c', '1', 'é', 'user', '__proto__', '']
  const leaves = [
    () => 'x'.repeat(next(30)),
    () => ['é', '🦀', '"\\', '\u0001', '\ud800', 'ß日'][next(6)].repeat(next(4)),
    () => next(1e6) - 5e5,
    () => next(1e6) / 7,
    () => next(2) === 1,
  ]
  // The kinds are those of the shape, the values another's each time.
  const kind = (depth) => {
    const which = next(depth > 0 ? 9 : 6)
    if (which < 5) return leaves[which]
    if (which === 5) return () => null
    if (which === 6) {
      const elements = Array.from({ length: next(4) }, () => kind(depth - 1))
      return () => elements.map((make) => make())
    }
    const members = Array.from({ length: next(5) }, () => [keys[next(7)], kind(depth - 1)])
    return () => Object.fromEntries(members.map(([key, make]) => [key, make()]))
  }
  for (let shape = 0; shape < 200; shape++) {
    const make = kind(3)
    for (let round = 0; round < 4; round++) await assertRead(JSON.stringify({ a: make() }))
  }
})

test('Node.js that makes no code of text reads as before', () => {
  const script = `
    const { RustStore } = require('./index.js')
    const store = new RustStore()
    const session = (n) => ({ n, user: { name: 'x' + n } })
    for (let n = 0; n < 4; n++) {
      store.set('s', session(n), () => {})
      store.get('s', (error, found) => console.log(JSON.stringify(found)))
    }`
  const flags = ['--disallow-code-generation-from-strings', '-e', script]
  const output = execFileSync(process.execPath, flags, { cwd: `${__dirname}/..` })
  const expected = [0, 1, 2, 3].map((n) => `{"n":${n},"user":{"name":"x${n}"}}`)
  assert.deepEqual(String(output).trim().split('\n'), expected)
})
