// Connections that the engine has made, carried by this event loop: what is read goes to the engine, and
// what it could not write at once is written. Knows nothing of what the bytes mean.
'use strict'

const { closeSync } = require('node:fs')
const { Socket } = require('node:net')
const native = require('./native')
const { EXTRA, NUMBER, numbers } = require('./numbers')

const BUFFER_BYTES = 64 * 1024

// Of their own: those that Node cuts from a common one are not to be kept.
const newBuffer = () => Buffer.allocUnsafeSlow(BUFFER_BYTES)

class Sockets {
  // By their number.
  #sockets = new Map()
  // Where the engine leaves what is to be written: made when it first does.
  #room
  #listener

  /**
   * @param listener a function; what it returns is told of each event by `received(id, bytes, length)`,
   *   `written(id)` and `lost(id)`, undefined ends the connection. So nothing here keeps a store.
   */
  constructor(listener) {
    this.#listener = listener
  }

  /**
   * Carries a connection, which does not keep the process alive.
   */
  carry(handle, id) {
    const fd = native.claim(handle, id)
    if (fd < 0) return
    try {
      this.#sockets.set(id, open(id, fd, this.#listener))
      native.taken(handle, id)
    } catch {
      native.taken(handle, id)
      closeSync(fd)
      native.lost(handle, id)
    }
  }

  /** One has ended. */
  forget(id) {
    this.#sockets.delete(id)
  }

  /** Writes what a flush has left, and says when that is done. */
  write(handle) {
    for (let more = numbers[EXTRA]; more; more = numbers[NUMBER]) {
      this.#room ??= newBuffer()
      const length = native.output(handle, this.#room)
      if (length === 0) return
      const id = numbers[EXTRA]
      const socket = this.#sockets.get(id)
      if (socket === undefined) continue
      const bytes = this.#room.subarray(0, length)
      const isHeldUp = socket.writableLength > 0
      socket.write(isHeldUp ? Buffer.from(bytes) : bytes, (error) => {
        const isWritten = !error && !socket.destroyed && socket.writableLength === 0
        if (isWritten) this.#listener()?.written(id)
      })
      // It is mostly written by now. Else the socket needs it longer.
      if (!isHeldUp && socket.writableLength > 0) this.#room = undefined
    }
  }

  end() {
    for (const socket of this.#sockets.values()) socket.destroy()
  }
}

function open(id, fd, listener) {
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

module.exports = { Sockets }
