'use strict'
// Child process, in a mount namespace of its own: fills a small disk, and checks that what was stored
// is kept, that the error says what to do, and that all goes on once there is space.

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { RustStore } = require('../..')

const [, , mount] = process.argv
const plain = (data) => ({ cookie: { ...COOKIE, expires: inAnHour() }, ...data })
const COOKIE = { originalMaxAge: 3_600_000, httpOnly: true, path: '/' }
const inAnHour = () => new Date(Date.now() + 3_600_000)

async function main() {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'none', mount])
  } catch {
    console.log('cannot mount')
    return
  }
  const folder = path.join(mount, 'sessions')
  const ballast = path.join(mount, 'ballast')
  // Room that is there again later.
  fs.writeFileSync(ballast, Buffer.alloc(2 << 20))
  const store = new RustStore({ url: `file:${folder}`, commandTimeout: 60_000 })
  const kept = new Map()
  let refused
  for (let n = 0; refused === undefined; n++) {
    assert.ok(n < 10_000, 'the disk is never full')
    const sids = Array.from({ length: 8 }, (_, i) => `s${n}-${i}`)
    const saves = sids.map((sid) => store.set(sid, plain({ n, text: 'x'.repeat(3_000) })))
    for (const [i, save] of (await Promise.allSettled(saves)).entries()) {
      if (save.status === 'fulfilled') kept.set(sids[i], n)
      else refused = save.reason
    }
  }
  assert.equal(refused.code, 'ERR_STORE_UNAVAILABLE')
  assert.equal(refused.retryable, true)
  assert.match(refused.message, /the disk is full/)
  assert.ok(kept.size > 100, `${kept.size} fitted`)
  const checkAll = async (other) => {
    for (const [sid, n] of kept) assert.equal((await other.get(sid))?.n, n, sid)
  }
  await checkAll(store)
  // A touch is answered, and kept for later.
  const held = await store.get('s0-0')
  held.cookie.expires = new Date(Date.now() + 172_800_000)
  await store.touch('s0-0', held)
  fs.rmSync(ballast)
  await store.set('after', plain({ n: 0 }))
  await store.destroy('s1-0')
  kept.delete('s1-0')
  await store.close()
  const again = new RustStore(`file:${folder}`)
  await checkAll(again)
  assert.equal((await again.get('after')).n, 0)
  assert.equal(await again.get('s1-0'), undefined)
  assert.ok(new Date((await again.get('s0-0')).cookie.expires) > Date.now() + 170_000_000)
  await again.close()
  console.log('passed')
}

main().catch((error) => {
  console.log(error.stack)
  process.exitCode = 1
})
