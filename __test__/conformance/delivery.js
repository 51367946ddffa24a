'use strict'
// How answers arrive: once, thrown exceptions left to the caller, in the caller's context, and
// never on top of an endless stack.

const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { RustStore } = require('../..')
const h = require('./harness.js')

const CALLS = {
  get: (store, cb) => store.get('a', cb),
  set: (store, cb) => store.set('a', h.plain({ n: 1 }), cb),
  touch: (store, cb) => store.touch('a', h.plain(), cb),
  destroy: (store, cb) => store.destroy('none', cb),
  all: (store, cb) => store.all(cb),
  length: (store, cb) => store.length(cb),
  ids: (store, cb) => store.ids(cb),
  ping: (store, cb) => store.ping(cb),
  stats: (store, cb) => store.stats(cb),
  clear: (store, cb) => store.clear(cb),
  close: (store, cb) => store.close(cb),
}

const cyclic = () => {
  const data = {}
  data.self = data
  return data
}

module.exports = (row) => {
  const rule = h.rulesOf(row)
  const inside = Object.keys(CALLS).filter((name) => row.timing[name] === 'inside')

  rule('callback: what it reads elsewhere changes no other answer', async ({ open }) => {
    const store = await open()
    const other = new RustStore()
    const sids = ['a', 'b', 'c', 'd']
    const named = (name, n) => ({ ...h.plain({ n }), name })
    await other.set('o', named('read in between', 99))
    for (const [n, sid] of sids.entries()) await store.set(sid, named(`of ${sid}`, n))
    // More than once, so that the engine knows how these sessions look.
    for (let round = 0; round < 3; round++) {
      await other.get('o')
      for (const sid of sids) await store.get(sid)
    }
    const elsewhere = () => other.get('o', () => {})
    const read = (sid) =>
      new Promise((resolve) => {
        store.touch('a', h.plain(), elsewhere)
        store.get(sid, (error, session) => {
          elsewhere()
          resolve([error, session.name, session.n])
        })
      })
    const found = await Promise.all(sids.map(read))
    assert.deepEqual(
      found,
      sids.map((sid, n) => [null, `of ${sid}`, n]),
    )
    await other.close()
  })

  for (const name of inside) {
    rule(
      `callback: what ${name}'s throws goes to its caller, and it is not called again`,
      async ({ open }) => {
        const store = await open()
        await store.set('a', h.plain({ n: 1 }))
        const thrown = new Error('from the callback')
        let calls = 0
        assert.throws(
          () =>
            CALLS[name](store, () => {
              calls++
              throw thrown
            }),
          (error) => error === thrown,
        )
        for (let i = 0; i < 5; i++) await h.turn()
        assert.equal(calls, 1)
        assert.equal((await store.get('a')).n, 1, 'nothing was destroyed')
        assert.deepEqual((await store.stats()).errors, {}, 'not an error of the store')
      },
    )

    rule(`timing: ${name} stays inside the call after callbacks that threw`, async ({ open }) => {
      const store = await open()
      await store.set('a', h.plain({ n: 1 }))
      for (let i = 0; i < 2000; i++) {
        assert.throws(() =>
          CALLS[name](store, () => {
            throw new Error('again')
          }),
        )
      }
      let answered = false
      CALLS[name](store, () => {
        answered = true
      })
      assert.ok(answered)
    })
  }

  rule(
    'callback: one that throws later is an uncaughtException, the rest are delivered',
    async () => {
      const later = Object.keys(CALLS).filter((name) => row.timing[name] === 'later')
      const ended = await h.runChild(row, 'throwing.js', later.join())
      assert.equal(ended.code, 0, ended.stderr)
      const report = JSON.parse(ended.stdout)
      for (const name of [...later, 'error']) {
        assert.deepEqual(report[name].calls, Array(20).fill(1), `${name}: each called once`)
        // In the order of the answers, which is the servers'.
        const thrown = report[name].thrown.sort((a, b) => a - b)
        assert.deepEqual(thrown, [0, 7, 14], `${name}: each thrown exception surfaces`)
      }
      assert.equal(report.unhandledRejections, 0)
      assert.equal(report.left, 1, 'nothing was destroyed')
    },
  )

  rule(
    'context: every callback runs in the AsyncLocalStorage context of its call',
    async ({ open }) => {
      const store = await open()
      const als = new AsyncLocalStorage()
      await store.set('a', h.plain({ n: 1 }))
      const pending = Object.entries(CALLS).map(
        ([name, call]) =>
          new Promise((resolve) =>
            als.run(name, () =>
              call(store, (error) => resolve([name, als.getStore(), error ?? null])),
            ),
          ),
      )
      for (const [name, context, error] of await Promise.all(pending)) {
        assert.equal(error, null, name)
        assert.equal(context, name)
      }
    },
  )

  rule(
    'context: errors come in it too, for calls of one tick each in its own',
    async ({ open }) => {
      const store = await open()
      await store.close()
      const als = new AsyncLocalStorage()
      const pending = Array.from(
        { length: 50 },
        (_, i) =>
          new Promise((resolve) =>
            als.run(i, () =>
              store.get(`sid${i}`, (error) => resolve([error.code, als.getStore()])),
            ),
          ),
      )
      const answers = await Promise.all(pending)
      assert.deepEqual(
        answers,
        Array.from({ length: 50 }, (_, i) => ['ERR_STORE_CLOSED', i]),
      )
    },
  )

  rule('context: promises go on in the context of their call', async ({ open }) => {
    const store = await open()
    const als = new AsyncLocalStorage()
    for (const name of ['get', 'set', 'destroy', 'length']) {
      const args = name === 'set' ? ['a', h.plain()] : name === 'length' ? [] : ['a']
      const seen = als.run(name, async () => {
        await store[name](...args)
        return als.getStore()
      })
      assert.equal(await seen, name)
    }
  })

  rule('context: events come later than the call, in its context', async ({ open }) => {
    const store = await open()
    const als = new AsyncLocalStorage()
    await h.seed(store, 'a')
    const held = await h.load(store, 'a')
    await store.destroy('a')
    const seen = []
    let done = false
    const arrived = new Promise((resolve) => {
      for (const event of ['gone', 'error']) {
        store.on(event, () => {
          seen.push([event, als.getStore(), done])
          if (seen.length === 2) resolve()
        })
      }
    })
    als.run('one', () => store.set('a', held, undefined))
    als.run('two', () => store.set('b', cyclic(), undefined))
    done = true
    await arrived
    assert.deepEqual(seen.sort(), [
      ['error', 'two', true],
      ['gone', 'one', true],
    ])
  })

  rule(
    "context: a listener that throws is an uncaughtException, not the call's failure",
    async () => {
      const ended = await h.runChild(row, 'listener.js')
      assert.equal(ended.code, 0, ended.stderr)
      assert.deepEqual(JSON.parse(ended.stdout), {
        answered: 1,
        error: null,
        uncaught: ['from gone'],
      })
    },
  )

  for (const name of ['get', 'set', 'touch', 'destroy']) {
    rule(
      `depth: ${row.capabilities.nested} nested calls of ${name} overflow no stack and keep the context`,
      async ({ open }) => {
        const store = await open()
        await store.set('a', h.plain({ n: 1 }))
        const als = new AsyncLocalStorage()
        await new Promise((resolve, reject) => {
          let left = row.capabilities.nested
          const next = (error) => {
            if (error) return reject(error)
            if (als.getStore() !== 'outer') return reject(new Error(`context lost at ${left}`))
            if (--left === 0) return resolve()
            try {
              CALLS[name](store, next)
            } catch (thrown) {
              reject(thrown)
            }
          }
          als.run('outer', () => CALLS[name](store, next))
        })
        if (row.timing[name] === 'inside') {
          let answered = false
          CALLS[name](store, () => {
            answered = true
          })
          assert.ok(answered, 'a call from the top is answered inside again')
        }
      },
    )
  }

  rule(`depth: ${row.capabilities.nested} calls nested through two stores`, async ({ open }) => {
    const stores = [await open(), await open()]
    for (const store of stores) await store.set('a', h.plain({ n: 1 }))
    const names = ['get', 'touch', 'set']
    await new Promise((resolve, reject) => {
      let left = row.capabilities.nested
      const next = (error) => {
        if (error) return reject(error)
        if (--left === 0) return resolve()
        try {
          CALLS[names[left % 3]](stores[left % 2], next)
        } catch (thrown) {
          reject(thrown)
        }
      }
      next()
    })
  })
}
