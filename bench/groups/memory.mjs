// The memory backend beside the stores that also keep sessions in the process.
// Says what is measured and what is expected of it; measures nothing itself.
import { interleave, median, once, pairedRatio, start } from '../processes.mjs'
import { times } from '../report.mjs'
import { compareUnderExpress } from '../wrk.mjs'

export const title = 'Memory backend, beside the stores that keep sessions in the process'
export const columns = [
  ['rust', 'RustStore'],
  ['memory', 'MemoryStore'],
  ['memorystore', 'memorystore'],
]
/** Its rows are those of the picture in the README. */
export const draws = true

const OURS = 'rust'
const PEERS = ['memory', 'memorystore']
const FLOOR = 'noop'

/** `least` and `most` are targets. They are printed beside the result and never asserted. */
const SPEED = [
  { row: 'get', title: 'get', against: 'memory', least: 1.1 },
  { row: 'setBase', title: 'set with its base', against: 'memory', least: 1 },
  { row: 'touch', title: 'touch', against: 'memory', least: 20 },
  { row: 'getTouch', title: 'get then touch', against: 'memory', least: 3.5 },
  { row: 'setNew', title: 'set without a base', against: 'memory' },
  { row: 'requestRead', title: 'whole request that reads', against: 'memory' },
  { row: 'requestWrite', title: 'whole request that writes', against: 'memory' },
  { row: 'login', title: 'set under a new sid, then destroy', against: 'memory' },
]

const BARE = [
  { row: 'get', title: 'get beside bare JSON.parse', most: 1.35 },
  { row: 'setNew', title: 'set without a base beside bare JSON.stringify', most: 1.4 },
]

export const sizes = {
  full: {
    populations: [
      { count: 10_000, rounds: 15, operations: 20_000 },
      { count: 1_000_000, rounds: 9, operations: 20_000 },
    ],
    million: 1_000_000,
    delay: { runs: 3, spreadMs: 2000, graceMs: 6000 },
    express: { sessions: 10_000, pairs: 10, warmUp: 2, seconds: 3 },
  },
  quick: {
    populations: [{ count: 2_000, rounds: 3, operations: 2_000 }],
    million: 20_000,
    delay: { runs: 1, spreadMs: 200, graceMs: 1500 },
    express: { sessions: 1_000, pairs: 1, warmUp: 0, seconds: 1 },
  },
}

export const parts = { speed, resident, delay, express: underExpress }

async function speed(size, wanted, say) {
  const results = []
  const plan = SPEED.filter(({ row }) => wanted(row))
  for (const { count, rounds, operations } of plan.length ? size.populations : []) {
    const names = [OURS, ...PEERS, FLOOR, 'bare']
    const children = new Map(names.map((name) => [name, start(name)]))
    try {
      say(`filling ${names.length - 1} stores with ${count.toLocaleString('en')} sessions`)
      for (const name of names) await children.get(name).ask('fill', { count })
      for (const { row, ...rest } of plan) {
        say(`${row}, ${count.toLocaleString('en')} sessions`)
        const args = { row, count: operations, population: count }
        const hasBare = BARE.some((bare) => bare.row === row)
        const asked = names.filter((name) => name !== 'bare' || hasBare)
        const measured = await interleave(children, asked, rounds, args)
        results.push(...speedResults({ row, ...rest }, count, measured))
      }
    } finally {
      for (const child of children.values()) child.stop()
    }
  }
  return results
}

function speedResults(plan, sessions, measured) {
  const times = (name, part = 'wall') => measured[name].map((figure) => figure[part])
  const all = (part) =>
    Object.fromEntries(
      Object.keys(measured).map((name) => [name, median(measured[name].map((f) => f[part]))]),
    )
  const result = {
    id: plan.row,
    title: plan.title,
    sessions,
    unit: 'ns',
    values: all('wall'),
    mainThread: all('active'),
    cpu: all('cpu'),
    ratios: Object.fromEntries(PEERS.map((name) => [name, pairedRatio(times(name), times(OURS))])),
    target: plan.least && { against: plan.against, least: plan.least },
  }
  if (plan.least) result.target.value = result.ratios[plan.against]

  const bare = BARE.find(({ row }) => row === plan.row)
  if (!bare) return [result]
  const value = pairedRatio(times(OURS), times('bare'))
  return [
    result,
    {
      id: `${plan.row}Bare`,
      title: bare.title,
      sessions,
      unit: 'ns',
      values: { rust: result.values.rust, bare: result.values.bare },
      ratios: {},
      target: { against: 'bare', most: bare.most, value },
    },
  ]
}

