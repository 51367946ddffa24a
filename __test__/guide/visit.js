'use strict'
// What the tests of the guide's app share: the app with a store of its own, and a browser that visits it.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const http = require('node:http')
const { RustStore } = require('rust-session-store')
const { createApp } = require('../../examples/guide/app')

/** Starts the app with a store of its own; both end with the test. */
async function guide(t, options = {}) {
  const store = new RustStore()
  const server = http.createServer(createApp({ store, secret: 'not a secret', ...options }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    server.close()
    server.closeAllConnections()
    await store.close()
  })
  return { store, url: `http://127.0.0.1:${server.address().port}` }
}

/** A browser as far as these tests need one: a jar for the cookie, forms, no redirect followed. */
class Browser {
  constructor(url, headers = {}) {
    this.url = url
    this.headers = headers
    this.cookie = undefined
  }

  async request(where, init = {}) {
    const headers = { ...this.headers, ...init.headers }
    if (this.cookie) headers.cookie = this.cookie
    const res = await fetch(this.url + where, { ...init, headers, redirect: 'manual' })
    this.setCookie = res.headers.getSetCookie()
    for (const line of this.setCookie) {
      const [pair] = line.split(';')
      this.cookie = pair.endsWith('=') ? undefined : pair
    }
    return { status: res.status, location: res.headers.get('location'), text: await res.text() }
  }

  get(where) {
    return this.request(where)
  }

  post(where, fields = {}, headers = {}) {
    return this.request(where, { method: 'POST', body: new URLSearchParams(fields), headers })
  }
}

/** The one session of the store. */
async function only(store) {
  const sessions = Object.entries(await store.all())
  assert.equal(sessions.length, 1)
  const [[sid, session]] = sessions
  return { sid, session }
}

module.exports = { Browser, guide, only }
