'use strict'
// Load on a store while its server has a fault: every call is counted, and how it ended. Each of its
// sessions has one writer, so that what was acknowledged can be compared with what is there. Knows no
// backend.

const assert = require('node:assert/strict')
const { performance } = require('node:perf_hooks')
const { setTimeout: sleep } = require('node:timers/promises')
const v8 = require('node:v8')
const vm = require('node:vm')

v8.setFlagsFromString('--expose-gc')
const collect = vm.runInNewContext('gc')

// What a busy machine may add to a deadline.
const MARGIN = 5_000
// A long silence is shorter.
const WAITS_MS = 120_000
// What the heap, the addon and malloc's arenas may keep of a fault: 138 MiB were seen with Node 24, whose young
// generation has up to 104 MiB (under the same load it grew by 173 without this addon), and less than 64 with
// 20 and 22. What leaks grows by as much each second.
const MOST_BYTES = 256 * 2 ** 20

/** Begins at once. `{ width }` calls are under way at any time, each on a session of its own. */
class Load {
  #store
  #workers
  // Rejects when a call had the answer of another.
  #broken
  #isOver = false
  #bytes
  /** Calls that succeeded since the last look. */
  succeeded = 0
  /** Code -> calls that failed with it. */
  failed = new Map()
  twice = 0
  longest = 0
  /** By session: the last save that was acknowledged, and the last that was tried. */
  acknowledged = []
  tried = []

  constructor(store, { width = 32 } = {}) {
    this.#store = store
    collect()
    this.#bytes = process.memoryUsage.rss()
    this.#workers = Array.from({ length: width }, (_, index) => this.#work(index))
    this.#broken = Promise.all(this.#workers)
    this.#broken.catch(() => {})
  }

  static sid = (index) => `load-${index}`

  async #work(index) {
    const sid = Load.sid(index)
    this.acknowledged[index] = 0
    this.tried[index] = 0
    const save = async (session) => {
      session.n = ++this.tried[index]
      const { error } = await this.#call((done) => this.#store.set(sid, session, done))
      if (!error) this.acknowledged[index] = session.n
    }
    while (!this.#isOver) {
      const cookie = { originalMaxAge: 3_600_000, expires: new Date(Date.now() + 3_600_000) }
      const session = { cookie, index }
      await save(session)
      const { error, value } = await this.#call((done) => this.#store.get(sid, done))
      if (!error && value) {
        this.check(index, value)
        // With what was read as its base, where the first had none.
        await save(value)
      }
      await this.#call((done) => this.#store.touch(sid, session, done))
    }
  }

  /** What is read is this session's, and a save of it that was tried. */
  check(index, session) {
    assert.equal(session.index, index, 'an answer belongs to its call')
    assert.ok(session.n <= this.tried[index])
  }

  #call(begin) {
    const started = performance.now()
    let answers = 0
    return new Promise((resolve) => {
      begin((error, value) => {
        if (++answers > 1) this.twice++
        this.longest = Math.max(this.longest, performance.now() - started)
        if (!error) {
          this.succeeded++
          return resolve({ value })
        }
        // The test is over, which may have failed before it ended the load.
        if (error.code === 'ERR_STORE_CLOSED') this.#isOver = true
        this.failed.set(error.code, (this.failed.get(error.code) ?? 0) + 1)
        // What fails at once is not tried as fast as it fails.
        setTimeout(resolve, 2, { error })
      })
    })
  }

  get failures() {
    return [...this.failed.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Resolves when so many more calls have succeeded. */
  async passes(calls = 300) {
    const enough = this.succeeded + calls
    await this.#until(`${calls} more calls to succeed`, () => this.succeeded >= enough)
  }

  /** Resolves when a call fails, if none has. */
  async fails(calls = 1) {
    await this.#until(`${calls} calls to fail`, () => this.failures >= calls)
  }

  /** Not without an end: a wait keeps the process of a test alive that has failed. */
  async #until(what, isSo) {
    const end = performance.now() + WAITS_MS
    while (!isSo()) {
      if (this.#isOver || performance.now() > end) throw new Error(`waited in vain for ${what}`)
      await Promise.race([sleep(5), this.#broken])
    }
  }

  /**
   * Ends it, waits for every call, and asserts what holds whatever the fault: each call was answered
   * once, inside its deadline, with success or one of `codes`, and nothing piled up.
   */
  async end({ deadline, codes }) {
    this.#isOver = true
    await Promise.all(this.#workers)
    assert.equal(this.twice, 0, 'no callback is called twice')
    assert.ok(this.longest < deadline + MARGIN, `the longest call took ${this.longest} ms`)
    for (const code of this.failed.keys()) assert.ok(codes.includes(code), `failed with ${code}`)
    collect()
    const grown = process.memoryUsage.rss() - this.#bytes
    assert.ok(grown < MOST_BYTES, `${grown} bytes more than before`)
  }

  /** How many sessions are older than the last save that was acknowledged, or gone. */
  async lost() {
    let lost = 0
    for (const [index, acknowledged] of this.acknowledged.entries()) {
      const session = await this.#store.get(Load.sid(index))
      if (session) this.check(index, session)
      if ((session?.n ?? 0) < acknowledged) lost++
    }
    return lost
  }
}

module.exports = { Load }
