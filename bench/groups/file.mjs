// The file backend beside stores that are embedded, too: each in a folder of its own on the same disk.
// Says what is measured and what is expected of it; measures nothing itself.
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { interleave, median, pairedRatio, start } from '../processes.mjs'

export const title = 'File backend, beside embedded stores on the same disk'
export const columns = [
  ['rustFile', 'RustStore, full'],
  ['rustFileNormal', 'RustStore, normal'],
  ['sqlite', 'better-sqlite3-session-store'],
  ['lmdb', 'lmdb, same JSON'],
  ['lmdbFlushed', 'the same, flushed'],
  ['files', 'session-file-store'],
  ['memory', 'MemoryStore'],
]

let NAMES = columns.map(([name]) => name)
const SLOW = ['files']
const CONCURRENCY = 64

/**
 * What is compared: the time of an operation with 64 in flight, or that of the main thread (`active`).
 * `ours`: whose figure is judged. `least`: times as fast as the peer; `most`: times its time.
 */
const SPEED = [
  {
    row: 'get',
    title: 'get',
    targets: [
      { ours: 'rustFile', peer: 'sqlite', part: 'wall', least: 4 },
      { ours: 'rustFile', peer: 'lmdb', part: 'wall', least: 0.95 },
      { ours: 'rustFile', peer: 'memory', part: 'active', most: 1.2 },
    ],
  },
  {
    row: 'setNew',
    title: 'set, acknowledged after the commit',
    targets: [
      { ours: 'rustFileNormal', peer: 'sqlite', part: 'wall', least: 2.4 },
      { ours: 'rustFile', peer: 'lmdbFlushed', part: 'wall', least: 0.9 },
      { ours: 'rustFile', peer: 'memory', part: 'active', most: 1.8 },
    ],
  },
  { row: 'setBase', title: 'save with its base', targets: [] },
  {
    row: 'touch',
    title: 'touch',
    targets: [{ ours: 'rustFile', peer: 'sqlite', part: 'wall', least: 8 }],
  },
]

export const sizes = {
  full: {
    population: 10_000,
    rounds: 7,
    operations: { get: 40_000, setNew: 8_000, setBase: 8_000, touch: 20_000 },
    slow: 20,
    scale: { sessions: 10_000, count: 200_000, rounds: 5 },
  },
  quick: {
    population: 500,
    rounds: 1,
    operations: { get: 1_000, setNew: 500, setBase: 500, touch: 500 },
    slow: 5,
    scale: { sessions: 500, count: 2_000, rounds: 1 },
  },
}

/** Processes that share a folder. */
const MOST = 4

export const parts = { fileSpeed: speed, fileScale: scale }

/** A folder that the contenders' places are in. */
export async function prepare(_size, say) {
  try {
    const Database = createRequire(import.meta.url)('better-sqlite3')
    new Database(':memory:').close()
  } catch {
    say('left out: better-sqlite3, which could not be built here', true)
    NAMES = NAMES.filter((name) => name !== 'sqlite')
  }
  const folder = mkdtempSync(join(tmpdir(), 'rust-session-store-bench-'))
  process.env.BENCH_FILE_FOLDER = folder
  return () => rmSync(folder, { recursive: true, force: true })
}

async function speed({ population, rounds, operations, slow }, wanted, say) {
  const plan = SPEED.filter(({ row }) => wanted(row))
  if (!plan.length) return []
  const children = new Map(NAMES.map((name) => [name, start(name)]))
  const results = []
  try {
    say('filling')
    for (const name of NAMES) await children.get(name).ask('fill', { count: population })
    for (const { row, title, targets } of plan) {
      say(title)
      const measured = {}
      // One that opens, writes and renames a file for each operation gets fewer of them.
      for (const names of [NAMES.filter((name) => !SLOW.includes(name)), SLOW]) {
        const count = Math.round(operations[row] / (names === SLOW ? slow : 1))
        const args = { row, count, population, concurrency: CONCURRENCY, batch: 1024 }
        Object.assign(measured, await interleave(children, names, rounds, args))
      }
      results.push(...resultsOf({ row, title, targets, population }, measured))
    }
  } finally {
    for (const child of children.values()) child.stop()
  }
  return results
}

function resultsOf({ row, title, targets, population }, measured) {
  const of = (name, part) => measured[name].map((figure) => figure[part])
  const all = (part) => Object.fromEntries(NAMES.map((name) => [name, median(of(name, part))]))
  const [ours, ...peers] = NAMES
  const result = (part, name, target) => ({
    id: row,
    title: name,
    sessions: population,
    unit: 'ns',
    values: all(part),
    ratios: Object.fromEntries(
      peers.map((peer) => [peer, pairedRatio(of(peer, part), of(ours, part))]),
    ),
    target,
  })
  const label = Object.fromEntries(columns)
  const judged = targets
    .filter(({ peer }) => NAMES.includes(peer))
    .map(({ ours, peer, part, least, most }) => {
      const times = pairedRatio(of(peer, part), of(ours, part))
      const who = ours === 'rustFile' ? '' : `, ${label[ours].split(', ')[1]}`
      const name = `${part === 'active' ? 'main thread: ' : ''}${title}${who}`
      const beside = label[peer]
      return result(part, name, { least, most, beside, value: most ? 1 / times : times })
    })
  return judged.length ? judged : [result('wall', title)]
}

/**
 * Gets of several processes on one folder at the same time, as many times those of one process, beside
 * how the machine itself scales: bare JSON.parse of the same texts, where the processes share nothing.
 */
async function scale({ scale: { sessions, count, rounds } }, wanted, say) {
  if (!wanted('scale')) return []
  process.env.BENCH_FILE_PLACE = 'shared'
  const groups = ['bare', 'rustFile'].map((name) => Array.from({ length: MOST }, () => start(name)))
  delete process.env.BENCH_FILE_PLACE
  const [bare, ours] = groups.map(() => ({ times: [], rates: [] }))
  try {
    say('several processes')
    // All of them the same sessions.
    for (const child of groups.flat()) await child.ask('fill', { count: sessions })
    const args = { row: 'get', count, population: sessions, concurrency: CONCURRENCY, first: false }
    for (let round = -1; round < rounds; round++) {
      for (const [measured, children] of [
        [bare, groups[0]],
        [ours, groups[1]],
      ]) {
        const [one, all] = [await rate(children.slice(0, 1), args), await rate(children, args)]
        if (round < 0) continue
        measured.times.push(all / one)
        measured.rates.push(all)
      }
    }
  } finally {
    for (const child of groups.flat()) child.stop()
  }
  const value = pairedRatio(ours.times, bare.times)
  const times = ({ times }) => `${median(times).toFixed(2)}x`
  return [
    {
      id: 'scale',
      title: `get: ${MOST} processes ${times(ours)} one, on ${cpus().length} cores (bare JSON.parse ${times(bare)})`,
      sessions,
      unit: 'ns',
      values: { rustFile: 1e6 / median(ours.rates), floor: 1e6 / median(bare.rates) },
      ratios: {},
      target: { least: 0.9, beside: 'bare JSON.parse', value },
    },
  ]
}

/** Operations in a ms of all these processes together. */
async function rate(children, args) {
  const from = performance.now()
  await Promise.all(children.map((child) => child.ask('round', args)))
  return (args.count * children.length) / (performance.now() - from)
}
