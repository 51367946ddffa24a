// Real Redis servers for the tests, each on a free port with a data folder of its own. They are gone
// when the process that started them is, however it ends. Knows nothing of stores.
'use strict'

const { spawn } = require('node:child_process')
const { mkdtempSync, rmSync } = require('node:fs')
const { connect, createServer } = require('node:net')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { setTimeout: sleep } = require('node:timers/promises')

/** A port that was free a moment ago. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

async function listening(port, server) {
  while (server.exitCode === null) {
    const ok = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true) || socket.destroy())
      socket.on('error', () => resolve(false))
    })
    if (ok) return
    await sleep(20)
  }
  throw new Error(`redis-server ended with ${server.exitCode}`)
}

const running = new Set()
process.on('exit', () => {
  for (const one of running) one.end()
})

/** Starts a server; `args` are those of the command line. Resolves `{ port, url, end }`. */
async function startRedis(...args) {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'rust-session-store-redis-'))
  const own = ['--port', port, '--bind', '127.0.0.1', '--dir', dir, '--save', '', ...args]
  const server = spawn('redis-server', own.map(String), { stdio: 'ignore' })
  server.unref()
  const one = {
    port,
    url: `redis://127.0.0.1:${port}`,
    end() {
      running.delete(one)
      server.kill('SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    },
  }
  running.add(one)
  await new Promise((resolve, reject) => {
    server.on('spawn', resolve)
    server.on('error', reject)
  })
  await listening(port, server)
  return one
}

module.exports = { freePort, startRedis }
