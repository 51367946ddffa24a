'use strict'
// `npx rust-session-store`: what it prints and moves, and what it keeps to itself.

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { RustStore } = require('..')
const { bin } = require('../package.json')

const PROGRAM = path.join(__dirname, '..', bin['rust-session-store'])
const SIDS = ['visitor-one-with-a-secret-sid', '__proto__', 'a "quoted"\n\u0000sid', '\u{1F600}']

function command(args, input = '') {
  return new Promise((resolve) => {
    const limit = { timeout: 60_000, killSignal: 'SIGKILL' }
    const child = spawn(process.execPath, [PROGRAM, ...args], limit)
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', (text) => {
        output[name] += text
      })
    }
    child.on('close', (code) => resolve({ code, ...output }))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-'))
  t.after(() => fs.rmSync(made, { recursive: true, force: true }))
  return made
}

/** A folder with a session under each of the sids, and one that is over. */
async function filled(t) {
  const url = `file:${path.join(folder(t), 'sessions')}`
  const store = new RustStore(url)
  for (const [n, sid] of SIDS.entries()) {
    const cookie = { originalMaxAge: null, expires: new Date(Date.now() + 3_600_000), path: '/' }
    await store.set(sid, { cookie, n, password: 'hunter2', text: '\ud800\u0000' })
  }
  await store.close()
  return url
}

async function all(url) {
  const store = new RustStore(url)
  const sessions = await store.all()
  await store.close()
  return sessions
}

async function check(t, body) {
  if (process.platform === 'win32') return t.diagnostic('not tried: no file backend on Windows')
  await body(t)
}

test('stats and ls tell what there is, and neither sids nor data unless asked', (t) =>
  check(t, async () => {
    const url = await filled(t)
    const stats = await command([url, 'stats'])
    assert.equal(stats.code, 0, stats.stderr)
    assert.match(stats.stdout, /^backend +file\nsessions +4\n/)
    const ls = await command([url, 'ls'])
    assert.equal(ls.stdout.split('\n').length, 5)
    assert.doesNotMatch(ls.stdout, /secret-sid|hunter2/)
    assert.match(ls.stdout, /^visito…\t\d{4}-.*Z\t\d+ B\tn,password,text$/m)
    const full = await command([url, 'ls', '--full', '--data'])
    assert.match(full.stdout, /^"visitor-one-with-a-secret-sid"\t.*hunter2/m)
    assert.equal(full.stdout.split('\n').length, 5, 'a sid is one line, whatever is in it')
  }))

test('ls goes on past a time that is none', (t) =>
  check(t, async () => {
    const url = `file:${folder(t)}`
    const store = new RustStore(url)
    for (const [sid, expires] of Object.entries({ a: 'once', b: 8.64e15 + 1, c: null, d: false })) {
      await store.set(sid, { cookie: { expires } })
    }
    await store.close()
    const { code, stdout, stderr } = await command([url, 'ls'])
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(stdout.match(/\tby ttl\t/g)?.length, 4, stdout)
  }))

test('export, import and copy move sessions as they are', (t) =>
  check(t, async () => {
    const from = await filled(t)
    const before = await all(from)
    assert.deepEqual(Object.keys(before).sort(), [...SIDS].sort())
    const file = path.join(folder(t), 'backup.jsonl')
    const exported = await command([from, 'export', '--file', file])
    assert.deepEqual([exported.code, exported.stdout], [0, ''], exported.stderr)
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
    const again = await command([from, 'export', '--file', file])
    assert.equal(again.code, 1, 'a file that is there is not overwritten')

    const imported = `file:${path.join(folder(t), 'imported')}?prefix=other`
    const result = await command([imported, 'import', '--file', file])
    assert.deepEqual([result.code, result.stdout], [0, 'imported 4\n'], result.stderr)
    assert.deepEqual(await all(imported), before)

    const piped = `file:${path.join(folder(t), 'piped')}`
    const over = { sid: 'over', session: { cookie: { expires: '2001-01-01T00:00:00.000Z' } } }
    const { stdout } = await command([from, 'export'])
    const lines = `${stdout}\n${JSON.stringify(over)}\n`
    assert.equal((await command([piped, 'import'], lines)).stdout, 'imported 4; 1 were over\n')
    assert.deepEqual(await all(piped), before)

    const copied = `file:${path.join(folder(t), 'copied')}`
    const copy = await command([from, 'copy', copied])
    assert.deepEqual([copy.code, copy.stdout, copy.stderr], [0, 'copied 4\n', ''])
    assert.deepEqual(await all(copied), before)
    assert.deepEqual(await all(from), before)
  }))

