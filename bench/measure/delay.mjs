// How late the event loop is while a store works in the background or is walked.
// The histogram is Node's own, at its finest resolution of 1 ms. It records the time from one of
// its timers to the next, so a loop that is never late shows a little over 1 ms, not 0.
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { newSession, sidOf } from '../session.mjs'
import { fill } from './ops.mjs'

const TRAFFIC_EVERY_MS = 5
const TRAFFIC_SIDS = 100

/** Watches the loop while `work` runs; the parts in ms. */
async function watch(work) {
  globalThis.gc()
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  histogram.enable()
  await sleep(50)
  // After a reset the first timer is not recorded: it has to have fired before the work begins.
  histogram.reset()
  await sleep(20)
  const start = performance.now()
  const before = process.cpuUsage()
  const extra = await work()
  // One more turn: the delay that the last piece of work caused is recorded by the next timer.
  await sleep(5)
  histogram.disable()
  const cpu = process.cpuUsage(before)
  const ms = (nanoseconds) => nanoseconds / 1e6
  return {
    p50: ms(histogram.percentile(50)),
    p99: ms(histogram.percentile(99)),
    p999: ms(histogram.percentile(99.9)),
    max: ms(histogram.max),
    samples: histogram.count,
    seconds: (performance.now() - start) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    ...extra,
  }
}

export function whileIdle(ms) {
  return watch(async () => {
    const stop = traffic()
    await sleep(ms)
    stop()
  })
}

/** A few requests, so that the loop is not asleep; the idle loop has the same timer without them. */
function traffic(store) {
  let n = 0
  const timer = setInterval(() => {
    const sid = sidOf(-1 - (n++ % TRAFFIC_SIDS))
    store?.get(sid, () => {})
  }, TRAFFIC_EVERY_MS)
  return () => clearInterval(timer)
}

/** All expire within `spreadMs`; then the store has `graceMs` to remove what is still there. */
export async function whileExpiring(contender, { count, spreadMs, graceMs }) {
  const store = contender.open({ prune: true })
  const clear = () => new Promise((resolve) => store.clear(resolve))

  // All expiries have to lie after the last set, so the pace of filling is measured first. Where
  // it then turns out to be slower, once more with more time.
  const sample = Math.min(count, 20_000)
  const start = performance.now()
  await fill(store, sample)
  let fillMs = ((performance.now() - start) / sample) * count * 1.7 + 2000
  for (; ; fillMs *= 2) {
    await clear()
    const due = Date.now() + fillMs
    for (let i = 1; i <= TRAFFIC_SIDS; i++) {
      await new Promise((resolve) => store.set(sidOf(-i), newSession(i, sidOf(-i)), resolve))
    }
    await fillExpiring(store, count, due, spreadMs)
    const early = due - Date.now()
    if (early < 100) continue
    await sleep(early - 100)
    break
  }
  const expiredBefore = store.stats ? (await store.stats()).expired : 0

  const result = await watch(async () => {
    const stop = traffic(store)
    await sleep(spreadMs + graceMs)
    stop()
  })
  const left = await new Promise((resolve) => store.length((_error, length) => resolve(length)))
  const removed = store.stats
    ? (await store.stats()).expired - expiredBefore
    : count + TRAFFIC_SIDS - left
  return { ...result, left: left - TRAFFIC_SIDS, removed }
}

async function fillExpiring(store, count, due, spreadMs) {
  const piece = Math.ceil(count / 1000)
  for (let from = 0; from < count; from += piece) {
    const expires = due + (from / count) * spreadMs
    for (let i = from; i < Math.min(count, from + piece); i++) {
      const sid = sidOf(i)
      store.set(sid, newSession(i, sid, Math.round(expires - Date.now())), () => {})
    }
    await new Promise(setImmediate)
  }
}

export async function whileWalking(contender, { count }) {
  const store = contender.open()
  await fill(store, count)
  return watch(async () => {
    let visited = 0
    await contender.walk(store, () => {
      visited++
    })
    if (visited !== count) throw new Error(`the walk visited ${visited} of ${count} sessions`)
  })
}
