// An Express app under wrk: what a request costs the server process, with one store beside the others.
// Pairs are run back to back, to be compared pair by pair, each in processes of its own: of two processes
// that do the same, one takes a tenth more for as long as it lives. Says nothing of what is expected.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cookieHeaders } from './measure/http.mjs'
import { start, turned } from './processes.mjs'

const CONNECTIONS = 16

/**
 * `kinds`: the paths that are asked for. `size`: how many `sessions` and `pairs`, and `seconds` of each run
 * and of the `warmUp` before it. Resolves for each `{ kind, cpu, mainThread }`: by contender,
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
  const results = kinds.map((kind) => ({
    kind,
    cpu: lists(contenders),
    mainThread: lists(contenders),
  }))
  try {
    for (let pair = 0; pair < size.pairs; pair++) {
      await runPair(turned(contenders, pair), results, size, script, (what) =>
        say(`${what}: pair ${pair + 1} of ${size.pairs}`),
      )
    }
    return results
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const lists = (names) => Object.fromEntries(names.map((name) => [name, []]))

/** Adds what a request of each kind costs with each store. */
async function runPair(names, results, size, script, say) {
  const servers = []
  try {
    for (const name of names) {
      const server = start(name)
      servers.push(server)
      server.port = await server.ask('serve', { sessions: size.sessions })
    }
    for (const { kind, cpu, mainThread } of results) {
      say(kind.title)
      const url = (server) => `http://127.0.0.1:${server.port}${kind.path}`
      for (const server of size.warmUp ? servers : []) await wrk(url(server), size.warmUp, script)
      for (const [index, server] of servers.entries()) {
        const before = await server.ask('usage')
        await wrk(url(server), size.seconds, script)
        const after = await server.ask('usage')
        const requests = after.requests - before.requests
        cpu[names[index]].push((after.cpuUs - before.cpuUs) / requests)
        mainThread[names[index]].push((after.mainUs - before.mainUs) / requests)
      }
    }
  } finally {
    for (const server of servers) server.stop()
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
