'use strict'
// A TCP proxy in front of a server, for the faults that a server does not have by itself: a network that
// goes silent, that cuts a reply in two, or that is slow. It knows bytes only, of no protocol.

const { once } = require('node:events')
const net = require('node:net')

/**
 * Listens on a free port of this machine and passes everything on to `targetPort`.
 *
 *   port       where to connect to
 *   pause()    goes silent, as a cable that was pulled: connections stay open, new ones are accepted,
 *              and nothing passes
 *   resume()   passes on again, what was held back first
 *   cut()      passes on half of the next reply and ends its connection; resolves when that happened
 *   delay(ms)  holds each reply back for so long, from now on
 *   close()    ends every connection and stops listening
 */
async function createProxy(targetPort) {
  const pairs = new Set()
  let isPaused = false
  let delayed = 0
  let cutting

  function end({ client, server }) {
    client.destroy()
    server.destroy()
  }

  function reply(pair, chunk) {
    if (cutting) {
      const { resolve } = cutting
      cutting = undefined
      pair.client.end(chunk.subarray(0, Math.max(1, chunk.length >> 1)), () => end(pair))
      resolve()
    } else if (!pair.client.writableEnded && !pair.client.write(chunk)) {
      pair.server.pause()
      pair.client.once('drain', () => !isPaused && pair.server.resume())
    }
  }

  const listener = net.createServer((client) => {
    const server = net.connect(targetPort, '127.0.0.1')
    const pair = { client, server, held: [] }
    pairs.add(pair)
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      // A connection that breaks on one side breaks on the other, which is all there is to say of it.
      socket.on('error', () => {})
      socket.on('close', () => {
        pairs.delete(pair)
        end(pair)
      })
    }
    client.on('data', (chunk) => {
      if (server.writableEnded || server.write(chunk)) return
      client.pause()
      server.once('drain', () => !isPaused && client.resume())
    })
    server.on('data', (chunk) => {
      if (!delayed && !pair.held.length) return reply(pair, chunk)
      // Whichever timer ends first, replies keep their order.
      pair.held.push(chunk)
      setTimeout(() => reply(pair, pair.held.shift()), delayed).unref()
    })
    // Listening for data has set them going.
    if (isPaused) {
      client.pause()
      server.pause()
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')

  const all = (act) => {
    for (const { client, server } of pairs) [client, server].forEach(act)
  }
  return {
    port: listener.address().port,
    pause() {
      isPaused = true
      all((socket) => socket.pause())
    },
    resume() {
      isPaused = false
      all((socket) => socket.resume())
    },
    cut() {
      cutting ??= withResolvers()
      return cutting.promise
    },
    delay(ms) {
      delayed = ms
    },
    async close() {
      for (const pair of pairs) end(pair)
      listener.close()
      await once(listener, 'close')
    },
  }
}

// Promise.withResolvers comes with Node.js 22.
function withResolvers() {
  const parts = {}
  parts.promise = new Promise((resolve) => {
    parts.resolve = resolve
  })
  return parts
}

module.exports = { createProxy }
