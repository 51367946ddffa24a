// Runs commands, each to its end or to the end of its time: none of them can hold a script up for ever.
// Only what Node.js itself has, and nothing of what the commands are for.
import childProcess from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import url from 'node:url'

export const root = url.fileURLToPath(new URL('..', import.meta.url))

export const MINUTE = 60_000
// Far more than any command takes that is not told its own time: cargo may compile all there is.
const LONGEST = 60 * MINUTE
// So long may something that a command has started hold its output after it has ended.
const GRACE = 10_000
const LAST_LINES = 20

const isWindows = process.platform === 'win32'

// A signal that ends a script ends the commands it runs.
const running = new Set()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
const pass = (signal) => {
  for (const kill of running) kill(signal)
  for (const each of signals) process.off(each, pass)
  process.kill(process.pid, signal)
}

/** Ends a command and what it started: its group, or on Windows its tree. */
function killAll(child, signal) {
  try {
    if (!isWindows) process.kill(-child.pid, signal)
    else childProcess.spawnSync('taskkill', ['/pid', `${child.pid}`, '/t', '/f'])
  } catch {
    // They have ended already.
  }
}

/** The processes of a command that are there, where the system shows them in files: who hangs is one. */
function alive(child) {
  if (process.platform !== 'linux') return []
  const numbers = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return numbers.flatMap((pid) => {
    try {
      // Behind the name in brackets: state, parent, group.
      const [, , group] = fs
        .readFileSync(`/proc/${pid}/stat`, 'latin1')
        .split(') ')
        .at(-1)
        .split(' ')
      if (Number(group) !== child.pid) return []
      const line = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      return line ? [`${pid} ${short(line)}`] : []
    } catch {
      return [] // It has ended meanwhile.
    }
  })
}

/** What a test file is called stands at the end, behind Node.js's many flags. */
const short = (line) => (line.length > 200 ? `${line.slice(0, 80)} ... ${line.slice(-110)}` : line)

/** Says which command it was, what it had running, and what it said last. */
function report(name, why, left, output) {
  const last = output.trimEnd().split('\n').slice(-LAST_LINES)
  const parts = [`\n${name}\n${why}`]
  if (left.length) parts.push('These were running:', ...left.map((line) => `  ${line}`))
  if (output) parts.push('Its last output:', ...last.map((line) => `  ${line}`))
  process.stderr.write(`${parts.join('\n')}\n`)
}

const timeOf = (ms) => (ms < MINUTE ? `${ms / 1000} s` : `${ms / MINUTE} min`)

/**
 * Runs a command to its end and resolves `{ ok, code, signal, output, missing, late }`.
 * With `show`, what it prints is seen at once; `output` has it in any case. With `inherit` the
 * command prints to our terminal by itself, and `output` is empty.
 * `env` is added to our environment, or with `clean` is all of it.
 * After `timeout` ms the command and all that it started are killed, which is told on stderr, and `late`
 * is true. So it is when the command has ended and something that it started holds its output for `grace` ms more.
 */
export function run(command, args, options = {}) {
  const {
    show = false,
    inherit = false,
    clean = false,
    cwd = root,
    env = {},
    timeout = LONGEST,
    grace = GRACE,
  } = options
  const name = [path.basename(command), ...args].join(' ')
  const color = show && process.stdout.isTTY ? { FORCE_COLOR: '1', CARGO_TERM_COLOR: 'always' } : {}
  return new Promise((resolve) => {
    const child = childProcess.spawn(command, args, {
      cwd,
      env: clean ? env : { ...process.env, ...color, ...env },
      stdio: inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'],
      // A group of its own, by which all that it starts can be ended.
      detached: !isWindows,
      shell: isWindows && /\.cmd$/.test(command),
    })
    const chunks = []
    const output = () => Buffer.concat(chunks).toString()
    const kill = (signal) => killAll(child, signal)
    let late = false
    const end = (why) => {
      late = true
      report(name, why, alive(child), output())
      kill('SIGKILL')
      // One that left the group holds the output still; nobody waits for it.
      for (const stream of [child.stdout, child.stderr]) stream?.destroy()
    }
    let timer = setTimeout(() => end(`did not end within ${timeOf(timeout)}: killed.`), timeout)
    const finish = (result) => {
      clearTimeout(timer)
      running.delete(kill)
      if (running.size === 0) for (const signal of signals) process.off(signal, pass)
      resolve({ late, output: output(), ...result })
    }
    if (running.size === 0) for (const signal of signals) process.on(signal, pass)
    running.add(kill)
    for (const stream of inherit ? [] : ['stdout', 'stderr']) {
      child[stream].on('data', (chunk) => {
        chunks.push(chunk)
        if (show) process[stream].write(chunk)
      })
    }
    child.on('error', (error) => finish({ ok: false, missing: error.code === 'ENOENT' }))
    child.on('exit', () => {
      clearTimeout(timer)
      if (late) return
      const why = `has ended, but for ${timeOf(grace)} something it started held its output: killed.`
      timer = setTimeout(() => end(why), grace)
    })
    child.on('close', (code, signal) =>
      finish({ ok: code === 0 && !late, code, signal, missing: false }),
    )
  })
}
