'use strict'
// Nothing keeps the process alive but an operation in flight, and no way of ending crashes or hangs.

const assert = require('node:assert/strict')
const h = require('./harness.js')

module.exports = (row) => {
  const rule = h.rulesOf(row)

  const END = {
    idle: 'a store that was only opened',
    used: 'a store that was used, never closed',
    listening: 'a store with listeners on every event',
    pending: 'operations in flight, which are answered first',
    forgotten: 'operations that nobody waits for',
    walking: 'a walk that was left half-way',
    closed: 'a store that was closed',
    unlistened: 'a failed operation that nobody listens to',
  }
  for (const [mode, what] of Object.entries(END)) {
    rule(`exit: a process ends by itself: ${what}`, async () => {
      const ended = await h.runChild(row, 'ending.js', mode)
      assert.deepEqual([ended.code, ended.signal], [0, null], ended.stderr)
      assert.equal(ended.stdout.trim(), mode === 'pending' ? 'answered 5' : 'end')
    })
  }

  for (const when of ['at once', 'in a callback', 'in a tick', 'in a promise']) {
    rule(`exit: process.exit ${when} with operations in flight`, async () => {
      const ended = await h.runChild(row, 'exiting.js', when)
      assert.deepEqual([ended.code, ended.signal], [7, null], ended.stderr)
    })
  }

  rule(`exit: ${h.WORKERS} workers terminated or exiting with operations in flight`, async () => {
    const ended = await h.runChild(row, 'workers.js', h.WORKERS)
    assert.deepEqual([ended.code, ended.signal], [0, null], ended.stderr)
    const report = JSON.parse(ended.stdout)
    assert.deepEqual(report.errors, [])
    assert.equal(report.ended, h.WORKERS)
    assert.equal(report.works, true, 'the store of the main thread still works')
  })
}
