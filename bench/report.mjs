// Turns results into a terminal table and into the table of the README. Knows no store by heart:
// what has no value is a dash.
// A group names its columns: `[[contender, label], ...]`, ours first.
const FLOORS = { noop: 'no-op store', bare: 'bare JSON', idle: 'idle loop', json: 'JSON alone' }

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

/** A ratio in Markdown. */
const marked = (ratio) => (ratio < 1 ? `**${times(ratio)}**` : times(ratio))

/** `{ text, met }`: what was expected, what came out, and whether the one fits the other. */
export function judged({ target }) {
  if (!target) return { text: '' }
  const { least, most, value, unit, against } = target
  const met = least !== undefined ? value >= least : value <= most
  const bound = least !== undefined ? 'at least' : 'at most'
  const limit = unit ? amount(least ?? most, unit) : `${least ?? most}x`
  const beside = target.beside ?? FLOORS[against]
  const text = `${bound} ${limit}${beside ? ` ${beside}` : ''}`
  return { text, got: unit ? '' : times(value), met }
}

/** The parts of a row; `ratios` to the peers, in the order of the columns. */
function partsOf(result, columns) {
  const { text, got, met } = judged(result)
  const floor = Object.keys(FLOORS).find((key) => result.values[key] !== undefined)
  const floored = result.target?.beside ?? FLOORS[result.target?.against]
  return {
    name: `${result.title}, ${sessionsText(result.sessions)}`,
    values: columns.map(([name]) => amount(result.values[name], result.unit)),
    floor: floor ? `${FLOORS[floor]} ${amount(result.values[floor], result.unit)}` : '-',
    ratios: columns.slice(1).map(([name]) => result.ratios[name]),
    target: text && floored ? `${text}: ${got}` : text || (result.note ?? ''),
    met,
  }
}

const headOf = (columns) => columns.map(([, label]) => label)
const ratioHeadOf = (columns) => columns.slice(1).map(([, label]) => `to ${label}`)

/** `texts`: how many columns at the end are text. */
function table(head, rows, texts = 0) {
  const lines = [head, ...rows]
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i].length)))
  const isText = (i) => i === 0 || i >= head.length - texts
  return lines
    .map((line) =>
      line
        .map((cell, i) => (isText(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const DISTURBED = `Other programs were running: the processes waited for the CPU. Times and their ratios are too
large or too small by chance; of this run, only the CPU ratios say something. Run it again when the
machine is quiet.`

/** What runs on one thread without a pause takes as much CPU as time, unless it has to wait. */
function isDisturbed(timed, columns) {
  const waiting = timed.filter(({ mainThread, cpu }) =>
    columns.some(([name]) => mainThread[name] > cpu[name] * 1.15),
  )
  return waiting.length * 3 > timed.length
}

export function terminal(results, { title, columns }) {
  const head = ['Median', ...headOf(columns), 'Floor', ...ratioHeadOf(columns), 'Target', '']
  const rows = results.map((result) => {
    const { name, values, floor, ratios, target, met } = partsOf(result, columns)
    const mark = met === undefined ? '' : met ? 'met' : 'MISSED'
    return [name, ...values, floor, ...ratios.map(marked), target, mark]
  })
  const parts = [title, table(head, rows, 2)]
  const timed = results.filter((result) => result.mainThread)
  if (timed.length) {
    const extra = timed.some(({ mainThread }) => mainThread.noop !== undefined)
    const names = extra ? [...columns, ['noop', FLOORS.noop]] : columns
    parts.push(
      'Main-thread time per operation (event-loop utilisation) / CPU of all threads',
      table(
        ['', ...names.map(([, label]) => label)],
        timed.map(({ title: row, sessions, mainThread, cpu }) => [
          `${row}, ${sessionsText(sessions)}`,
          ...names.map(([name]) => `${amount(mainThread[name])} / ${amount(cpu[name])}`),
        ]),
      ),
    )
    if (isDisturbed(timed, columns)) parts.push(DISTURBED)
  }
  const delays = results.filter(({ runs }) => runs?.idle)
  for (const { title: row, runs } of delays) {
    parts.push(
      `${row.replace(', p99.9', '')} (the median run; a timer of 1 ms never shows less)`,
      table(
        ['', 'p50', 'p99', 'p99.9', 'max', 'time', 'CPU'],
        Object.entries(runs).map(([name, list]) => {
          const run = [...list].sort((a, b) => a.p999 - b.p999)[list.length >> 1]
          const label = FLOORS[name] ?? columns.find(([key]) => key === name)[1]
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

/** The rows that have a peer, for the README. */
export function markdown(results, { columns }, machine) {
  const head = ['', ...headOf(columns), ...ratioHeadOf(columns)]
  const rows = results
    .filter(({ ratios }) => Object.keys(ratios).length > 0)
    .map((result) => {
      const { name, values, ratios } = partsOf(result, columns)
      return [name, ...values, ...ratios.map(marked)]
    })
  return markdownTable(head, rows, machine)
}

/** Every row with its target, for docs/benchmark.md. */
export function wholeMarkdown(results, { columns }, machine) {
  const head = ['', ...headOf(columns), 'Floor', ...ratioHeadOf(columns), 'Target', '']
  const rows = results.map((result) => {
    const { name, values, floor, ratios, target, met } = partsOf(result, columns)
    const mark = met === undefined ? '' : met ? 'met' : '**missed**'
    return [name, ...values, floor, ...ratios.map(marked), target, mark]
  })
  return markdownTable(head, rows, machine)
}

function markdownTable(head, rows, machine) {
  return [
    `| ${head.join(' | ')} |`,
    `|---|${'---:|'.repeat(head.length - 1)}`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    '',
    `${machine}. Above 1x RustStore is faster or smaller; ratios in bold are those it loses. A ratio is the median of the quotients of each round, not the quotient of the two medians beside it.`,
  ].join('\n')
}
