// What the scripts share: running commands, failing with one line, steps with a summary.
// Only what Node.js itself has: node_modules may not be there yet.
import childProcess from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import url from 'node:url'
import { atLeast } from './node-version.mjs'

export { atLeast }

export const root = url.fileURLToPath(new URL('..', import.meta.url))
export const isCI = process.env.CI === 'true'

/** A failure that needs no stack: its message is the line that says what to do. */
export class Failure extends Error {}

export const say = (line) => process.stdout.write(`${line}\n`)

export const exists = (file) => fs.existsSync(path.resolve(root, file))

export const readJson = (file) => JSON.parse(fs.readFileSync(path.resolve(root, file), 'utf8'))

/** The files directly in `dir` that end so, in a fixed order, relative to the root. */
export function filesIn(dir, ending) {
  if (!exists(dir)) return []
  const names = fs.readdirSync(path.resolve(root, dir)).filter((name) => name.endsWith(ending))
  return names.sort().map((name) => `${dir}/${name}`)
}

/** Runs `main` if `address` is the script that was started, and turns a Failure into its line. */
export function script(address, main) {
  const started = process.argv[1]
  if (!started || fs.realpathSync(started) !== url.fileURLToPath(address)) return
  Promise.resolve()
    .then(main)
    .catch((error) => {
      process.stderr.write(`${error instanceof Failure ? error.message : error.stack}\n`)
      process.exitCode = 1
    })
}

// A signal that ends a script ends the commands it runs.
const running = new Set()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
const pass = (signal) => {
  for (const kill of running) kill(signal)
  for (const each of signals) process.off(each, pass)
  process.kill(process.pid, signal)
}

/**
 * Runs a command to its end and resolves `{ ok, code, signal, output, missing, late }`.
 * With `show`, what it prints is seen at once; `output` has it in any case. With `inherit` the
 * command has our terminal for itself, and `output` is empty.
 * `env` is added to our environment, or with `clean` is all of it.
 * After `timeout` ms the command and all that it started are killed, and `late` is true.
 */
export function run(command, args, options = {}) {
  const {
    show = false,
    inherit = false,
    clean = false,
    cwd = root,
    env = {},
    timeout = 0,
  } = options
  const color = show && process.stdout.isTTY ? { FORCE_COLOR: '1', CARGO_TERM_COLOR: 'always' } : {}
  const ownGroup = timeout > 0 && process.platform !== 'win32'
  return new Promise((resolve) => {
    const child = childProcess.spawn(command, args, {
      cwd,
      env: clean ? env : { ...process.env, ...color, ...env },
      stdio: inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'],
      detached: ownGroup,
      shell: process.platform === 'win32' && /\.cmd$/.test(command),
    })
    const chunks = []
    const kill = (signal) => {
      try {
        if (ownGroup) process.kill(-child.pid, signal)
        else child.kill(signal)
      } catch {
        // It has ended already.
      }
    }
    let late = false
    const timer =
      timeout > 0 &&
      setTimeout(() => {
        late = true
        kill('SIGKILL')
      }, timeout)
    const finish = (result) => {
      clearTimeout(timer)
      running.delete(kill)
      if (running.size === 0) for (const signal of signals) process.off(signal, pass)
      resolve({ late, output: Buffer.concat(chunks).toString(), ...result })
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
    child.on('close', (code, signal) => finish({ ok: code === 0, code, signal, missing: false }))
  })
}

/** The command and first arguments that start npm: the one that started us, or the one on PATH. */
export function npm() {
  const own = process.env.npm_execpath
  if (own && /npm-cli\.c?js$/.test(own)) return [process.execPath, own]
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm']
}

/** Runs a tool of node_modules by its script, without npx and its messages. */
export function tool(file, args, options) {
  return run(process.execPath, [path.join(root, 'node_modules', file), ...args], options)
}

const seconds = (from) => `${((Date.now() - from) / 1000).toFixed(1)} s`

/** Steps of a longer run, and the summary at its end: one line a step. */
export class Steps {
  #lines = []
  #skipped = []

  /** Runs `work`; it may return a note for the summary. Its failure ends the run. */
  async step(name, work) {
    say(`\n== ${name}`)
    const from = Date.now()
    try {
      const note = await work()
      this.#lines.push(['ok', name, seconds(from), note])
    } catch (error) {
      this.#lines.push(['FAILED', name, seconds(from), ''])
      this.summary()
      throw error
    }
  }

  /** Notes something that was left out. In CI nothing may be. */
  skip(name, why) {
    this.#lines.push(['skipped', name, '', why])
    this.#skipped.push(name)
  }

  summary() {
    say('\n== summary')
    const width = Math.max(...this.#lines.map(([, name]) => name.length))
    for (const [state, name, time, note] of this.#lines) {
      say(`${state.padEnd(8)} ${name.padEnd(width)} ${time.padStart(8)}  ${note ?? ''}`.trimEnd())
    }
  }

  /** Prints the summary. With CI=true a skipped step is a failure, if the run was to be whole. */
  end({ strict = true } = {}) {
    this.summary()
    if (isCI && strict && this.#skipped.length > 0) {
      throw new Failure(`With CI=true nothing may be skipped, but these were: ${this.#skipped}`)
    }
  }
}
