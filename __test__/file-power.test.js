'use strict'
// Power loss, as far as it can be simulated: what a process writes and flushes is recorded, and the
// file is built as a disk may have it after each of these steps. What was flushed is on the disk; of
// what was not, nothing, all, or any of its pages. A disk that does not keep what it was told to flush
// is not simulated. A long run: RUST_STORE_TEST_POWER=100.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { RustStore } = require('..')
const { freshFolder, start } = require('./file/processes')
const { ARGS, eventsOf } = require('./file/strace')

const ROUNDS = Number(process.env.RUST_STORE_TEST_POWER ?? 8)
const PAGE = 4096

/** Runs recorded.js under strace. Resolves its events; undefined where that cannot be done. */
async function record(t, url) {
  if (process.platform !== 'linux') return t.diagnostic('not tried: of Linux alone')
  const log = path.join(path.dirname(freshFolder(t)), 'strace')
  const child = path.join(__dirname, 'file', 'recorded.js')
  const args = [...ARGS, '-o', log, process.execPath, child, url, `${ROUNDS}`]
  const { ended, lines, stderr } = start(t, 'strace', args)
  const how = await ended
  if (how.error || /ptrace/i.test(stderr())) {
    return t.diagnostic('not tried: strace is not installed, or not allowed')
  }
  assert.deepEqual(how, { code: 0, signal: null }, stderr())
  const events = eventsOf(fs.readFileSync(log, 'utf8'), '/data.mdb')
  assert.equal(events.filter((event) => event.said).length, lines.length, 'all of it was recorded')
  return events
}

/** The disk after some events: what is on it for sure, and what may be. */
class Disk {
  image = Buffer.alloc(0)
  pending = []

  apply({ write, at, durable, flush, size }) {
    if (size !== undefined) this.#grow(size)
    if (write && durable) this.#put(this, write, at)
    else if (write) {
      for (let from = 0; from < write.length; from += PAGE) {
        this.pending.push({ write: write.subarray(from, from + PAGE), at: at + from })
      }
    }
    if (!flush) return
    this.image = this.after(() => true)
    this.pending = []
  }

  /** The file if of the writes that are not flushed those have arrived that `chosen` says. */
  after(chosen) {
    const made = { image: Buffer.from(this.image) }
    for (const { write, at } of this.pending) if (chosen()) this.#put(made, write, at)
    return made.image
  }

  #grow(size) {
    this.image = Buffer.concat([this.image, Buffer.alloc(Math.max(0, size - this.image.length))])
  }

  #put(place, write, at) {
    const missing = at + write.length - place.image.length
    if (missing > 0) place.image = Buffer.concat([place.image, Buffer.alloc(missing)])
    write.copy(place.image, at)
  }
}

/** What must be there after what was said: the number of each sid, or that it is gone. */
function promised(said) {
  const known = new Map()
  for (const [what, sid, n] of said.map((line) => line.split(' '))) {
    known.set(sid, what === 'saved' ? Number(n) : 'gone')
  }
  return known
}

async function check(folder, image, known, mark, why) {
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder)
  fs.writeFileSync(path.join(folder, 'rust-session-store.lock'), mark)
  fs.writeFileSync(path.join(folder, 'data.mdb'), image)
  const store = new RustStore(`file:${folder}`)
  store.on('corrupt', (sid) => assert.fail(`${sid} is damaged, ${why}`))
  try {
    const sessions = await store.all()
    assert.equal(await store.length(), Object.keys(sessions).length, why)
    for (const [sid, { n, text }] of Object.entries(sessions)) {
      assert.equal(text, `${n},`.repeat(300), `${sid} is whole, ${why}`)
    }
    for (const [sid, n] of known) {
      if (n === 'gone') assert.equal(sessions[sid], undefined, `${sid} stays gone, ${why}`)
      // What was not acknowledged may be there, too, and what was removed meanwhile may be gone.
      else if (!sid.startsWith('once')) assert.ok(sessions[sid]?.n >= n, `${sid} ${n}, ${why}`)
    }
    await store.set('after', { n: 1 })
    assert.equal((await store.get('after')).n, 1, why)
  } finally {
    await store.close()
  }
}

for (const durability of ['full', 'normal']) {
  test(`power loss, durability ${durability}`, { timeout: 60_000 + ROUNDS * 20_000 }, async (t) => {
    const recorded = freshFolder(t)
    const events = await record(t, `file:${recorded}?durability=${durability}`)
    if (!events) return
    const mark = fs.readFileSync(path.join(recorded, 'rust-session-store.lock'))
    const folder = freshFolder(t)
    const disk = new Disk()
    let [said, flushed, images] = [[], [], 0]
    for (const [step, event] of events.entries()) {
      if (event.said) said.push(event.said)
      else disk.apply(event)
      // With 'normal', what was said before a flush is kept by that flush.
      if (event.flush) flushed = [...said]
      // Before the first flush there is no file yet: the process was still opening it.
      if (said.length === 0 || event.said) continue
      const known = promised(durability === 'full' ? said : flushed)
      const why = `after step ${step} of ${events.length}`
      const choices = { nothing: () => false, all: () => true, some: () => Math.random() < 0.5 }
      for (const [what, chosen] of Object.entries(choices)) {
        await check(folder, disk.after(chosen), known, mark, `${why}, ${what} of what was left`)
        images++
      }
    }
    assert.ok(said.length > ROUNDS * 4 && images > ROUNDS * 10, `${said.length} ${images}`)
    t.diagnostic(`${images} images of ${events.length} steps, ${said.length} acknowledgements`)
  })
}
