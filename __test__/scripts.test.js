'use strict'
// The scripts: what hangs is ended with all that it started, and told by its name; what is missing or too old is
// told in one line. Knows nothing of stores.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { pathToFileURL } = require('node:url')

const RUN = pathToFileURL(path.join(__dirname, '../scripts/run.mjs'))

// One that starts another, which holds the output of both, and tells who that is.
const PARENT = `
  const { spawn } = require('node:child_process')
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000) // the one that stays'], { stdio: 'inherit' })
  console.log('started', child.pid)
`
const ENDS = `${PARENT}; child.unref()`
const STAYS = `${PARENT}; process.on('SIGTERM', () => {})`

/** Runs a script of Node.js by `run` in a process of its own, and resolves what came of it and was told. */
async function runs(code, options) {
  const script = `
    import { run } from ${JSON.stringify(RUN)}
    const result = await run(process.execPath, ['-e', ${JSON.stringify(code)}], ${JSON.stringify(options)})
    console.log(JSON.stringify(result))
  `
  const argv = ['--input-type=module', '-e', script]
  return new Promise((resolve, reject) => {
    execFile(process.execPath, argv, { timeout: 60_000 }, (error, stdout, stderr) => {
      if (error) reject(error)
      else resolve({ ...JSON.parse(stdout), told: stderr })
    })
  })
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    // One that has ended is there until whoever inherited it takes notice: in a container perhaps nobody.
    if (process.platform !== 'linux') return true
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')
  } catch {
    return false
  }
}

async function assertEnded({ output, told }) {
  const pid = Number(/started (\d+)/.exec(output)[1])
  // Windows does not know any more what a process had started that has ended.
  if (process.platform !== 'win32') {
    for (let tries = 0; isAlive(pid) && tries < 100; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.ok(!isAlive(pid), 'what it started is gone')
  }
  assert.match(told, /^\s*node(\.exe)? -e/, 'its name')
  assert.match(told, new RegExp(`Its last output:\n +started ${pid}`))
  if (process.platform === 'linux')
    assert.match(told, /These were running:\n[\s\S]*the one that stays/)
}

test('a command that ends is not spoken of', async () => {
  const { ok, code, late, output, told } = await runs('console.log(1); process.exitCode = 3', {})
  assert.deepEqual(
    { ok, code, late, output, told },
    { ok: false, code: 3, late: false, output: '1\n', told: '' },
  )
})

test('a command that does not end is killed with what it started, and named', async () => {
  const result = await runs(STAYS, { timeout: 5_000 })
  assert.deepEqual([result.ok, result.late], [false, true])
  assert.match(result.told, /did not end within 5 s: killed\./)
  await assertEnded(result)
})

test('what a command leaves behind with its output is killed, and named', async () => {
  const result = await runs(ENDS, { grace: 500 })
  assert.deepEqual([result.ok, result.code, result.late], [false, 0, true])
  assert.match(result.told, /has ended, but for 0\.5 s something it started held its output/)
  await assertEnded(result)
})

/** Runs Node.js in the package's folder. Resolves how it ended and what it told on stderr. */
function node(argv, env = {}) {
  const options = { cwd: path.join(__dirname, '..'), env: { ...process.env, ...env } }
  return new Promise((resolve) => {
    execFile(process.execPath, argv, options, (error, _stdout, stderr) => {
      resolve({ code: error?.code ?? 0, told: stderr.trim() })
    })
  })
}

/** A folder that is gone after the test. */
function folder(t) {
  const made = mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

test('a Node.js that is too old is told so, by the scripts and by the package', async (t) => {
  const old = path.join(folder(t), 'old.cjs')
  writeFileSync(
    old,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.8' } })`,
  )
  const script = await node(['--require', old, 'scripts/build.mjs'])
  assert.equal(script.code, 1)
  assert.match(script.told, /^Node.js 18\.20\.8 is too old: install 20\.17 or newer.*$/)
  const required = await node(['--require', old, '-e', "require('./index.js')"])
  assert.notEqual(required.code, 0)
  assert.match(required.told, /needs Node\.js 20\.17 or newer, and this is 18\.20\.8/)
})

test('Rust that is missing, silent or too old is told in one line', async (t) => {
  if (process.platform === 'win32') return t.diagnostic('not tried: Windows')
  const bin = folder(t)
  const build = () => node(['scripts/build.mjs'], { PATH: bin })
  assert.match((await build()).told, /^Rust is not installed: get it from https:\/\/rustup\.rs.*$/)
  for (const [says, told] of [
    ['exit 1', /^`cargo --version` does not answer: run `rustup default stable`.*$/],
    [
      'echo "cargo 1.60.0 (abc 2022-01-01)"',
      /^Rust 1\.60\.0 is too old: .* Run `rustup update`.*$/,
    ],
  ]) {
    writeFileSync(path.join(bin, 'cargo'), `#!/bin/sh\n${says}\n`)
    chmodSync(path.join(bin, 'cargo'), 0o755)
    const { code, told: line } = await build()
    assert.equal(code, 1)
    assert.match(line, told)
  }
})