test('prune removes what is over', (t) =>
  check(t, async () => {
    const url = `file:${path.join(folder(t), 'sessions')}`
    const store = new RustStore(url)
    // Written by a clock that stood still, so that nobody has pruned it.
    t.mock.timers.enable({ apis: ['Date'], now: 1_000_000_000_000 })
    await store.set('over', { cookie: { expires: new Date(1_000_000_005_000) } })
    t.mock.timers.reset()
    await store.close()
    const { code, stdout, stderr } = await command([url, 'prune'])
    assert.deepEqual([code, stdout], [0, 'removed 1; 0 are left\n'], stderr)
    assert.match((await command(['memory:', 'prune'])).stdout, /^removed 0; 0 are left\n$/)
  }))

test('mistakes are told in a few lines, and never a password', (t) =>
  check(t, async () => {
    const usage = await command([])
    assert.equal(usage.code, 2)
    assert.match(usage.stderr, /Usage: npx rust-session-store URL COMMAND/)
    assert.equal((await command(['--help'])).code, 0)
    assert.match((await command(['memory:', 'lst'])).stderr, /^there is no command "lst"/)
    assert.match((await command(['memory:', 'copy'])).stderr, /^copy takes a second URL/)
    assert.match((await command(['memory:', 'ls', '--fulll'])).stderr, /fulll/)

    const missing = path.join(folder(t), 'misspelled')
    const unknown = await command([`file:${missing}`, 'stats'])
    assert.equal(unknown.code, 1)
    assert.match(unknown.stderr, /there is no such folder/)
    assert.equal(unknown.stderr.split('\n').length, 2, 'one line')
    assert.ok(!fs.existsSync(missing), 'and it is not made')

    const secret = await command(['nosuch://user:a/hunter2@host/0?password=hunter2', 'stats'])
    assert.equal(secret.code, 1)
    assert.doesNotMatch(secret.stderr, /hunter2/)

    const broken = await command([`file:${missing}`, 'import'], '{"sid":"a"}\n')
    assert.deepEqual(
      [broken.code, broken.stdout, broken.stderr],
      [1, 'imported 0\n', `file:${missing}: line 1 is no {"sid":...,"session":{...}}\n`],
    )
    for (const swapped of [
      ['stats', 'redis://u:hunter2@h'],
      ['memory:', 'mongodb:hunter2', 'copy'],
    ]) {
      const { code, stderr } = await command(swapped)
      assert.equal(code, 2)
      assert.doesNotMatch(stderr, /hunter2/)
    }
    assert.match((await command(['memory:', 'stats', '--full'])).stderr, /^stats takes no --full/)
    assert.match((await command(['memory:', 'ls', '--file', 'x'])).stderr, /^ls takes no --file/)
    assert.match((await command(['memory:'])).stderr, /^a command is missing/)
    assert.match((await command(['--version'])).stdout, /^\d+\.\d+\.\d+/)
    const nowhere = await command(['memory:', 'copy', 'nosuch://h'])
    assert.match(nowhere.stderr, /^nosuch:/, 'the place that failed is named')
    assert.equal((await command([`file:${missing}?create=true`, 'stats'])).code, 0)
  }))

test('sessions that cannot be read are told of, and half a file is not left', (t) =>
  check(t, async () => {
    const url = `file:${path.join(folder(t), 'sessions')}`
    const serializer = { stringify: (it) => `v1:${JSON.stringify(it)}`, parse: JSON.parse }
    const [own, plain] = [new RustStore({ url, serializer }), new RustStore(url)]
    await own.set('a', { cookie: {} })
    await plain.set('b', { cookie: {}, '\u001b[31m': 1 })
    await Promise.all([own.close(), plain.close()])
    const file = path.join(folder(t), 'backup.jsonl')
    for (const args of [['ls'], ['export', '--file', file], ['copy', `${url}2`]]) {
      const { code, stdout, stderr } = await command([url, ...args])
      assert.equal(code, 1, args.join(' '))
      assert.match(stderr, /^1 of the sessions cannot be read/)
      assert.ok(!stdout.includes('\u001b'), 'a key is no command of the terminal')
    }
    assert.equal(fs.readFileSync(file, 'utf8').split('\n').length, 2)

    const unwritable = path.join(folder(t), 'cut.jsonl')
    const failed = await command(['redis://127.0.0.1:1', 'export', '--file', unwritable])
    assert.equal(failed.code, 1)
    assert.ok(!fs.existsSync(unwritable))
  }))
