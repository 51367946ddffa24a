// Runs the benchmark: reads the flags, runs the groups, prints and keeps the results.
// A new group (another backend beside its peers) is one more line in GROUPS.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform } from 'node:os'
import { parseArgs } from 'node:util'
import * as express from './groups/express.mjs'
import * as memory from './groups/memory.mjs'
import { markdown, terminal, wholeMarkdown } from './report.mjs'
import { svg } from './svg.mjs'

const GROUPS = { memory, express }

const USAGE = `npm run bench -- [flags]
  --quick      small and short: shows that the benchmark works, not how fast anything is
  --only NAME  one group, part or row (may be repeated): ${Object.entries(GROUPS)
    .map(([name, { parts }]) => [name, ...Object.keys(parts)].join(', '))
    .join(', ')}, get, touch, walk, ...
  --write      also writes docs/bench.svg and the tables in README.md and docs/benchmark.md`

const root = new URL('../', import.meta.url)
const results = []

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
    if (values.write && (values.quick || values.only.length)) {
      throw new Error('--write needs a whole run: without --quick and --only')
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

function write() {
  writeFileSync(new URL('docs/bench.svg', root), svg(results, machine))
  fill('README.md', markdown(results, machine))
  fill('docs/benchmark.md', wholeMarkdown(results, machine))
  console.log('\nwritten: docs/bench.svg, and the tables in README.md and docs/benchmark.md')
}

/** Puts a table between the two marks that a page has for it. */
function fill(page, table) {
  const file = new URL(page, root)
  const text = readFileSync(file, 'utf8')
  const pattern = /(<!-- bench:start -->\n)[\s\S]*?(<!-- bench:end -->)/
  if (!pattern.test(text))
    throw new Error(`${page} has no <!-- bench:start --> and <!-- bench:end -->`)
  writeFileSync(
    file,
    text.replace(pattern, (_, start, end) => `${start}${table}\n${end}`),
  )
}

const { quick, only, write: publish } = flags()
const machine = `Node ${process.version.slice(1)}, ${platform()} ${arch()}, ${cpus().length} CPUs (${cpus()[0]?.model.trim()})`
const started = performance.now()

for (const [groupName, group] of Object.entries(GROUPS)) {
  const size = quick ? group.sizes.quick : group.sizes.full
  for (const [partName, part] of Object.entries(group.parts)) {
    const wanted = (row) =>
      !only.length || [groupName, partName, row].some((name) => only.includes(name))
    results.push(...(await part(size, wanted, say)))
  }
}
say('')
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
if (!results.length) {
  console.log('nothing was measured')
  process.exit(only.length ? 2 : 0)
}

console.log(terminal(results, machine))
console.log(`${((performance.now() - started) / 1000).toFixed(0)} s`)
const folder = new URL('results/', import.meta.url)
mkdirSync(folder, { recursive: true })
const record = { date: new Date().toISOString(), machine, quick, only, results }
const stamp = record.date.replace(/[:.]/g, '-')
writeFileSync(new URL(`${stamp}.json`, folder), `${JSON.stringify(record, null, 2)}\n`)
writeFileSync(new URL('bench.svg', folder), svg(results, machine))
writeFileSync(new URL('bench.md', folder), `${markdown(results, machine)}\n`)
if (publish) write()
