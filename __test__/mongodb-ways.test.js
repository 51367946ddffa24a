'use strict'
// The ways to a MongoDB server: TLS, credentials, and a name whose servers DNS tells.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { once } = require('node:events')
const path = require('node:path')
const { MongoClient } = require('mongodb')
const { RustStore } = require('..')
const { certificates } = require('./servers/certificates.js')
const servers = require('./servers/mongodb.js')
const { start } = require('./file/processes.js')

const { test } = servers.testing()

const DATABASE = 'shop'

const session = (data) => ({ cookie: { originalMaxAge: 3_600_000, path: '/' }, ...data })

function open(t, url, options) {
  const store = new RustStore({ url, ...options })
  t.after(() => store.close())
  return store
}

/** What `down` says. A store that waits keeps no process alive. */
async function reason(store) {
  const alive = setInterval(() => {}, 1_000)
  try {
    return (await once(store, 'down'))[0]
  } finally {
    clearInterval(alive)
  }
}

async function works(store) {
  await store.set('a', session({ n: 1 }))
  assert.equal((await store.get('a')).n, 1)
}

async function pems(t, ...hosts) {
  const files = await certificates(...hosts)
  t.after(files.end)
  return files
}

/** A server that has the collection; it is then started anew with these flags. */
async function serve(t, ...flags) {
  const server = await servers.startServer()
  t.after(() => server.stop())
  await servers.createCollection(server.url, DATABASE, 'sessions')
  await again(server, ...flags)
  return server
}

async function again(server, ...flags) {
  await server.kill()
  await server.start(...flags)
}

const tlsFlags = ({ cert, key }) => ['--tls-cert-file', cert, '--tls-key-file', key]

test('TLS, with an authority of its own', async (t) => {
  const own = await pems(t)
  const { url } = await serve(t, ...tlsFlags(own))
  await works(open(t, `${url}/shop?tls=true&tlsCAFile=${own.ca}`))
  const other = await pems(t)
  for (const parameters of ['tls=true', `tls=true&tlsCAFile=${other.ca}`, 'tls=false']) {
    const store = open(t, `${url}/shop?${parameters}`, { commandTimeout: 1_000 })
    assert.equal((await reason(store)).code, 'ERR_STORE_UNAVAILABLE', parameters)
    await assert.rejects(store.get('a'), { code: 'ERR_STORE_UNAVAILABLE' })
  }
})

test('TLS, where the server wants a certificate of the client', async (t) => {
  const own = await pems(t)
  const flags = ['--tls-ca-file', own.ca, '--tls-require-client-cert']
  const { url } = await serve(t, ...tlsFlags(own), ...flags)
  const trusted = `${url}/shop?tls=true&tlsCAFile=${own.ca}`
  await works(open(t, `${trusted}&tlsCertificateKeyFile=${own.both}`))
  assert.equal((await reason(open(t, trusted))).code, 'ERR_STORE_UNAVAILABLE')
})

test('credentials', async (t) => {
  // It is killed right after.
  const server = await serve(t, '--sync-on-commit')
  const client = await MongoClient.connect(server.url)
  const roles = [{ role: 'readWrite', db: DATABASE }]
  await client.db('admin').command({ createUser: 'app', pwd: 'p@ss/word', roles })
  await client.close()
  await again(server, '--auth')
  const host = `127.0.0.1:${server.port}`
  await works(open(t, `mongodb://app:p%40ss%2Fword@${host}/shop?authSource=admin`))
  for (const wrong of ['app:password@', '']) {
    const error = await open(t, `mongodb://${wrong}${host}/shop?authSource=admin`)
      .get('a')
      .catch((error) => error)
    assert.equal(error.code, 'ERR_STORE_AUTH', wrong)
  }
})

test('mongodb+srv: the servers and more parameters are those that DNS tells', async (t) => {
  if (process.platform !== 'linux' || process.getuid() !== 0) {
    return t.diagnostic('not tried: only root on Linux can put a DNS server in place of the usual')
  }
  const command = ['unshare', '--mount', '--']
  if (spawnSync(command[0], [...command.slice(1), 'true']).status !== 0) {
    return t.diagnostic(`not tried: this system does not allow ${command.join(' ')}`)
  }
  const own = await pems(t, 'node.sessions.test')
  const { port } = await serve(t, ...tlsFlags(own))
  const script = path.join(__dirname, 'mongodb', 'srv.js')
  const args = [...command.slice(1), process.execPath, script, String(port), own.ca]
  const { ended, lines, stderr } = start(t, command[0], args)
  await ended
  assert.deepEqual(lines, ['passed'], stderr())
})
