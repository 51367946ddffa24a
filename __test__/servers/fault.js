// Runs tests in which servers and networks fail, with what is gone after each. Knows nothing of what may
// fail, or of what a store should make of it.
'use strict'

const { RustStore } = require('../..')
const { listen } = require('../conformance/harness.js')
const { createProxy } = require('./proxy.js')
const { testing, until } = require('./redis.js')

const { test } = testing()

// Of a store, in ms, where a test does not ask for others.
const TIMEOUTS = { commandTimeout: 1000, connectTimeout: 1000 }

/** Runs a test with servers, proxies and stores that are gone after it; `ms`, how long it waits by design. */
function fault(name, body, ms = 0) {
  test(name, { timeout: 60_000 + ms }, async (t) => {
    const ends = []
    const use = async (starting, end = (it) => it.end()) => {
      const it = await starting
      ends.push(() => end(it))
      return it
    }
    const open = (url, options) =>
      use(new RustStore({ url, ...TIMEOUTS, ...options }), (store) => store.close().catch(() => {}))
    const proxied = (port) => use(createProxy(port), (proxy) => proxy.close())
    try {
      await body({ t, use, open, proxied })
    } finally {
      for (const end of ends.reverse()) await end()
    }
  })
}

/** Waits for an event. A store that nobody calls keeps no process alive, and waiting does. */
function heard(store, event) {
  const events = listen(store, event)
  return until(`the event ${event}`, () => events.length > 0).then(() => events[0])
}

module.exports = { TIMEOUTS, fault, heard }