async function resident(size, wanted, say) {
  if (!wanted('resident') && !wanted('length')) return []
  const count = size.million
  const bytes = {}
  const lengths = {}
  for (const name of [OURS, ...PEERS]) {
    say(`resident bytes and length: ${name}`)
    const result = await once(name, 'resident', { count, calls: name === OURS ? 21 : 3 })
    bytes[name] = result.bytes
    lengths[name] = median(result.lengths)
  }
  const ratios = (values) =>
    Object.fromEntries(PEERS.map((name) => [name, values[name] / values[OURS]]))
  return [
    {
      id: 'resident',
      title: 'resident bytes per session',
      sessions: count,
      unit: 'bytes',
      values: bytes,
      ratios: ratios(bytes),
      target: { most: 600, value: bytes[OURS], unit: 'bytes' },
    },
    {
      id: 'length',
      title: 'length',
      sessions: count,
      unit: 'ms',
      values: lengths,
      ratios: ratios(lengths),
      target: { most: 1, value: lengths[OURS], unit: 'ms' },
    },
  ]
}

/** Several runs of ours and of the idle loop: a p99.9 is decided by a handful of samples. */
async function delay(size, wanted, say) {
  const results = []
  const { runs: times, ...window } = size.delay
  const args = { count: size.million, ...window }
  for (const { id, command, title, peers } of [
    {
      id: 'expiry',
      command: 'expire',
      title: 'event-loop delay while all expire, p99.9',
      peers: ['memorystore'],
    },
    {
      id: 'walk',
      command: 'walk',
      title: 'event-loop delay while entries() walks all, p99.9',
      peers: PEERS,
    },
  ]) {
    if (!wanted(id)) continue
    const runs = { [OURS]: [], idle: [] }
    for (let i = 0; i < times; i++) {
      say(`${title}: run ${i + 1}`)
      runs[OURS].push(await once(OURS, command, args))
      const ms = runs[OURS].at(-1).seconds * 1000
      runs.idle.push(await once(FLOOR, 'idle', { ms }))
    }
    for (const name of peers) {
      say(`${title}: ${name}`)
      runs[name] = [await once(name, command, args)]
    }
    const values = Object.fromEntries(
      Object.entries(runs).map(([name, list]) => [name, median(list.map((run) => run.p999))]),
    )
    results.push({
      id,
      title,
      sessions: size.million,
      unit: 'ms',
      values,
      ratios: Object.fromEntries(peers.map((name) => [name, values[name] / values[OURS]])),
      runs,
      target: { most: 5, value: values[OURS], unit: 'ms' },
    })
  }
  return results
}

const EXPRESS = [
  { id: 'expressRead', path: '/read', title: 'Express, request that reads: CPU', most: 1.05 },
  { id: 'expressWrite', path: '/write', title: 'Express, request that writes: CPU', most: 1.05 },
]

async function underExpress(size, wanted, say) {
  const kinds = EXPRESS.filter(({ id }) => wanted(id))
  const names = ['rust', 'noop', 'memory', 'json']
  const measured = await compareUnderExpress(names, kinds, size.express, say)
  return measured.flatMap(({ kind: { id, title: row, most }, cpu }) => {
    const { sessions } = size.express
    const { json, ...values } = Object.fromEntries(names.map((name) => [name, median(cpu[name])]))
    const toNoop = (name) => pairedRatio(cpu[name], cpu[FLOOR])
    return [
      {
        id,
        title: row,
        sessions,
        unit: 'us',
        values,
        ratios: { memory: pairedRatio(cpu.memory, cpu.rust) },
        target: { against: FLOOR, most, value: toNoop('rust') },
      },
      {
        id: `${id}Json`,
        title: `${row}, JSON alone`,
        sessions,
        unit: 'us',
        values: { json },
        ratios: {},
        note: `JSON alone: ${times(toNoop('json'))} no-op store`,
      },
    ]
  })
}
