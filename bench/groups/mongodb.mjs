// The MongoDB backend beside connect-mongo, on one server: that of MONGODB_URL, or one that is started
// for it. Says what is measured and what is expected of it; measures nothing itself.
import { createRequire } from 'node:module'
import { interleave, median, pairedRatio, start } from '../processes.mjs'

const servers = createRequire(import.meta.url)('../../__test__/servers/mongodb.js')
const DATABASE = 'rust-session-store-bench'

export const title = 'MongoDB backend, beside connect-mongo on the same server'
export const columns = [
  ['rustMongo', 'RustStore'],
  ['connectMongo', 'connect-mongo'],
]

const [OURS, PEER] = columns.map(([name]) => name)
const IN_FLIGHT = 64

/** `least`: times as fast as the peer; `main`: at most so much of its time of the main thread. */
const SPEED = [
  { row: 'get', title: 'get', least: 1.5, main: 0.3 },
  { row: 'setNew', title: 'set without a base', least: 1.5, main: 0.3 },
  { row: 'touch', title: 'touch', least: 1.5, main: 0.3 },
  { row: 'requestWrite', title: 'get, change, save with its base' },
]

// The server that can be had everywhere takes a millisecond for a write.
export const sizes = {
  full: { population: 1_000, rounds: 7, operations: 1_024 },
  quick: { population: 100, rounds: 1, operations: 128 },
}

export const parts = { mongodbSpeed: speed }

export async function prepare(_size, say) {
  try {
    const base = await servers.sharedUrl()
    for (const [name] of columns) await servers.createCollection(base, DATABASE, name)
    process.env.BENCH_MONGODB_URL = servers.urlOf(base, DATABASE)
  } catch (error) {
    say(`skipped: MongoDB. ${error.message}`, true)
    return undefined
  }
  return async () => {
    await servers.dropDatabase(DATABASE)
    await servers.stopShared()
  }
}

async function speed({ population, rounds, operations }, wanted, say) {
  const plan = SPEED.filter(({ row }) => wanted(row))
  if (!plan.length) return []
  const names = [OURS, PEER]
  const children = new Map(names.map((name) => [name, start(name)]))
  const results = []
  try {
    say('filling')
    for (const name of names) await children.get(name).ask('fill', { count: population })
    for (const one of plan) {
      say(`${one.row}, ${IN_FLIGHT} in flight`)
      const { row } = one
      const args = { row, count: operations, population, concurrency: IN_FLIGHT, batch: operations }
      results.push(...resultsOf(one, population, await interleave(children, names, rounds, args)))
    }
  } finally {
    for (const child of children.values()) child.stop()
  }
  return results
}

function resultsOf({ row, title: operation, least, main }, population, measured) {
  const of = (name, part) => measured[name].map((figure) => figure[part])
  const all = (part) =>
    Object.fromEntries(Object.keys(measured).map((name) => [name, median(of(name, part))]))
  const result = (part, name, target) => ({
    id: row,
    title: `${name}, ${IN_FLIGHT} in flight`,
    sessions: population,
    unit: 'ns',
    values: all(part),
    ratios: { [PEER]: pairedRatio(of(PEER, part), of(OURS, part)) },
    target,
  })
  const times = pairedRatio(of(PEER, 'wall'), of(OURS, 'wall'))
  const share = pairedRatio(of(OURS, 'active'), of(PEER, 'active'))
  const beside = 'connect-mongo'
  const results = [
    {
      ...result('wall', operation, least && { least, beside, value: times }),
      mainThread: all('active'),
      cpu: all('cpu'),
    },
  ]
  if (main) {
    const target = { most: main, beside: `the time of ${beside}`, value: share }
    results.push(result('active', `main thread: ${operation}`, target))
  }
  return results
}
