// What the scripts share: files of the repository, failing with one line, steps with a summary.
// Only what Node.js itself has: node_modules may not be there yet.
import fs from 'node:fs'
import path from 'node:path'
import url from 'node:url'
import { atLeast } from './node-version.mjs'
import { MINUTE, root, run } from './run.mjs'

export { atLeast, MINUTE, root, run }
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
