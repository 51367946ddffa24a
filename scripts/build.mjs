// `npm run build`: the native addon, optimised, and its loader native.js.
// Quiet when all is well; the compiler's messages and one line that says what to do when not.
import './node-version.mjs'
import fs from 'node:fs'
import path from 'node:path'
import {
  atLeast,
  exists,
  Failure,
  isCI,
  MINUTE,
  readJson,
  root,
  run,
  say,
  script,
  tool,
} from './tools.mjs'

const LOADER = 'native.js'

/** The addon's file for this machine, as the napi command line tool names it. */
export function addonFile() {
  const { platform, arch } = process
  const { binaryName } = readJson('package.json').napi
  return `${binaryName}.${platform}-${arch}${abi()}.node`
}

function abi() {
  if (process.platform === 'win32') return '-msvc'
  if (process.platform !== 'linux') return ''
  process.report.excludeNetwork = true
  return process.report.getReport().header.glibcVersionRuntime ? '-gnu' : '-musl'
}

/** Whether the addon is there and newer than everything it is made from. */
export function isBuilt() {
  const addon = path.join(root, addonFile())
  if (!fs.existsSync(addon) || !exists(LOADER)) return false
  const built = fs.statSync(addon).mtimeMs
  return newest(['src', 'Cargo.toml', 'Cargo.lock', 'build.rs']) <= built
}

function newest(files) {
  let latest = 0
  for (const file of files) {
    const full = path.resolve(root, file)
    // A fresh clone has no lock file only if it was forgotten; a build writes it then.
    if (!fs.existsSync(full)) continue
    const stat = fs.statSync(full)
    const inside = stat.isDirectory()
      ? newest(fs.readdirSync(full).map((f) => path.join(full, f)))
      : 0
    latest = Math.max(latest, inside, stat.isDirectory() ? 0 : stat.mtimeMs)
  }
  return latest
}

/** Fails with one line unless a Rust toolchain is there that can build the crate. */
export async function checkRust() {
  const wanted = /^rust-version\s*=\s*"([\d.]+)"/m.exec(
    fs.readFileSync(path.join(root, 'Cargo.toml'), 'utf8'),
  )[1]
  for (const command of ['cargo', 'rustc']) {
    const { ok, missing, output } = await run(command, ['--version'], { timeout: 5 * MINUTE })
    if (missing) {
      throw new Failure(
        'Rust is not installed: get it from https://rustup.rs, then run this again.',
      )
    }
    const version = /^\w+ (\d+\.\d+\.\d+)/m.exec(output)
    if (!ok || !version) {
      throw new Failure(
        `\`${command} --version\` does not answer: run \`rustup default stable\`, then run this again.`,
      )
    }
    if (!atLeast(version[1], wanted)) {
      throw new Failure(
        `Rust ${version[1]} is too old: ${wanted} or newer is needed. Run \`rustup update\`, then run this again.`,
      )
    }
  }
}

export async function build() {
  if (!exists('node_modules/@napi-rs/cli')) {
    throw new Failure('The npm packages are not installed: run `npm ci`, then run this again.')
  }
  await checkRust()
  say('Building the native addon. The first time takes a minute or two.')
  const started = new Date()
  const options = ['--platform', '--release', '--js', LOADER, '--dts', 'native.d.ts']
  const locked = isCI ? ['--', '--locked'] : []
  const { ok, output } = await tool('@napi-rs/cli/dist/cli.js', ['build', ...options, ...locked])
  if (!ok) {
    // Without the stack of the napi command line tool itself.
    process.stderr.write(output.replace(/^.*Internal Error.*Build failed[\s\S]*/m, ''))
    throw new Failure(adviceFor(output))
  }
  if (!exists(addonFile()) || !exists(LOADER)) {
    process.stderr.write(output)
    throw new Failure(
      `The build wrote no ${exists(LOADER) ? addonFile() : LOADER}: see the messages above.`,
    )
  }
  // As old as the sources it was made from: one that is edited during a build must count as newer.
  // Cargo itself may have written the lock file, at once.
  const made = new Date(Math.ceil(Math.max(started, newest(['Cargo.lock']))))
  fs.utimesSync(path.join(root, addonFile()), made, made)
  say(`Built ${addonFile()} in ${Math.round((Date.now() - started) / 1000)} s.`)
}

function adviceFor(output) {
  if (/linker `?[\w.-]+`? not found|link\.exe` not found/.test(output)) {
    return 'A C linker is missing: install build-essential (Debian, Ubuntu), the Xcode command line tools or the Visual Studio Build Tools, then run this again.'
  }
  if (
    /failed to download|failed to get |spurious network error|could not resolve host/i.test(output)
  ) {
    return 'Cargo could not download the crates it needs: check the network or the proxy, then run this again.'
  }
  if (/needs to be updated but --locked/.test(output)) {
    return 'Cargo.lock does not fit Cargo.toml: run `cargo check` and commit Cargo.lock.'
  }
  return 'The native addon did not build: the messages above say why. Correct that, then run this again.'
}

script(import.meta.url, build)
