// Runs the benchmark: reads the flags, runs the groups, prints and keeps the results.
// A new group (another backend beside its peers) is one more line in GROUPS. A group exports `title`,
// `columns` (contenders with their labels, ours first), `sizes`, `parts`, and, where it needs a server,
// `prepare(size, say)`, which resolves a function that ends it, or nothing where it cannot be had.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform } from 'node:os'
import { parseArgs } from 'node:util'
import * as file from './groups/file.mjs'
import * as memory from './groups/memory.mjs'
import * as mongodb from './groups/mongodb.mjs'
import * as redis from './groups/redis.mjs'
import { markdown, terminal, wholeMarkdown } from './report.mjs'
import { svg } from './svg.mjs'

const GROUPS = { memory, file, redis, mongodb }

const USAGE = `npm run bench -- [flags]
  --quick      small and short: shows that the benchmark works, not how fast anything is
  --only NAME  one group, part or row (may be repeated): ${Object.entries(GROUPS)
    .map(([name, { parts }]) => [name, ...Object.keys(parts)].join(', '))
    .join(', ')}, get, touch, walk, ...
  --write      also writes docs/bench.svg and the tables in README.md and docs/benchmark.md;
               with --only, the tables of the groups that are named`

const root = new URL('../', import.meta.url)

function flags() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      console.log(USAGE)
      process.exit()
    }
    if (values.write && (values.quick || values.only.some((name) => !(name in GROUPS)))) {
      throw new Error('--write needs whole groups: without --quick, and --only with groups alone')
    }
    return values
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`)
    process.exit(2)
  }
}

/** One line that moves on in a terminal; `keep` for what has to stay there. */
function say(text, keep = false) {
  if (keep) console.log(process.stderr.isTTY ? `\r\x1b[K${text}` : text)
  else if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

/** Puts a table between the two marks that a page may have for it. */
function fill(page, name, table) {
  const file = new URL(page, root)
  const text = readFileSync(file, 'utf8')
  const pattern = new RegExp(`(<!-- bench:${name} -->\\n)[\\s\\S]*?(<!-- bench:end -->)`)
  const filled = text.replace(pattern, (_, start, end) => `${start}${table}\n${end}`)
  if (filled !== text) writeFileSync(file, filled)
}

function write(name, group, results) {
  if (group.draws) writeFileSync(new URL('docs/bench.svg', root), svg(results, machine))
  fill('README.md', name, markdown(results, group, machine))
  fill('docs/benchmark.md', name, wholeMarkdown(results, group, machine))
}

const { quick, only, write: publish } = flags()
const machine = `Node ${process.version.slice(1)}, ${platform()} ${arch()}, ${cpus().length} CPUs (${cpus()[0]?.model.trim()})`
const started = performance.now()

async function measure(name, group) {
  const size = quick ? group.sizes.quick : group.sizes.full
  const wants = (part, row) => !only.length || [name, part, row].some((one) => only.includes(one))
  const end = await group.prepare?.(size, say)
  if (group.prepare && !end) return []
  try {
    const results = []
    for (const [part, run] of Object.entries(group.parts)) {
      results.push(...(await run(size, (row) => wants(part, row), say)))
    }
    return results
  } finally {
    await end?.()
  }
}

const folder = new URL('results/', import.meta.url)
mkdirSync(folder, { recursive: true })
const stamp = new Date().toISOString().replace(/[:.]/g, '-')
let measured = 0
for (const [name, group] of Object.entries(GROUPS)) {
  const rows = Object.keys(group.parts)
  // A group that needs a server is not started for another's row.
  if (only.length && group.prepare && ![name, ...rows].some((one) => only.includes(one))) continue
  const results = await measure(name, group)
  say('')
  if (!results.length) continue
  measured += results.length
  console.log(`${terminal(results, group)}\n`)
  const record = { date: new Date().toISOString(), machine, quick, only, results }
  writeFileSync(new URL(`${stamp}-${name}.json`, folder), `${JSON.stringify(record, null, 2)}\n`)
  if (publish) write(name, group, results)
}
console.log(
  measured
    ? `${machine}\n${((performance.now() - started) / 1000).toFixed(0)} s`
    : 'nothing was measured',
)
if (!measured && only.length) process.exitCode = 2
if (publish)
  console.log('written: docs/bench.svg, and the tables in README.md and docs/benchmark.md')
