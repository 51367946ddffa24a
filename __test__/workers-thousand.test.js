'use strict'
// A thousand worker threads that use one store, each ended while it is busy: nothing crashes, hangs or is
// kept. The suite does the same on every backend with fewer, conformance/exit.js.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { rowNamed } = require('./backends.js')
const { runLong } = require('./conformance/harness.js')

const WORKERS = 1000
// For what hangs: it is minutes of work of all cores, which others may have, too.
const LONGEST_MS = 540_000
const MIB = 2 ** 20

test('a thousand workers that are ended while they work leave nothing', async (t) => {
  const ended = await runLong(LONGEST_MS, rowNamed('memory (named)'), 'workers.js', WORKERS)
  assert.deepEqual([ended.code, ended.signal], [0, null], ended.stderr)
  const report = JSON.parse(ended.stdout)
  assert.deepEqual(report.errors, [])
  assert.equal(report.ended, WORKERS)
  assert.equal(report.works, true, 'the store of the main thread still works')
  const [before, after] = report.held
  t.diagnostic(`after a quarter ${JSON.stringify(before)}, after all ${JSON.stringify(after)}`)
  // Up to 20 sessions of each worker stay, and the allocator keeps some of what threads gave back.
  assert.ok(after.rss < before.rss + 64 * MIB, 'memory')
  assert.ok(after.threads <= before.threads + 2, 'threads')
  assert.ok(after.files <= before.files + 4, 'open files')
})
