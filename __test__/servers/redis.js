// Real Redis servers for the tests, each on a free port with a data folder of its own. They are gone
// when the process that started them is, however it ends. Knows nothing of stores.
'use strict'

const { execFile, spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const { existsSync, mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { connect, createServer } = require('node:net')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { setTimeout: sleep } = require('node:timers/promises')
const { promisify } = require('node:util')
const { certificates } = require('./certificates.js')

// A server that is silent must not be waited for without an end.
const run = (command, args) =>
  promisify(execFile)(command, args, { timeout: 120_000, killSignal: 'SIGKILL' })

// Another server of the kind, such as Valkey's.
const SERVER = process.env.RUST_STORE_TEST_REDIS ?? 'redis-server'

// Linux ends the server with the process that started it, also when that is killed.
const SETPRIV = '/usr/bin/setpriv'
const wrapper = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL'] : []

// A node of a cluster talks to the others on its port plus 10,000.
const HIGHEST_PORT = 55_535

/** A port that was free a moment ago. */
async function freePort() {
  for (;;) {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address()
    server.close()
    await once(server, 'close')
    if (port <= HIGHEST_PORT) return port
  }
}

/**
 * Why there are no servers for tests, or undefined. In CI there have to be some, but on platforms that have
 * none, which the workflow then says.
 */
function missing() {
  if (process.env.RUST_STORE_TEST_WITHOUT?.split(',').includes('redis')) {
    return 'RUST_STORE_TEST_WITHOUT names it'
  }
  if (process.env.CI === 'true') return undefined
  const programs = [SERVER, 'redis-cli']
  const isThere = (program) => spawnSync(program, ['--version']).status === 0
  return programs.every(isThere) ? undefined : 'redis-server and redis-cli are not installed'
}

/** node:test, or nothing in its place where there are no servers, which is said. */
function testing() {
  const why = missing()
  if (why === undefined) return require('node:test')
  console.log(`Redis is not tested: ${why}.`)
  const nothing = () => {}
  return { after: nothing, before: nothing, test: nothing }
}

/** Waits until it is so: a server's state that nobody announces. */
async function until(what, isSo, ms = 30_000) {
  const end = Date.now() + ms
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await sleep(20)
  }
}

const running = new Set()
process.on('exit', () => {
  for (const one of running) one.end()
})

class RedisServer {
  #dir = mkdtempSync(join(tmpdir(), 'rust-session-store-redis-'))
  #arguments
  #process

  constructor(port, args, lines = []) {
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
    const own = ['--port', port, '--bind', '127.0.0.1', '--dir', this.#dir]
    const file = join(this.#dir, 'redis.conf')
    writeFileSync(file, lines.join('\n'))
    this.#arguments = [file, ...own, ...args].map(String)
  }

  async start() {
    const [command, ...args] = [...wrapper, SERVER, ...this.#arguments]
    const server = spawn(command, args, { stdio: 'ignore' })
    this.#process = server
    server.unref()
    running.add(this)
    await once(server, 'spawn')
    await until(`redis-server on ${this.port}`, () => {
      if (server.exitCode !== null) throw new Error(`redis-server ended with ${server.exitCode}`)
      return this.#listens()
    })
    return this
  }

  #listens() {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1', () => resolve(true) || socket.destroy())
      socket.on('error', () => resolve(false))
    })
  }

  /** One command; its answer as redis-cli shows it. */
  async ask(...words) {
    for (let tries = 1; ; tries++) {
      try {
        const args = ['-p', String(this.port), ...words.map(String)]
        const { stdout } = await run('redis-cli', args)
        return stdout.trim()
      } catch (error) {
        // A server that is promoted ends the connections it has.
        if (tries === 3 || !/reset by peer|closed the connection/.test(error.message)) throw error
      }
    }
  }

  /** As `kill -9` does it; resolves when it is dead. */
  async kill() {
    const server = this.#process
    if (server.exitCode !== null || server.signalCode !== null) return
    server.ref()
    server.kill('SIGKILL')
    await once(server, 'exit')
  }

  /** Takes what is sent, and answers nothing. */
  suspend() {
    this.#process.kill('SIGSTOP')
  }

  resume() {
    this.#process.kill('SIGCONT')
  }

  /** Ends it and removes its folder; may be called at any time. */
  end() {
    running.delete(this)
    this.#process?.kill('SIGKILL')
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

/** Starts a server on a free port; `args` are those of the command line. */
async function startRedis(...args) {
  return startRedisOn(await freePort(), ...args)
}

async function startRedisOn(port, ...args) {
  return new RedisServer(port, ['--save', '', ...args]).start()
}

/** Starts a server that is also reached by TLS: `{ url, end }`. */
async function startRedisTls() {
  const { ca, cert, key, end } = await certificates()
  process.on('exit', end)
  const port = await freePort()
  const server = await startRedis(
    ...['--tls-port', port, '--tls-auth-clients', 'no'],
    ...['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca],
  )
  return { url: `rediss://127.0.0.1:${port}?tlsCa=${ca}`, end: () => endAll([server]) }
}

/** Starts a sentinel. It writes into its configuration, and so wants it in a file. */
async function startSentinel(lines) {
  return new RedisServer(await freePort(), ['--sentinel'], lines).start()
}

function endAll(servers) {
  for (const server of servers) server.end()
}

/** A master, a replica, and three sentinels that watch them, all knowing each other. */
async function startSentinels() {
  const soon = ['--repl-diskless-sync-delay', 0]
  const master = await startRedis(...soon)
  const replica = await startRedis(...soon, '--replicaof', `127.0.0.1 ${master.port}`)
  const lines = [
    `sentinel monitor sessions 127.0.0.1 ${master.port} 2`,
    'sentinel down-after-milliseconds sessions 1000',
    'sentinel failover-timeout sessions 5000',
  ]
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(lines)))
  for (const sentinel of sentinels) {
    await until('the sentinels to know each other', async () =>
      (await sentinel.ask('INFO', 'sentinel')).includes('slaves=1,sentinels=3'),
    )
  }
  await until('the replica', async () =>
    (await replica.ask('INFO', 'replication')).includes('master_link_status:up'),
  )
  const servers = [master, replica, ...sentinels]
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')
  return {
    master,
    replica,
    nodes: [master, replica],
    sentinels,
    url: `redis+sentinel://${hosts}/sessions`,
    end: () => endAll(servers),
  }
}

/** Six nodes: three masters, each with a replica. */
async function startCluster(...args) {
  const own = ['--cluster-enabled', 'yes', '--cluster-node-timeout', 2000, ...args]
  const nodes = await Promise.all(
    [1, 2, 3, 4, 5, 6].map(() => startRedis(...own, '--repl-diskless-sync-delay', 0)),
  )
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
  await run('redis-cli', [
    ...['--cluster', 'create', ...addresses],
    ...['--cluster-replicas', '1', '--cluster-yes'],
  ])
  for (const node of nodes) {
    await until('the cluster', async () => {
      const [info, slots] = [await node.ask('CLUSTER', 'INFO'), await node.ask('CLUSTER', 'NODES')]
      const isLinked = slots.split('\n').every((line) => line.includes(' connected'))
      const replicas = slots.split('\n').filter((line) => line.includes('slave')).length
      return info.includes('cluster_state:ok') && isLinked && replicas === 3
    })
  }
  return {
    nodes,
    url: `redis+cluster://${addresses.join(',')}`,
    /** Moves so many slots from one node to another, by their ids. */
    reshard: (from, to, slots) =>
      run('redis-cli', [
        ...['--cluster', 'reshard', addresses[0], '--cluster-from', from, '--cluster-to', to],
        ...['--cluster-slots', String(slots), '--cluster-yes'],
      ]),
    end: () => endAll(nodes),
  }
}

/**
 * A server as the master that one sentinel names, by the port of what stands before it: `announce(port)`
 * resolves that. The sentinel has more patience than a fault takes.
 */
async function startSentinelBefore(announce, ...args) {
  const server = await startRedis(...args)
  const sentinel = await startSentinel([
    `sentinel monitor sessions 127.0.0.1 ${await announce(server.port)} 1`,
    'sentinel down-after-milliseconds sessions 600000',
  ])
  return {
    server,
    url: `redis+sentinel://127.0.0.1:${sentinel.port}/sessions`,
    end: () => endAll([server, sentinel]),
  }
}

/**
 * A cluster of so many masters without replicas, of which the first, `server`, tells clients the port of
 * what stands before it: `announce(port)` resolves that. The nodes themselves talk past it.
 */
async function startMasters(count, announce, ...args) {
  const nodes = []
  const told = []
  for (let node = 0; node < count; node++) {
    const port = await freePort()
    told.push(node === 0 ? await announce(port) : port)
    const own = ['--cluster-enabled', 'yes', '--cluster-node-timeout', 2000]
    nodes.push(await startRedisOn(port, ...own, '--cluster-announce-port', told[node], ...args))
  }
  const slots = Array.from({ length: 16_384 }, (_, slot) => slot)
  const owner = (slot) => Math.floor((slot * count) / slots.length)
  for (const [index, node] of nodes.entries()) {
    await node.ask('CLUSTER', 'ADDSLOTS', ...slots.filter((slot) => owner(slot) === index))
    if (index > 0) await node.ask('CLUSTER', 'MEET', '127.0.0.1', nodes[0].port)
  }
  for (const node of nodes) {
    await until('the cluster', async () => {
      const info = await node.ask('CLUSTER', 'INFO')
      return info.includes('cluster_state:ok') && info.includes(`cluster_size:${count}`)
    })
  }
  const url = `redis+cluster://${told.map((port) => `127.0.0.1:${port}`).join(',')}`
  return { server: nodes[0], url, end: () => endAll(nodes) }
}

module.exports = {
  freePort,
  missing,
  startCluster,
  startMasters,
  startRedis,
  startRedisOn,
  startRedisTls,
  startSentinelBefore,
  startSentinels,
  testing,
  until,
}
