'use strict'
// The three forms of every method: a callback, no callback (a promise), an explicit undefined in
// the callback's place (fire and forget); and what `close` does to each.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const h = require('./harness.js')

// Each with the callback's place last. `answer` checks what a success hands over.
const CALLS = {
  get: { call: (store, ...cb) => store.get('a', ...cb), answer: (got) => assert.equal(got.n, 1) },
  set: { call: (store, ...cb) => store.set('a', h.plain({ n: 2 }), ...cb) },
  touch: { call: (store, ...cb) => store.touch('a', h.plain(), ...cb) },
  destroy: { call: (store, ...cb) => store.destroy('a', ...cb) },
  all: {
    call: (store, ...cb) => store.all(...cb),
    answer: (got) => assert.equal(got.a.n, 1),
  },
  'all as array': {
    method: 'all',
    call: (store, ...cb) => store.all({ as: 'array' }, ...cb),
    answer: (got) => assert.deepEqual([got.length, got[0].id, got[0].n], [1, 'a', 1]),
  },
  length: { call: (store, ...cb) => store.length(...cb), answer: (got) => assert.equal(got, 1) },
  ids: { call: (store, ...cb) => store.ids(...cb), answer: (got) => assert.deepEqual(got, ['a']) },
  clear: { call: (store, ...cb) => store.clear(...cb) },
  ping: { call: (store, ...cb) => store.ping(...cb) },
  stats: {
    call: (store, ...cb) => store.stats(...cb),
    answer: (got) => assert.equal(got.sessions, 1),
  },
  close: { call: (store, ...cb) => store.close(...cb) },
}

module.exports = (row) => {
  const rule = h.rulesOf(row)

  for (const [name, { call, answer, method = name }] of Object.entries(CALLS)) {
    const nothing = (got) => assert.equal(got, undefined)
    const check = answer ?? nothing

    rule(
      `${name}: with a callback returns nothing and calls back once, ${row.timing[method]}`,
      async ({ open }) => {
        const store = await open()
        await store.set('a', h.plain({ n: 1 }))
        const calls = []
        let inside = true
        let when
        let returned
        await new Promise((resolve) => {
          returned = call(store, (...args) => {
            calls.push(args)
            when ??= inside ? 'inside' : 'later'
            resolve()
          })
          inside = false
        })
        for (let i = 0; i < 5; i++) await h.turn()
        assert.equal(returned, undefined)
        assert.equal(calls.length, 1)
        assert.equal(calls[0][0] ?? null, null, 'no error')
        check(calls[0][1])
        assert.equal(when, row.timing[method], 'the timing is fixed per backend and method')
      },
    )

    rule(`${name}: without a callback returns a promise`, async ({ open }) => {
      const store = await open()
      await store.set('a', h.plain({ n: 1 }))
      const returned = call(store)
      assert.ok(returned instanceof Promise)
      check(await returned)
    })

    rule(
      `${name}: with an explicit undefined returns nothing and does its work`,
      async ({ open }) => {
        const store = await open()
        const errors = h.listen(store, 'error')
        await store.set('a', h.plain({ n: 1 }))
        assert.equal(call(store, undefined), undefined)
        if (name === 'close') {
          await assert.rejects(store.get('a'), h.storeError('ERR_STORE_CLOSED', 'get'))
          return
        }
        await h.quiet(store)
        const left = await store.get('a')
        if (name === 'set') assert.equal(left.n, 2)
        else if (name === 'destroy' || name === 'clear') assert.equal(left, undefined)
        else assert.equal(left.n, 1)
        assert.deepEqual(errors, [])
      },
    )

    rule(`${name}: null in the callback's place is as undefined`, async ({ open }) => {
      const store = await open()
      assert.equal(call(store, null), undefined)
    })

    rule(`${name}: anything else in the callback's place is a TypeError`, async ({ open }) => {
      const store = await open()
      await store.set('a', h.plain({ n: 1 }))
      const wrong = name === 'all' ? [42, 'x', true] : [42, 'x', {}, true]
      for (const value of wrong) {
        assert.throws(() => call(store, value), TypeError, `${name}(..., ${value})`)
      }
      assert.equal((await store.get('a')).n, 1, 'nothing was done')
    })

    if (name === 'close') continue

    rule(
      `${name}: after close fails with ERR_STORE_CLOSED in all three forms, later`,
      async ({ open }) => {
        const store = await open()
        await store.close()
        let inside = true
        const answered = await new Promise((resolve) => {
          call(store, (...args) => resolve([inside, ...args]))
          inside = false
        })
        assert.equal(answered[0], false, 'errors come later')
        h.isStoreError(answered[1], 'ERR_STORE_CLOSED', method)
        assert.equal(answered[2], undefined)
        await assert.rejects(call(store), h.storeError('ERR_STORE_CLOSED', method))
        // Without a listener it is dropped; a throw would end the test.
        assert.equal(call(store, undefined), undefined)
        for (let i = 0; i < 5; i++) await h.turn()
        const heard = once(store, 'error')
        // `once` for 'error' rejects nothing: it resolves with the event's arguments.
        assert.equal(call(store, undefined), undefined)
        h.isStoreError((await heard)[0], 'ERR_STORE_CLOSED', method)
      },
    )
  }

  rule('error event: never for a caller who gets the answer', async ({ open }) => {
    const store = await open()
    const errors = h.listen(store, 'error')
    await store.close()
    await assert.rejects(store.get('a'))
    await new Promise((resolve) => store.get('a', resolve))
    for (let i = 0; i < 5; i++) await h.turn()
    assert.deepEqual(errors, [])
  })

  rule('close: what is in flight ends first', async ({ open }) => {
    const store = await open()
    await store.set('a', h.plain({ n: 1 }))
    const order = []
    const note = (name) => (error) => order.push([name, error ?? null])
    store.set('b', h.plain(), note('set'))
    store.length(note('length'))
    store.all(note('all'))
    store.destroy('a', note('destroy'))
    await new Promise((resolve) =>
      store.close((error) => {
        note('close')(error)
        resolve()
      }),
    )
    assert.deepEqual(order.map(([name]) => name).sort(), [
      'all',
      'close',
      'destroy',
      'length',
      'set',
    ])
    assert.equal(order.at(-1)[0], 'close')
    for (const [name, error] of order) assert.equal(error, null, name)
  })

  rule('close: promises in flight end too', async ({ open }) => {
    const store = await open()
    await store.set('a', h.plain({ n: 1 }))
    const length = store.length()
    const all = store.all()
    await store.close()
    assert.equal(await length, 1)
    assert.equal((await all).a.n, 1)
  })

  rule('close: entries fails with ERR_STORE_CLOSED', async ({ open }) => {
    const store = await open()
    await store.close()
    await assert.rejects(
      async () => {
        for await (const entry of store.entries()) assert.fail(entry)
      },
      h.storeError('ERR_STORE_CLOSED', 'entries'),
    )
  })

  rule('close: another store on the same place goes on', { shared: true }, async (ctx) => {
    const store = await ctx.open()
    const other = await ctx.again(store)
    await store.set('a', h.plain({ n: 1 }))
    await store.close()
    assert.equal((await other.get('a')).n, 1)
    await other.close()
    const third = await ctx.again(store)
    assert.equal((await third.get('a')).n, 1, 'the sessions outlive the store objects')
  })
}
