// The Redis backend beside connect-redis, on one server that is started for it.
// Says what is measured and what is expected of it; measures nothing itself.
import { createRequire } from 'node:module'
import { interleave, median, pairedRatio, start } from '../processes.mjs'
import { compareUnderExpress } from '../wrk.mjs'

// It needs Node.js alone, and no package of the tests.
const servers = createRequire(import.meta.url)('../../__test__/servers/redis.js')

export const title = 'Redis backend, beside connect-redis on the same server'
export const columns = [
  ['rustRedis', 'RustStore'],
  ['redis5', 'connect-redis, redis 5'],
  ['redis6', 'connect-redis, redis 6'],
]

const [OURS, ...PEERS] = columns.map(([name]) => name)
const OTHER = { redis5: 'redis 5', redis6: 'redis 6' }

/**
 * `part` is what is compared: `wall`, the time of an operation with so many in flight, or `active`, the
 * time of the main thread. `least`: times as fast as the peer; `most`: times its time.
 */
const SPEED = [
  { row: 'get', concurrency: 256, against: { redis5: { least: 1.25 } } },
  { row: 'setNew', concurrency: 256, against: { redis5: { least: 1.1 } } },
  { row: 'touch', concurrency: 256, against: { redis5: { least: 1.5 } } },
  { row: 'requestWrite', concurrency: 256, against: { redis5: { least: 0.9 } } },
  { row: 'get', concurrency: 64, against: { redis6: { least: 2.5 } }, main: 0.8 },
  { row: 'setNew', concurrency: 64, against: { redis6: { least: 1.8 } }, main: 0.8 },
  { row: 'touch', concurrency: 64, against: { redis6: { least: 2.5 } }, main: 0.5 },
  { row: 'requestWrite', concurrency: 64, against: { redis5: { least: 0.9 } } },
  { row: 'get', concurrency: 16 },
  { row: 'setNew', concurrency: 16 },
  { row: 'touch', concurrency: 16 },
  { row: 'get', concurrency: 1, against: { redis5: { most: 1.15 } } },
  { row: 'touch', concurrency: 1, against: { redis5: { most: 1.15 } } },
  { row: 'setBase', concurrency: 1, against: { redis5: { most: 1.3 } } },
]

const TITLES = {
  get: 'get',
  setNew: 'set without a base',
  setBase: 'save with its base',
  touch: 'touch',
  requestWrite: 'get, change, save with its base',
}

export const sizes = {
  full: {
    population: 10_000,
    rounds: 9,
    operations: { 1: 2_000, 16: 10_000, 64: 20_000, 256: 40_000 },
    sizes: { population: 1_000, rounds: 5, operations: 400, bytes: 100e6 },
    express: { sessions: 10_000, pairs: 10, warmUp: 2, seconds: 3 },
  },
  quick: {
    population: 1_000,
    rounds: 1,
    operations: { 1: 200, 16: 500, 64: 1_000, 256: 1_000 },
    sizes: { population: 300, rounds: 1, operations: 50, bytes: 5e6 },
    express: { sessions: 1_000, pairs: 1, warmUp: 0, seconds: 1 },
  },
}

/** How the cost grows with the size of a session. */
const SIZES = [100, 1_000, 10_000, 100_000]
const SIZED = ['get', 'setNew']

export const parts = { redisSpeed: speed, redisSizes: bySize, redisExpress: underExpress }

/** Starts a server of its own, which writes nothing to the disk; nothing where there is none to start. */
export async function prepare(_size, say) {
  const why = servers.missing()
  if (why) {
    say(`skipped: Redis, because ${why} (Debian: redis-server)`, true)
    return undefined
  }
  const server = await servers.startRedis('--appendonly', 'no')
  process.env.BENCH_REDIS_URL = server.url
  return () => server.end()
}

/** A few times as many as are in flight, and no more: an app has no more sessions at once either. */
const batchOf = (concurrency) => Math.max(192, concurrency * 4)

