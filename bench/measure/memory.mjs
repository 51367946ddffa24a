// Resident bytes per session, and how long `length` takes, in a fresh child process.
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fill } from './ops.mjs'

/** Rounds of overwriting that let the engine compile its code and grow its young generation. */
const WARM_ROUNDS = 40
const WARM_SESSIONS = 1000

async function residentBytes() {
  globalThis.gc()
  await sleep(100)
  globalThis.gc()
  return process.memoryUsage.rss()
}

/** `before` is taken after the warm-up, so that what grows once is not counted as sessions. */
export async function resident(contender, count, calls) {
  const store = contender.open()
  for (let i = 0; i < WARM_ROUNDS; i++) await fill(store, WARM_SESSIONS)
  const before = await residentBytes()
  await fill(store, count)
  const after = await residentBytes()
  const lengths = []
  for (let i = 0; i < calls; i++) lengths.push(await length(store, count))
  return { bytes: (after - before) / (count - WARM_SESSIONS), lengths }
}

function length(store, expected) {
  const start = performance.now()
  return new Promise((resolve, reject) => {
    store.length((error, value) => {
      const ms = performance.now() - start
      if (error || value !== expected) reject(error || new Error(`length is ${value}`))
      else resolve(ms)
    })
  })
}
