// Turns results into a terminal table and into the table of the README. Knows no store by heart:
// what has no value is a dash.
const COLUMNS = [
  ['rust', 'RustStore'],
  ['memory', 'MemoryStore'],
  ['memorystore', 'memorystore'],
]
const FLOORS = { noop: 'no-op store', bare: 'bare JSON', idle: 'idle loop' }

const grouped = (value, digits = 0) =>
  value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })

export function amount(value, unit) {
  if (value === undefined) return '-'
  if (unit === 'bytes') return `${grouped(value)} B`
  if (unit === 'ms') {
    if (value >= 1000) return `${grouped(value / 1000, 1)} s`
    return value >= 0.1 ? `${grouped(value, 1)} ms` : `${grouped(value * 1000, 1)} us`
  }
  if (unit === 'us') return `${grouped(value, 1)} us`
  return value < 1000 ? `${grouped(value)} ns` : `${grouped(value / 1000, 2)} us`
}

export function times(ratio) {
  if (ratio === undefined) return '-'
  if (ratio >= 1000) return `${grouped(Number(ratio.toPrecision(2)))}x`
  return `${ratio >= 100 ? ratio.toFixed(0) : ratio >= 10 ? ratio.toFixed(1) : ratio.toFixed(2)}x`
}

export function sessionsText(count) {
  return count === 1_000_000 ? '1 M' : count % 1000 ? String(count) : `${count / 1000} k`
}

/** `{ text, met }`: what was expected, what came out, and whether the one fits the other. */
export function judged({ target }) {
  if (!target) return { text: '' }
  const { least, most, value, unit, against } = target
  const met = least !== undefined ? value >= least : value <= most
  const bound = least !== undefined ? 'at least' : 'at most'
  const limit = unit ? amount(least ?? most, unit) : `${least ?? most}x`
  const beside = FLOORS[against] ? ` ${FLOORS[against]}` : ''
  return { text: `${bound} ${limit}${beside}`, got: unit ? '' : times(value), met }
}

function cells(result) {
  const { text, got, met } = judged(result)
  const floor = Object.keys(FLOORS).find((key) => result.values[key] !== undefined)
  const against = result.target?.against
  return [
    `${result.title}, ${sessionsText(result.sessions)}`,
    ...COLUMNS.map(([name]) => amount(result.values[name], result.unit)),
    floor ? `${FLOORS[floor]} ${amount(result.values[floor], result.unit)}` : '-',
    times(result.ratios.memory),
    times(result.ratios.memorystore),
    text && FLOORS[against] ? `${text}: ${got}` : text,
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ]
}

const HEAD = [
  'Median',
  ...COLUMNS.map(([, label]) => label),
  'Floor',
  'to MemoryStore',
  'to memorystore',
  'Target',
  '',
]

function table(head, rows) {
  const lines = [head, ...rows]
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i].length)))
  return lines
    .map((line) =>
      line
        .map((cell, i) => (i === 0 || i >= 7 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const DISTURBED = `Other programs were running: the processes waited for the CPU. Times and their ratios are too
large or too small by chance; of this run, only the CPU ratios say something. Run it again when the
machine is quiet.`

/** What runs on one thread without a pause takes as much CPU as time, unless it has to wait. */
function isDisturbed(timed) {
  const waiting = timed.filter(({ mainThread, cpu }) =>
    COLUMNS.some(([name]) => mainThread[name] > cpu[name] * 1.15),
  )
  return waiting.length * 3 > timed.length
}

export function terminal(results, machine) {
  const parts = [machine, table(HEAD, results.map(cells))]
  const timed = results.filter((result) => result.mainThread)
  if (timed.length) {
    const names = [...COLUMNS, ['noop', FLOORS.noop]]
    parts.push(
      'Main-thread time per operation (event-loop utilisation) / CPU of all threads',
      table(
        ['', ...names.map(([, label]) => label), 'CPU to MemoryStore'],
        timed.map(({ title, sessions, mainThread, cpu, cpuRatio }) => [
          `${title}, ${sessionsText(sessions)}`,
          ...names.map(([name]) => `${amount(mainThread[name])} / ${amount(cpu[name])}`),
          times(cpuRatio),
        ]),
      ),
    )
    if (isDisturbed(timed)) parts.push(DISTURBED)
  }
  const delays = results.filter(({ runs }) => runs?.idle)
  for (const { title, runs } of delays) {
    parts.push(
      `${title.replace(', p99.9', '')} (the median run; a timer of 1 ms never shows less)`,
      table(
        ['', 'p50', 'p99', 'p99.9', 'max', 'time', 'CPU'],
        Object.entries(runs).map(([name, list]) => {
          const run = [...list].sort((a, b) => a.p999 - b.p999)[list.length >> 1]
          const label = FLOORS[name] ?? COLUMNS.find(([key]) => key === name)[1]
          return [
            `${label}${run.left === undefined ? '' : `, ${grouped(run.left)} not removed`}`,
            ...[run.p50, run.p99, run.p999, run.max].map((ms) => amount(ms, 'ms')),
            `${run.seconds.toFixed(1)} s`,
            `${run.cpuSeconds.toFixed(2)} s`,
          ]
        }),
      ),
    )
  }
  const missed = results.filter((result) => judged(result).met === false)
  const judgedCount = results.filter((result) => result.target).length
  if (judgedCount) parts.push(`${judgedCount - missed.length} of ${judgedCount} targets met`)
  return parts.join('\n\n')
}

const mark = ({ met }) => (met === undefined ? '' : met ? 'met' : '**missed**')

/** The rows that have a peer, for the README. */
export function markdown(results, machine) {
  const head = ['', ...COLUMNS.map(([, label]) => label), 'to MemoryStore', 'to memorystore']
  const rows = results
    .filter(({ ratios }) => Object.keys(ratios).length > 0)
    .map((result) => {
      const all = cells(result)
      const bold = (ratio, text) => (ratio < 1 ? `**${text}**` : text)
      const { memory, memorystore } = result.ratios
      return [all[0], ...all.slice(1, 4), bold(memory, all[5]), bold(memorystore, all[6])]
    })
  return markdownTable(head, rows, machine)
}

/** Every row with its target, for docs/benchmark.md. */
export function wholeMarkdown(results, machine) {
  const head = ['', ...COLUMNS.map(([, label]) => label), 'Floor', 'to MemoryStore', 'Target', '']
  const rows = results.map((result) => {
    const all = cells(result)
    return [...all.slice(0, 6), all[7], mark(judged(result))]
  })
  return markdownTable(head, rows, machine)
}

function markdownTable(head, rows, machine) {
  return [
    `| ${head.join(' | ')} |`,
    `|---|${'---:|'.repeat(head.length - 1)}`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    '',
    `${machine}. Above 1x RustStore is faster or smaller; ratios in bold are those it loses.`,
  ].join('\n')
}
