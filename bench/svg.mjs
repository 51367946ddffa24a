// Draws the ratios of one run: bars to the right of the 1x line are wins, to the left losses.
// Plain text, no library; colours that hold on a light and on a dark page.
import { sessionsText, times } from './report.mjs'

const WIDTH = 900
const LEFT = 400
const RIGHT = 70
const ROW = 34
const BAR = 11
const TOP = 78

const STYLE = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #57606a }
  .title { font-size: 15px; font-weight: 600; fill: #24292f }
  .small { font-size: 11px }
  .memory { fill: #0969da } .memorystore { fill: #8250df } .loss { fill: #bc4c00 }
  .grid { stroke: #8c959f; stroke-opacity: .3 } .one { stroke: #57606a; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9ea7b3 } .title { fill: #e6edf3 }
    .memory { fill: #58a6ff } .memorystore { fill: #a371f7 } .loss { fill: #f0883e }
    .one { stroke: #9ea7b3 }
  }`

const PEERS = ['memory', 'memorystore']

const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;')

export function svg(results, machine) {
  const rows = results.filter(({ ratios }) => PEERS.some((name) => ratios[name] !== undefined))
  const values = rows.flatMap(({ ratios }) => Object.values(ratios))
  // A logarithmic axis: 2x and 0.5x are equally far from the line, and 10,000x still fits.
  const low = Math.log10(Math.min(0.5, ...values))
  const high = Math.log10(Math.max(10, ...values))
  const x = (ratio) => LEFT + ((Math.log10(ratio) - low) / (high - low)) * (WIDTH - LEFT - RIGHT)
  const height = TOP + rows.length * ROW + 30
  const bottom = height - 26

  const ticks = [0.1, 0.5, 1, 2, 5, 10, 100, 1000, 10_000, 100_000].filter(
    (tick) => Math.log10(tick) >= low && Math.log10(tick) <= high,
  )
  const grid = ticks.map(
    (tick) => `
  <line x1="${x(tick).toFixed(1)}" x2="${x(tick).toFixed(1)}" y1="${TOP - 8}" y2="${bottom}" class="${tick === 1 ? 'one' : 'grid'}"/>
  <text x="${x(tick).toFixed(1)}" y="${TOP - 14}" text-anchor="middle" class="small">${tick.toLocaleString('en-US')}x</text>`,
  )
  const bars = rows.map((row, i) => rowOf(row, TOP + i * ROW, x))

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="RustStore in memory, times as fast or as small as its peers">
  <style>${STYLE}
  </style>
  <text x="12" y="22" class="title">RustStore in memory: how many times as fast, or as small</text>
  <rect x="12" y="34" width="10" height="10" class="memory"/><text x="27" y="44" class="small">as MemoryStore</text>
  <rect x="124" y="34" width="10" height="10" class="memorystore"/><text x="139" y="44" class="small">as memorystore</text>
  <rect x="240" y="34" width="10" height="10" class="loss"/><text x="255" y="44" class="small">slower or larger</text>${grid.join('')}${bars.join('')}
  <text x="12" y="${height - 8}" class="small">${escaped(machine)}. Logarithmic scale.</text>
</svg>
`
}

function rowOf({ title, sessions, ratios }, top, x) {
  const name = `${title}, ${sessionsText(sessions)}`.replace('event-loop delay', 'loop delay')
  const parts = [
    `
  <text x="${LEFT - 46}" y="${top + 17}" text-anchor="end">${escaped(name)}</text>`,
  ]
  PEERS.forEach((peer, i) => {
    const ratio = ratios[peer]
    if (ratio === undefined) return
    const from = Math.min(x(1), x(ratio))
    const width = Math.max(1, Math.abs(x(ratio) - x(1)))
    const y = top + 1 + i * (BAR + 2)
    const loss = ratio < 1
    const label = loss ? from - 4 : from + width + 4
    parts.push(`
  <rect x="${from.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" class="${loss ? 'loss' : peer}"/>
  <text x="${label.toFixed(1)}" y="${y + 9}" class="small"${loss ? ' text-anchor="end"' : ''}>${times(ratio)}</text>`)
  })
  return parts.join('')
}
