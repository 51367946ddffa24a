'use strict'
// The guide's server as a process: how it starts, ends, and says what is wrong with its environment.

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const { describe, test } = require('node:test')
const { Browser } = require('./guide/visit')

const SERVER = path.join(__dirname, '../examples/guide/server.js')

describe('guide: server.js', () => {
  function emptyFolder(t) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-'))
    t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  /** Runs it until `ready` has been printed, or to its end. */
  async function run(t, env, ready, cwd = emptyFolder(t)) {
    const clean = { ...process.env }
    for (const key of ['NODE_ENV', 'HOST', 'SESSION_SECRET', 'SESSION_URL', 'TRUST_PROXY']) {
      delete clean[key]
    }
    const child = spawn(process.execPath, [SERVER], {
      cwd,
      env: { ...clean, PORT: '0', ...env },
      timeout: 60_000,
    })
    t.after(() => child.kill('SIGKILL'))
    const ended = once(child, 'close')
    let output = ''
    const seen = new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text) => {
          output += text
          if (ready?.test(output)) resolve()
        })
      }
    })
    await Promise.race([seen, ended])
    return { child, ended, output: () => output }
  }

  test('serves, and ends in order when told to', async (t) => {
    const { child, ended, output } = await run(t, {}, /Ctrl\+C/)
    assert.match(output(), /SESSION_SECRET is not set: using one that is kept in/)
    const [, port] = output().match(/http:\/\/localhost:(\d+)/)
    // The connection stays open (keep-alive) and must not hold the end up.
    assert.equal((await fetch(`http://localhost:${port}/`)).status, 200)
    child.kill('SIGTERM')
    const [code] = await ended
    // Windows knows no SIGTERM: there, the process is simply ended.
    if (process.platform !== 'win32') assert.equal(code, 0)
  })

  test('a restart keeps people signed in', async (t) => {
    // There, sessions are in memory.
    if (process.platform === 'win32') return t.diagnostic('not tried: Windows')
    const folder = emptyFolder(t)
    const start = async () => {
      const { child, ended, output } = await run(t, {}, /Ctrl\+C/, folder)
      const [url] = output().match(/http:\/\/localhost:\d+/)
      return { url, child, ended }
    }
    const first = await start()
    const visitor = new Browser(first.url)
    await visitor.post('/sign-in', { name: 'Robin' })
    // However it ends.
    first.child.kill('SIGKILL')
    await first.ended
    const second = await start()
    visitor.url = second.url
    assert.match((await visitor.get('/cart')).text, /Robin/)
    await visitor.post('/sign-out')
    second.child.kill('SIGTERM')
    assert.deepEqual(await second.ended, [0, null])
    visitor.url = (await start()).url
    assert.doesNotMatch((await visitor.get('/cart')).text, /Robin/)
  })

  for (const [what, env, line] of [
    ['no secret in production', { NODE_ENV: 'production' }, /^Set SESSION_SECRET.*\n$/],
    ['a port that is none', { PORT: 'abc' }, /^PORT must be a number from 0 to 65535.*\n$/],
    [
      'a proxy that is none',
      { SESSION_SECRET: 'x', TRUST_PROXY: 'true' },
      /^TRUST_PROXY must.*\n$/,
    ],
    [
      'a URL that no backend knows',
      { SESSION_SECRET: 'x', SESSION_URL: 'ftp://x' },
      /^.*url.*\n$/i,
    ],
  ]) {
    test(`${what}: one line, and exit code 1`, async (t) => {
      const { ended, output } = await run(t, env)
      const [code] = await ended
      assert.match(output(), line)
      assert.equal(code, 1)
    })
  }

  test('a port that is taken: one line, and exit code 1', async (t) => {
    const other = http.createServer().listen(0, 'localhost')
    await once(other, 'listening')
    t.after(() => other.close())
    const { port } = other.address()
    const { ended, output } = await run(t, { PORT: String(port), SESSION_SECRET: 'x' })
    const [code] = await ended
    assert.match(output(), new RegExp(`^Port ${port} is taken\\. Set PORT to a free one.*\\n$`))
    assert.equal(code, 1)
  })
})
