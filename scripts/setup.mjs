// Makes a clone ready to run: npm packages and the native addon, each only if it is out of date.
// Only what Node.js itself has: nothing is installed yet when this runs first.
import './node-version.mjs'
import fs from 'node:fs'
import path from 'node:path'
import { build, checkRust, isBuilt } from './build.mjs'
import { Failure, MINUTE, npm, readJson, root, run, say, script } from './tools.mjs'

/**
 * Whether node_modules in `dir` holds what package-lock.json says. Contents, not times: git gives
 * files new times, and `npm install` may write the two lock files in either order.
 */
function isInstalled(dir) {
  let wanted
  let found
  try {
    wanted = readJson(path.join(dir, 'package-lock.json')).packages
    found = readJson(path.join(dir, 'node_modules/.package-lock.json')).packages
  } catch {
    return false
  }
  const current = Object.entries(wanted).every(([name, entry]) => {
    if (name === '') return sameDependencies(entry, readJson(path.join(dir, 'package.json')))
    const other = found[name]
    // Packages for other platforms are in the lock file, but not installed.
    if (!other) return Boolean(entry.optional)
    return other.version === entry.version && other.integrity === entry.integrity
  })
  return current && Object.keys(found).every((name) => name in wanted)
}

function sameDependencies(locked, manifest) {
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']
  const text = (from) =>
    JSON.stringify(kinds.map((kind) => Object.entries(from[kind] ?? {}).sort()))
  return text(locked) === text(manifest)
}

/** Has what npm must compile use the headers of this Node.js, where it came with them. */
function ownHeaders() {
  const prefix = path.resolve(fs.realpathSync(process.execPath), '../..')
  const found = fs.existsSync(path.join(prefix, 'include/node/node.h'))
  return found ? { npm_config_nodedir: prefix } : {}
}

/** `npm ci` in `dir`, where it is needed. */
export async function install(dir = '.') {
  if (isInstalled(dir)) return
  say(`Installing npm packages${dir === '.' ? '' : ` in ${dir}`}.`)
  const [command, ...args] = npm()
  const cwd = path.resolve(root, dir)
  const { ok, missing, output } = await run(
    command,
    [...args, 'ci', '--loglevel=error', '--no-audit', '--no-fund'],
    { cwd, env: ownHeaders(), timeout: 15 * MINUTE },
  )
  if (missing)
    throw new Failure('npm is not on PATH: install Node.js with npm, then run this again.')
  if (ok) return
  process.stderr.write(output)
  throw new Failure(
    /EUSAGE/.test(output)
      ? 'package-lock.json does not fit package.json: run `npm install` and commit both.'
      : 'npm could not install the packages: the messages above say why. Correct that, then run this again.',
  )
}

/** `rust`: a toolchain is needed even if the addon is up to date. `beside`: what can be done meanwhile. */
export async function setup({ rust = false, beside = () => {} } = {}) {
  // Before the download: who has no Rust should not wait for npm first.
  if (rust || !isBuilt()) await checkRust()
  const ready = async () => {
    await install()
    if (!isBuilt()) await build()
  }
  await Promise.all([ready(), beside()])
}

script(import.meta.url, () => setup())
