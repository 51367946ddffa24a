// An Express app under wrk: CPU time of the server process per request, beside the same app on a
// store that does nothing. Pairs are run back to back and compared pair by pair.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cookieHeaders } from '../measure/http.mjs'
import { median, pairedRatio, start, turned } from '../processes.mjs'

const CONTENDERS = ['rust', 'noop', 'memory']
const CONNECTIONS = 16

export const sizes = {
  full: { sessions: 10_000, warmUps: 1, pairs: 10, seconds: 3 },
  quick: { sessions: 1_000, warmUps: 0, pairs: 1, seconds: 1 },
}

const KINDS = [
  { id: 'expressRead', path: '/read', title: 'Express, request that reads: CPU', most: 1.05 },
  { id: 'expressWrite', path: '/write', title: 'Express, request that writes: CPU' },
]

export const parts = { express }

async function express(size, wanted, say) {
  const kinds = KINDS.filter(({ id }) => wanted(id))
  if (!kinds.length) return []
  if (spawnSync('wrk', ['-v'], { stdio: 'ignore' }).error) {
    say('skipped: Express under wrk, because wrk is not installed (Debian, Homebrew: wrk)', true)
    return []
  }
  const folder = mkdtempSync(join(tmpdir(), 'rust-session-store-bench-'))
  const script = join(folder, 'requests.lua')
  writeFileSync(script, luaScript(cookieHeaders(size.sessions)))
  const servers = new Map()
  try {
    for (const name of CONTENDERS) {
      const server = start(name)
      servers.set(name, server)
      server.port = await server.ask('serve', { sessions: size.sessions })
    }
    const results = []
    for (const kind of kinds) results.push(await compare(kind, servers, size, script, say))
    return results
  } finally {
    for (const server of servers.values()) server.stop()
    rmSync(folder, { recursive: true })
  }
}

/** Each request carries the next of all the cookies, as from so many visitors. */
function luaScript(cookies) {
  return `local cookies = {${cookies.map((cookie) => `"${cookie}"`).join(',')}}
local n = 0
function request()
  n = n % #cookies + 1
  return wrk.format('GET', nil, { ['Cookie'] = cookies[n], ['X-Forwarded-Proto'] = 'https' })
end
`
}

async function compare({ id, path, title, most }, servers, size, script, say) {
  const measured = Object.fromEntries(CONTENDERS.map((name) => [name, []]))
  for (let pair = -size.warmUps; pair < size.pairs; pair++) {
    say(pair < 0 ? `${title}: warm-up` : `${title}: pair ${pair + 1} of ${size.pairs}`)
    for (const name of turned(CONTENDERS, pair + size.warmUps)) {
      const server = servers.get(name)
      const before = await server.ask('usage')
      await wrk(`http://127.0.0.1:${server.port}${path}`, size.seconds, script)
      const after = await server.ask('usage')
      const requests = after.requests - before.requests
      if (pair >= 0) measured[name].push((after.cpuUs - before.cpuUs) / requests)
    }
  }
  const value = pairedRatio(measured.rust, measured.noop)
  return {
    id,
    title,
    sessions: size.sessions,
    unit: 'us',
    values: Object.fromEntries(CONTENDERS.map((name) => [name, median(measured[name])])),
    ratios: { memory: pairedRatio(measured.memory, measured.rust) },
    runs: measured,
    target: most && { against: 'noop', most, value },
  }
}

function wrk(url, seconds, script) {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, url]
  return new Promise((resolve, reject) => {
    const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0 || /Non-2xx/.test(output)) reject(new Error(`wrk failed:\n${output}`))
      else resolve()
    })
  })
}
