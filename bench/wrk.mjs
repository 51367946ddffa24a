// An Express app under wrk: what a request costs the server process, with one store beside the others.
// Pairs are run back to back, to be compared pair by pair. Says nothing of what is expected.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cookieHeaders } from './measure/http.mjs'
import { start, turned } from './processes.mjs'

const CONNECTIONS = 16

/**
 * `kinds`: the paths that are asked for. Resolves for each `{ kind, cpu, mainThread }`: by contender,
 * us a request in each pair, of the whole process and of its main thread.
 */
export async function compareUnderExpress(contenders, kinds, size, say) {
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
    for (const name of contenders) {
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

async function compare(kind, servers, size, script, say) {
  const names = [...servers.keys()]
  const cpu = Object.fromEntries(names.map((name) => [name, []]))
  const mainThread = Object.fromEntries(names.map((name) => [name, []]))
  for (let pair = -size.warmUps; pair < size.pairs; pair++) {
    say(pair < 0 ? `${kind.title}: warm-up` : `${kind.title}: pair ${pair + 1} of ${size.pairs}`)
    for (const name of turned(names, pair + size.warmUps)) {
      const server = servers.get(name)
      const before = await server.ask('usage')
      await wrk(`http://127.0.0.1:${server.port}${kind.path}`, size.seconds, script)
      const after = await server.ask('usage')
      const requests = after.requests - before.requests
      if (pair < 0) continue
      cpu[name].push((after.cpuUs - before.cpuUs) / requests)
      mainThread[name].push((after.mainUs - before.mainUs) / requests)
    }
  }
  return { kind, cpu, mainThread }
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
