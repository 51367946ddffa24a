'use strict'
// Child process with mounts of its own: answers DNS as the administrator of `sessions.test` would, and
// uses a store whose URL names no more than that. `node srv.js <port of the server> <file of the authority>`

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const dgram = require('node:dgram')
const { once } = require('node:events')
const { writeFileSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const packet = require('dns-packet')
const { RustStore } = require('../..')

const [, , port, ca] = process.argv
const ADDRESS = '127.0.0.153'
const zone = {
  'SRV _mongodb._tcp.sessions.test': { port: Number(port), target: 'node.sessions.test' },
  'TXT sessions.test': ['authSource=admin'],
  'A node.sessions.test': '127.0.0.1',
}

async function main() {
  const asked = new Set()
  const dns = dgram.createSocket('udp4')
  dns.on('message', (message, from) => {
    const { id, questions } = packet.decode(message)
    const [{ name, type }] = questions
    const data = zone[`${type} ${name.toLowerCase()}`]
    if (data !== undefined) asked.add(type)
    const answers = data === undefined ? [] : [{ name, type, ttl: 60, data }]
    const flags = packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE
    dns.send(
      packet.encode({ id, type: 'response', flags, questions, answers }),
      from.port,
      from.address,
    )
  })
  dns.bind(53, ADDRESS)
  await once(dns, 'listening')
  const file = join(tmpdir(), `rust-session-store-resolv-${process.pid}`)
  writeFileSync(file, `nameserver ${ADDRESS}\n`)
  execFileSync('mount', ['--bind', file, '/etc/resolv.conf'])
  rmSync(file)

  const store = new RustStore(`mongodb+srv://sessions.test/shop?tlsCAFile=${ca}`)
  await store.set('a', { cookie: {}, n: 1 })
  assert.equal((await store.get('a')).n, 1)
  assert.deepEqual([...asked].sort(), ['A', 'SRV', 'TXT'])
  await store.close()
  dns.close()
  console.log('passed')
}

main()
