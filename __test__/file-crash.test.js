'use strict'
// What is acknowledged survives kill -9, whenever it comes. A long run: RUST_STORE_TEST_CRASHES=300.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { setTimeout: sleep } = require('node:timers/promises')
const { performance } = require('node:perf_hooks')
const { RustStore } = require('..')
const { freshFolder, script } = require('./file/processes')

const ROUNDS = Number(process.env.RUST_STORE_TEST_CRASHES ?? 6)
const PROCESSES = 3

/** The highest number that a process told for each sid. */
function acknowledged(lines, known) {
  for (const line of lines) {
    const [sid, n] = line.split(' ')
    // The last line may be cut off.
    if (/^\d+$/.test(n ?? '')) known.set(sid, Math.max(known.get(sid) ?? 0, Number(n)))
  }
}

async function check(store, known) {
  for (const [sid, n] of known) {
    const session = await store.get(sid)
    assert.ok(session, `${sid} is there`)
    assert.ok(session.n >= n, `${sid}: ${n} was acknowledged, and it is ${session.n}`)
    assert.equal(session.end, session.n, `${sid} is whole`)
    assert.equal(session.text, `${session.n},`.repeat(50 + (session.n % 200)), `${sid} is whole`)
  }
}

for (const durability of ['full', 'normal']) {
  test(`${ROUNDS} rounds of kill -9, durability ${durability}`, {
    timeout: 60_000 + ROUNDS * 5_000,
  }, async (t) => {
    if (process.platform === 'win32') return t.diagnostic('not tried: Windows')
    const folder = freshFolder(t)
    const url = `file:${folder}?durability=${durability}`
    // One that is never killed, and goes on.
    const survivor = new RustStore({ url, commandTimeout: 60_000 })
    survivor.on('corrupt', (sid, cause) => assert.fail(`${sid} is corrupt: ${cause}`))
    t.after(() => survivor.close())
    const known = new Map()
    let slowest = 0
    for (let round = 1; round <= ROUNDS; round++) {
      const children = Array.from({ length: PROCESSES }, (_, i) =>
        script(t, 'saver.js', url, `p${i}`, round * 1_000_000),
      )
      await Promise.all(children.map((child) => child.line((line) => line.includes(' '))))
      await sleep(Math.random() * 150)
      // One after the other: those that are left have to go on.
      for (const [index, { child, ended, lines }] of children.entries()) {
        child.kill('SIGKILL')
        assert.equal((await ended).signal, 'SIGKILL')
        const from = performance.now()
        await survivor.set('survivor', { n: round })
        slowest = Math.max(slowest, performance.now() - from)
        acknowledged(lines, known)
        const next = children[index + 1]
        if (next) {
          const { length } = next.lines
          await next.line((_, at) => at > length)
        }
      }
      await check(survivor, known)
      assert.equal((await survivor.get('survivor')).n, round)
    }
    await survivor.close()
    const again = new RustStore(url)
    t.after(() => again.close())
    await check(again, known)
    t.diagnostic(`slowest save after a kill: ${slowest.toFixed(1)} ms; ${known.size} sids`)
  })
}
