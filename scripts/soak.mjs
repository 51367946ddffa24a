// `node scripts/soak.mjs [seconds]`: four processes share a folder and do what an app does with it, at
// a steady number of sessions. Prints memory and the size of the file; fails where either grows. Ten
// minutes unless told otherwise; __test__/file-soak.test.js runs it for a few seconds.
import './node-version.mjs'
import { fork } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import url from 'node:url'
import { Failure, say, script } from './tools.mjs'

const SELF = url.fileURLToPath(import.meta.url)
const PROCESSES = 4
const SESSIONS = 500
// Sessions of visitors who never come back: they end, and their room is used again.
const MAX_AGE_MS = 2_000
const IN_FLIGHT = 16
// Of each process: steady, so that the number of sessions is.
const OPERATIONS_PER_SECOND = 1_000
// A process that has not answered for so long hangs.
const LONGEST_MS = 60_000
/** Samples of which the first part is not judged: caches fill, and code is compiled. */
const WARM_UP = 0.5
/** How many times as much the end may have as the middle; of the file: for each session, see `soak`. */
const GROWTH = { memory: 1.25, file: 1.15 }

/** One process: reads, saves with a base, touches, logs in and out, leaves sessions to their end. */
async function load(place, name) {
  const { RustStore } = createRequire(import.meta.url)('../index.js')
  const store = new RustStore({ url: place, commandTimeout: 30_000 })
  let done = 0
  let failed = 0
  let next = 0
  let visitors = 0
  // When those who are not over yet will be: not asked of the store, which is judged by it.
  let ends = []
  const cookie = (ms) => ({
    originalMaxAge: ms,
    expires: new Date(Date.now() + ms),
    httpOnly: true,
    path: '/',
  })
  const text = () => 'x'.repeat(Math.floor(Math.random() * 3_000))
  const acts = [
    async (sid) => {
      const session = await store.get(sid)
      if (session === undefined) return store.set(sid, { cookie: cookie(3_600_000), text: text() })
      session.text = text()
      await store.set(sid, session)
    },
    async (sid) => {
      const session = await store.get(sid)
      if (session === undefined) return
      session.cookie.expires = new Date(Date.now() + 3_600_000)
      await store.touch(sid, session)
    },
    (sid) => store.get(sid),
    (sid) => (Math.random() < 0.2 ? store.destroy(sid) : store.get(sid)),
    () => {
      ends.push(Date.now() + MAX_AGE_MS)
      return store.set(`${name}-${visitors++}`, { cookie: cookie(MAX_AGE_MS), text: text() })
    },
  ]
  const work = async () => {
    for (;;) {
      // Time in which the machine was busy with something else is not made up for.
      const early = next - performance.now()
      next += 1000 / OPERATIONS_PER_SECOND - Math.min(early, 0)
      if (early > 0) await sleep(early)
      const sid = `s${Math.floor(Math.random() * SESSIONS)}`
      try {
        await acts[Math.floor(Math.random() * acts.length)](sid)
      } catch (error) {
        failed++
        if (failed < 5) console.error(`${name}: ${error.code} ${error.message}`)
      }
      done++
    }
  }
  process.on('message', () => {
    globalThis.gc?.()
    ends = ends.filter((end) => end > Date.now())
    process.send({ done, failed, visitors: ends.length, rss: process.memoryUsage().rss })
  })
  process.on('disconnect', () => process.exit())
  for (let i = 0; i < IN_FLIGHT; i++) work()
}

function ask(child) {
  return new Promise((resolve, reject) => {
    const ended = (code, signal) => reject(new Failure(`a process ended: ${signal ?? code}`))
    const late = () => reject(new Failure(`a process did not answer within ${LONGEST_MS} ms`))
    const timer = setTimeout(late, LONGEST_MS)
    child.once('exit', ended)
    child.once('message', (state) => {
      clearTimeout(timer)
      child.off('exit', ended)
      resolve(state)
    })
    child.send('sample')
  })
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1]

/**
 * What has grown: in the samples of the second half, the later ones have more than `growth` times as
 * much as those before. Something that grows for ever shows at any length of the run.
 */
function grown(samples, growth, report) {
  const judged = samples.slice(Math.floor(samples.length * WARM_UP))
  const half = judged.length >> 1
  return Object.keys(GROWTH).flatMap((name) => {
    const middle = median(judged.slice(0, half).map((sample) => sample[name]))
    const end = median(judged.slice(half).map((sample) => sample[name]))
    report(`${name}: ${(end / middle).toFixed(3)} times as much at the end as before`)
    if (end <= middle * (growth[name] ?? Number.POSITIVE_INFINITY)) return []
    return `${name} grows: ${Math.round(middle)} bytes became ${Math.round(end)}`
  })
}

/**
 * Runs for so many seconds. Resolves the samples; fails where something grows by more than `growth` says. On a
 * machine whose other load changes, so does the number of sessions; and a file stays as large as it ever
 * had to be. So it is judged by what it has for each session, of the most that there were. And where the
 * machine holds a reader up, what that reader sees cannot be used again: the file grows once, as a
 * leak does always. So what seems to grow runs twice as long, until `longest`, in seconds.
 */
export async function soak(seconds, { report = say, growth = GROWTH, longest = seconds } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-'))
  const place = `file:${path.join(folder, 'sessions')}?durability=normal`
  // Not with our output: one that hangs would hold it, and whoever reads that would wait for its end.
  const stdio = ['ignore', 'ignore', 'pipe', 'ipc']
  const children = Array.from({ length: PROCESSES }, (_, i) => {
    const child = fork(SELF, ['--load', place, `p${i}`], { execArgv: ['--expose-gc'], stdio })
    child.stderr.on('data', (chunk) => process.stderr.write(chunk))
    return child
  })
  const samples = []
  const every = Math.max(500, (seconds * 1000) / 60)
  const from = Date.now()
  let most = 0
  const sample = async () => {
    const states = await Promise.all(children.map(ask))
    const sum = (name) => states.reduce((total, state) => total + state[name], 0)
    const { size } = fs.statSync(path.join(folder, 'sessions', 'data.mdb'))
    most = Math.max(most, SESSIONS + sum('visitors'))
    const [memory, done, failed] = [sum('rss'), sum('done'), sum('failed')]
    samples.push({ memory, file: size / most, done, failed })
    const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
    report(
      `${((Date.now() - from) / 1000).toFixed(0).padStart(4)} s  ${done} operations, ` +
        `${failed} failed, memory ${mib(memory)}, at most ${most} sessions, file ${mib(size)}`,
    )
    if (failed) throw new Failure(`${failed} operations failed`)
  }
  try {
    for (let until = seconds; ; until *= 2) {
      while (Date.now() - from < until * 1000) {
        await sleep(every)
        await sample()
      }
      const faults = grown(samples, growth, report)
      if (faults.length === 0) return samples
      if (until * 2 > longest) throw new Failure(faults.join('; '))
    }
  } finally {
    for (const child of children) child.kill('SIGKILL')
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[2] === '--load') load(process.argv[3], process.argv[4])
else {
  script(import.meta.url, async () => {
    await soak(Number(process.argv[2] ?? 600))
  })
}
