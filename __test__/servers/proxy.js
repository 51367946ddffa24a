'use strict'
// A TCP proxy in front of a server, for what networks do: be slow, fall silent, break. Knows nothing
// of what it carries.

const { once } = require('node:events')
const net = require('node:net')

/**
 * `{ port, pause(), resume(), cut(), delay(ms), close() }`, to a port of this machine.
 *
 * pause   nothing passes any more, not even the end of a connection: half-open. New connections are
 *         accepted, and as silent
 * resume  all that was held back passes, in order
 * cut     each connection that is there breaks in the middle of what the server says next
 * delay   what comes from now on passes so many ms later
 */
async function createProxy(targetPort) {
  const pairs = new Set()
  let paused = false
  let delayMs = 0

  const proxy = net.createServer((client) => {
    const server = net.connect(targetPort, '127.0.0.1')
    const pair = { client, server, held: [], isCut: false }
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.resetAndDestroy()
      server.destroy()
    }
    const pass = (what) => {
      if (paused) pair.held.push(what)
      else what()
    }
    const carry = (from, to) => {
      from.setNoDelay(true)
      from.on('data', (bytes) => {
        const write = () => {
          if (to.destroyed) return
          if (!pair.isCut || from === client) return to.write(bytes)
          to.write(bytes.subarray(0, bytes.length >> 1), end)
        }
        if (delayMs > 0) setTimeout(pass, delayMs, write)
        else pass(write)
      })
      from.on('close', () => pass(end))
      from.on('error', () => {})
    }
    carry(client, server)
    carry(server, client)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  // It must not keep a test process alive.
  proxy.unref()

  return {
    port: proxy.address().port,
    pause() {
      paused = true
    },
    resume() {
      paused = false
      for (const pair of pairs) for (const what of pair.held.splice(0)) what()
    },
    cut() {
      for (const pair of pairs) pair.isCut = true
    },
    delay(ms) {
      delayMs = ms
    },
    async close() {
      proxy.close()
      for (const { client, server } of pairs) {
        client.destroy()
        server.destroy()
      }
      await once(proxy, 'close')
    },
  }
}

module.exports = { createProxy }
