// Connections that the engine has made, carried by this event loop: what is read goes to the engine, and
// what it wants written is written. Knows nothing of what the bytes mean.
'use strict'

const { Socket } = require('node:net')

const BUFFER_BYTES = 64 * 1024

// Of their own: those that Node cuts from a common one are not to be kept.
const newBuffer = () => Buffer.allocUnsafeSlow(BUFFER_BYTES)

/**
 * Carries a connection, which keeps neither the process alive nor `listener`. That is asked for at each
 * event and has `received(id, bytes, length)` and `lost(id)`.
 *
 * @param fd the file descriptor, which is closed with the socket
 * @param listener a function; undefined from it ends the connection
 */
function carry(id, fd, listener) {
  const socket = new Socket({
    fd,
    onread: {
      buffer: newBuffer(),
      callback: (length, bytes) => {
        const heard = listener()
        if (heard === undefined) socket.destroy()
        else heard.received(id, bytes, length)
        return true
      },
    },
  })
  socket.unref()
  // What ends it is no news: `close` follows.
  socket.on('error', () => {})
  socket.on('end', () => socket.destroy())
  socket.on('close', () => listener()?.lost(id))
  return socket
}

module.exports = { carry, newBuffer }
