'use strict'
// What each call sends, as the server itself sees it, and what becomes of a call whose server forgets,
// pauses or hangs up.

const assert = require('node:assert/strict')
const { RustStore } = require('..')
const { listen, load, plain, quiet, seed, storeError } = require('./conformance/harness.js')
const { Load } = require('./servers/load.js')
const { Monitor } = require('./servers/monitor.js')
const { startRedis, testing, until } = require('./servers/redis.js')

const { test } = testing()

const HOUR = 3_600_000
// For each call, as without the option.
const DEADLINE = 2_000
// What a busy machine may add to a deadline.
const MARGIN = 5_000

/** Each with its key: a script's comes after its hash and the number of keys. */
const keyed = (commands) =>
  commands.map(([name, ...words]) => `${name} ${words[name.startsWith('EVAL') ? 2 : 0]}`)

/** Runs a test with a server; what it opens is gone after it. */
function serverTest(name, body, ...args) {
  test(name, { timeout: 60_000 }, async () => {
    const ends = []
    try {
      const server = await startRedis(...args)
      ends.push(() => server.end())
      const open = async (options) => {
        const store = new RustStore({ url: server.url, ...options })
        ends.push(() => store.close().catch(() => {}))
        // What a connection begins with is over then.
        await store.ping()
        return store
      }
      const watch = async () => {
        const monitor = await Monitor.of(server)
        ends.push(() => monitor.end())
        return (call) => monitor.during(call)
      }
      await body({ server, open, watch })
    } finally {
      for (const end of ends.reverse()) await end()
    }
  })
}

/** A store on which the server knows the scripts already. */
async function warm(open, options) {
  const store = await open(options)
  await seed(store, 'warm')
  await store.set('warm', Object.assign(await load(store, 'warm'), { n: 1 }))
  return store
}

/** What the server has for a session: its text, and the ms it has left. */
async function stored(server, sid) {
  const key = `sess:${sid}`
  return { text: await server.ask('GET', key), left: Number(await server.ask('PTTL', key)) }
}

serverTest('get is one GET, also of a session that is not there', async ({ open, watch }) => {
  const [store, during] = [await open(), await watch()]
  await seed(store, 'a')
  const { sent } = await during(async () => {
    await store.get('a')
    await store.get('nobody')
  })
  assert.deepEqual(keyed(sent), ['GET sess:a', 'GET sess:nobody'])
})

serverTest('a save of a new session is one SET with the ms it has left', async (has) => {
  const [store, during] = [await has.open(), await has.watch()]
  const { sent } = await during(() => store.set('a', plain({ n: 1 })))
  assert.equal(sent.length, 1)
  const [name, key, text, unit, ms] = sent[0]
  assert.deepEqual([name, key, unit, JSON.parse(text).n], ['SET', 'sess:a', 'PX', 1])
  assert.ok(ms > 0 && ms <= HOUR, ms)
})

serverTest('a save of a session that was read is one EVALSHA, each time', async (has) => {
  const [store, during] = [await warm(has.open), await has.watch()]
  await seed(store, 'a')
  const session = await load(store, 'a')
  for (const n of [1, 2]) {
    const { sent } = await during(() => store.set('a', Object.assign(session, { n })))
    assert.deepEqual(keyed(sent), ['EVALSHA sess:a'])
    assert.equal(JSON.parse((await stored(has.server, 'a')).text).n, n)
  }
})

for (const [how, options, times, both] of [
  ["a save that meets another's change is one EVALSHA more", {}, 2, [1, 1]],
  ['without merging it is one: nothing is compared', { merge: false }, 1, [1, undefined]],
]) {
  serverTest(how, async (has) => {
    const [store, during] = [await warm(has.open, options), await has.watch()]
    await seed(store, 'a')
    const [mine, theirs] = [await load(store, 'a'), await load(store, 'a')]
    await store.set('a', Object.assign(theirs, { theirs: 1 }))
    const { sent } = await during(() => store.set('a', Object.assign(mine, { mine: 1 })))
    assert.deepEqual(keyed(sent), Array(times).fill('EVALSHA sess:a'))
    const saved = JSON.parse((await stored(has.server, 'a')).text)
    assert.deepEqual([saved.mine, saved.theirs], both)
  })
}

serverTest('touch is one PEXPIRE to a later time, and leaves the text alone', async (has) => {
  const [store, during] = [await has.open(), await has.watch()]
  await seed(store, 'a', { n: 1 }, HOUR)
  await has.server.ask('PEXPIRE', 'sess:a', 60_000)
  const before = await stored(has.server, 'a')
  const session = await load(store, 'a')
  session.n = 'is not saved'
  const { sent } = await during(() => store.touch('a', session.touch()))
  assert.equal(sent.length, 1)
  const [name, key, ms, rule] = sent[0]
  assert.deepEqual([name, key, rule], ['PEXPIRE', 'sess:a', 'GT'])
  assert.ok(ms > 60_000 && ms <= HOUR, ms)
  const after = await stored(has.server, 'a')
  assert.equal(after.text, before.text)
  assert.ok(after.left > 60_000)
})

serverTest('a touch by which the app changed the cookie saves that, and no more', async (has) => {
  const [store, during] = [await warm(has.open), await has.watch()]
  await seed(store, 'a', { n: 1 }, 60_000)
  const session = await load(store, 'a')
  session.cookie.maxAge = HOUR
  session.n = 'is not saved'
  const { sent } = await during(() => store.touch('a', session))
  assert.deepEqual(keyed(sent), ['EVALSHA sess:a'])
  const { text, left } = await stored(has.server, 'a')
  const { cookie, n } = JSON.parse(text)
  assert.deepEqual([cookie.originalMaxAge, n], [HOUR, 1])
  assert.ok(left > 60_000)
})

