// What a store tells those who listen, after the call that it comes from. Knows nothing of why.
'use strict'

const { setImmediate } = require('./answer')

class Events {
  #store
  // Of `disconnect` and `connect`, which was emitted last.
  #isDisconnected = false
  #isOver = false

  constructor(store) {
    this.#store = store
  }

  /** Emits an event after the call it comes from; an `error` that nobody listens to is dropped. */
  announce(name, ...details) {
    setImmediate(() => {
      if (name === 'disconnect' || name === 'connect') this.#isDisconnected = name === 'disconnect'
      if (this.#store.listenerCount(name) > 0) this.#store.emit(name, ...details)
    })
  }

  /** Tells a listener of `disconnect` that comes while the backend is down: an app may mount session() at any time. */
  tellLatecomers() {
    this.#store.on('newListener', (name, listener) => {
      if (name !== 'disconnect' || !this.#isDisconnected) return
      setImmediate(() => {
        if (!this.#isDisconnected || this.#isOver) return
        // That of a `once` takes itself off.
        const isIt = (one) => one === listener || one.listener === listener
        this.#store.rawListeners(name).find(isIt)?.call(this.#store)
      })
    })
  }

  /** The store is closed: nobody is told any more that it is down. */
  end() {
    this.#isOver = true
  }
}

module.exports = { Events }