async function speed({ population, rounds, operations }, wanted, say) {
  const plan = SPEED.filter(({ row }) => wanted(row))
  if (!plan.length) return []
  const names = [OURS, ...PEERS]
  const children = new Map(names.map((name) => [name, start(name)]))
  const results = []
  try {
    say('filling')
    for (const name of names) await children.get(name).ask('fill', { count: population })
    for (const { row, concurrency, against = {}, main } of plan) {
      say(`${row}, ${concurrency} in flight`)
      const count = operations[concurrency]
      const batch = batchOf(concurrency)
      const args = { row, count, population, concurrency, batch }
      const measured = await interleave(children, names, rounds, args)
      results.push(...resultsOf({ row, concurrency, against, main, population }, measured))
    }
  } finally {
    for (const child of children.values()) child.stop()
  }
  return results
}

function resultsOf({ row, concurrency, against, main, population }, measured) {
  const of = (name, part) => measured[name].map((figure) => figure[part])
  const all = (part) =>
    Object.fromEntries(Object.keys(measured).map((name) => [name, median(of(name, part))]))
  const [[peer, bounds] = []] = Object.entries(against)
  const ratio = (name, part) => pairedRatio(of(name, part), of(OURS, part))
  const result = (part, name, target) => ({
    id: row,
    title: `${name}, ${concurrency} in flight`,
    sessions: population,
    unit: 'ns',
    values: all(part),
    ratios: Object.fromEntries(PEERS.map((one) => [one, ratio(one, part)])),
    target,
  })
  const target = peer && {
    ...bounds,
    beside: OTHER[peer],
    value: bounds.most ? 1 / ratio(peer, 'wall') : ratio(peer, 'wall'),
  }
  const results = [
    { ...result('wall', TITLES[row], target), mainThread: all('active'), cpu: all('cpu') },
  ]
  if (main) {
    const value = 1 / ratio('redis5', 'active')
    const bound = { most: main, beside: `the time of ${OTHER.redis5}`, value }
    results.push(result('active', `main thread: ${TITLES[row]}`, bound))
  }
  return results
}

async function bySize({ sizes }, wanted, say) {
  const results = []
  const names = [OURS, ...PEERS]
  for (const bytes of wanted('redisSizes') ? SIZES : []) {
    say(`sessions of ${bytes} bytes`)
    const children = new Map(names.map((name) => [name, start(name)]))
    try {
      for (const name of names) {
        await children.get(name).ask('fill', { count: sizes.population, bytes })
      }
      for (const concurrency of [1, 64]) {
        const count = Math.min(sizes.operations * concurrency, sizes.bytes / bytes)
        for (const row of SIZED) {
          const { population, rounds } = sizes
          const args = { row, count, population, concurrency, batch: batchOf(concurrency) }
          const measured = await interleave(children, names, rounds, args)
          const [result] = resultsOf({ row, concurrency, against: {}, population }, measured)
          const size = bytes < 1000 ? `${bytes} B` : `${bytes / 1000} kB`
          results.push({ ...result, id: 'redisSizes', title: `${size}: ${result.title}` })
        }
      }
    } finally {
      for (const child of children.values()) child.stop()
    }
  }
  return results
}

const EXPRESS = [
  { id: 'redisRead', path: '/read', title: 'Express, request that reads' },
  { id: 'redisWrite', path: '/write', title: 'Express, request that writes' },
]

async function underExpress({ express }, wanted, say) {
  const kinds = EXPRESS.filter(({ id }) => wanted(id))
  const measured = await compareUnderExpress([OURS, ...PEERS], kinds, express, say)
  const row = (kind, what, figures, most) => ({
    id: kind.id,
    title: `${kind.title}: ${what}`,
    sessions: express.sessions,
    unit: 'us',
    values: Object.fromEntries(Object.entries(figures).map(([name, list]) => [name, median(list)])),
    ratios: Object.fromEntries(
      PEERS.map((name) => [name, pairedRatio(figures[name], figures[OURS])]),
    ),
    target: {
      most,
      beside: OTHER.redis5,
      value: pairedRatio(figures[OURS], figures.redis5),
    },
  })
  return measured.flatMap(({ kind, cpu, mainThread }) => [
    row(kind, 'main thread', mainThread, 1),
    row(kind, 'CPU', cpu, 1.2),
  ])
}