serverTest('touchAfter: a touch is one EVALSHA, and a write where it is worth one', async (has) => {
  const [store, during] = [await has.open({ touchAfter: 600 }), await has.watch()]
  const touchOne = async (sid, left) => {
    await seed(store, sid, {}, HOUR)
    await has.server.ask('PEXPIRE', `sess:${sid}`, left)
    const session = await load(store, sid)
    return during(() => store.touch(sid, session.touch()))
  }
  // The first sends the script's text, too.
  await touchOne('first', 60_000)
  const much = await touchOne('much', 60_000)
  assert.deepEqual(keyed(much.sent), ['EVALSHA sess:much'])
  assert.ok((await stored(has.server, 'much')).left > 60_000)
  const little = await touchOne('little', HOUR - 60_000)
  assert.deepEqual(keyed(little.sent), ['EVALSHA sess:little'])
  assert.deepEqual(little.inside, [['PTTL', 'sess:little']])
  assert.ok((await stored(has.server, 'little')).left <= HOUR - 60_000)
})

serverTest("destroy is one DEL, clear no more than its own prefix's keys", async (has) => {
  const [store, during] = [await has.open(), await has.watch()]
  for (const sid of ['a', 'b', 'c']) await seed(store, sid)
  assert.deepEqual((await during(() => store.destroy('a'))).sent, [['DEL', 'sess:a']])
  const others = ['other:a', 'sess', 'mysess:a', 'Sess:a']
  for (const key of others) await has.server.ask('SET', key, 'theirs')
  await has.server.ask('-n', 1, 'SET', 'sess:a', 'of another database')
  assert.deepEqual((await store.ids()).sort(), ['b', 'c'])
  const { sent } = await during(() => store.clear())
  const changes = keyed(sent).filter((command) => !command.startsWith('SCAN '))
  assert.deepEqual(changes.sort(), ['UNLINK sess:b', 'UNLINK sess:c'])
  assert.deepEqual((await has.server.ask('KEYS', '*')).split('\n').sort(), others.sort())
  assert.equal(await has.server.ask('-n', 1, 'DBSIZE'), '1')
})

serverTest('no request brings its session back after a FLUSHALL', async (has) => {
  const store = await has.open()
  const gone = listen(store, 'gone')
  const sids = ['a', 'b', 'c']
  for (const sid of sids) await seed(store, sid, { n: 1 })
  const sessions = await Promise.all(sids.map((sid) => load(store, sid)))
  await has.server.ask('FLUSHALL')
  for (const session of sessions) session.n = 2
  await Promise.all(sessions.map((session) => store.set(session.id, session)))
  await Promise.all(sessions.map((session) => store.touch(session.id, session.touch())))
  await quiet(store)
  assert.deepEqual(gone.flat().sort(), sids)
  assert.equal(await has.server.ask('DBSIZE'), '0')
  await seed(store, 'a', { n: 3 })
  assert.equal((await store.get('a')).n, 3, 'a new visitor is welcome')
})

serverTest(
  'a server that was restarted is sent the script again, once',
  async ({ server, open, watch }) => {
    const store = await warm(open)
    await seed(store, 'a', { n: 0 })
    const session = await load(store, 'a')
    const [downs, ups] = [listen(store, 'down'), listen(store, 'up')]
    await server.kill()
    await until('the event down', () => downs.length > 0)
    await server.start()
    await until('the event up', () => ups.length > 0)
    const during = await watch()
    const save = (n) => during(() => store.set('a', Object.assign(session, { n })))
    assert.deepEqual(keyed((await save(1)).sent), ['EVALSHA sess:a', 'EVAL sess:a'])
    assert.deepEqual(keyed((await save(2)).sent), ['EVALSHA sess:a'])
    assert.equal((await store.get('a')).n, 2)
  },
  ...['--appendonly', 'yes', '--appendfsync', 'always'],
)

serverTest('a pause longer than the deadline: one timeout, then all is well', async (has) => {
  const store = await has.open({ commandTimeout: DEADLINE })
  await store.set('a', plain({ n: 1 }))
  // One of writes can be ended, which is a command itself.
  await has.server.ask('CLIENT', 'PAUSE', 600_000, 'WRITE')
  const answers = []
  const begun = performance.now()
  store.set('a', plain({ n: 2 }), (error) => answers.push(error))
  await until('the answer', () => answers.length > 0)
  assert.ok(performance.now() - begun < DEADLINE + MARGIN)
  storeError('ERR_STORE_TIMEOUT', 'set')(answers[0])
  assert.equal(answers[0].retryable, true)
  // The connection is made anew, and reads pass.
  await until('a read', () => store.get('a').catch(() => false))
  await has.server.ask('CLIENT', 'UNPAUSE')
  await store.set('a', plain({ n: 3 }))
  assert.equal((await store.get('a')).n, 3)
  await quiet(store)
  assert.equal(answers.length, 1)
})

serverTest('CLIENT KILL under load: each call has one answer, nothing is lost', async (has) => {
  const store = await has.open()
  const work = new Load(store)
  // More where each came between two calls.
  for (let kills = 0; kills < 5 || (kills < 50 && work.failures === 0); kills++) {
    await work.passes()
    await has.server.ask('CLIENT', 'KILL', 'TYPE', 'normal')
  }
  await work.passes()
  await work.end({ deadline: DEADLINE, codes: ['ERR_STORE_UNAVAILABLE'] })
  assert.ok(work.failures > 0, 'who lost the answer was told')
  assert.equal(await work.lost(), 0)
})
