// An Express app under wrk: what a request costs the server process, with one store beside the others.
// The stores of a pair are asked in short turns, for a machine is not as fast in one second as in the next;
// each pair has processes of its own, for of two that do the same, one may take a tenth more for as long as it
// lives. Says nothing of what is expected.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { cookieHeaders } from './measure/http.mjs'
import { start, turned } from './processes.mjs'

const CONNECTIONS = 16
// ms that a store is asked before the next has its turn.
const TURN = 100

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
      const urls = servers.map(url)
      await inTurns(urls, size.warmUp, script)
      const before = await Promise.all(servers.map((server) => server.ask('usage')))
      await inTurns(urls, size.seconds, script)
      const after = await Promise.all(servers.map((server) => server.ask('usage')))
      for (const [index, name] of names.entries()) {
        const used = (what) => after[index][what] - before[index][what]
        cpu[name].push(used('cpuUs') / used('requests'))
        mainThread[name].push(used('mainUs') / used('requests'))
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

/** Has each of the servers asked for so many seconds, one at a time. */
async function inTurns(urls, seconds, script) {
  if (!seconds) return
  const turns = Math.round((seconds * 1000) / TURN)
  // They end by the clock, also while they are paused.
  const loads = urls.map((url) => wrk(url, seconds * urls.length, script))
  try {
    for (const { pause } of loads) pause()
    for (let turn = 0; turn < turns; turn++) {
      for (const load of turned(loads, turn)) {
        load.goOn()
        await setTimeout(TURN)
        load.pause()
      }
    }
  } finally {
    for (const load of loads) load.goOn()
  }
  for (const { ended } of loads) await ended
}

/** A load on a server that can be paused; `ended` rejects where requests failed. */
function wrk(url, seconds, script) {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, url]
  const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve, reject) => {
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
  // Looked at when the others are ended, too.
  ended.catch(() => {})
  return {
    pause: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
    ended,
  }
}
