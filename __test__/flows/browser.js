// A browser as an app meets it: a cookie jar, requests, and requests that can be held at a point.
// Knows nothing of Express or of stores.
'use strict'

const http = require('node:http')

/** Milliseconds; a request that takes longer will never be answered. */
const PATIENCE = 10_000

/** A point where a handler waits: `await gate.pass()` there, `arrived` and `open()` in the test. */
function makeGate() {
  const gate = {}
  gate.arrived = new Promise((resolve) => {
    gate.pass = () => {
      resolve()
      return gate.opened
    }
  })
  gate.opened = new Promise((resolve) => {
    gate.open = resolve
  })
  return gate
}

/** What the app put on a session, without express-session's `cookie`. */
function dataOf(sessionObject) {
  if (sessionObject == null) return null
  const { cookie: _cookie, ...data } = JSON.parse(JSON.stringify(sessionObject))
  return data
}

/** One cookie jar. Requests are sent at once, over a connection of their own each. */
class Browser {
  /** `forgets: false` sends cookies past their time too, as a client may. */
  constructor(app, { forgets = true } = {}) {
    this.app = app
    this.forgets = forgets
    this.jar = new Map()
  }

  /** The signed session cookie, parsed: `value` and its attributes in lower case. */
  get cookie() {
    return this.jar.get('connect.sid')
  }

  get sid() {
    const value = this.cookie && decodeURIComponent(this.cookie.value)
    return value?.slice(2, value.lastIndexOf('.'))
  }

  /** Another browser that holds the same cookies now, and keeps them whatever happens here. */
  copy() {
    const copy = new Browser(this.app, { forgets: false })
    copy.jar = new Map(this.jar)
    return copy
  }

  cookieHeader() {
    const live = [...this.jar.values()].filter(
      ({ expires }) => !this.forgets || !expires || Date.parse(expires) > Date.now(),
    )
    return live.map(({ name, value }) => `${name}=${value}`).join('; ')
  }

  /** Sends a request and answers with `{ status, headers, text, body, cookies }`. */
  request(path, { method = 'GET', headers = {}, onHead } = {}) {
    return new Promise((resolve, reject) => {
      const cookie = this.cookieHeader()
      const options = {
        method,
        agent: false,
        timeout: PATIENCE,
        headers: { ...headers, ...(cookie && { cookie }) },
      }
      const outgoing = http.request(this.app.origin + path, options, (incoming) => {
        const reply = { status: incoming.statusCode, headers: incoming.headers, text: '' }
        reply.cookies = (incoming.headers['set-cookie'] ?? []).map((line) => this.keep(line))
        onHead?.(reply)
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk) => {
          reply.text += chunk
        })
        incoming.on('error', reject)
        incoming.on('end', () => {
          const isJson = /json/.test(incoming.headers['content-type'])
          reply.body = isJson ? JSON.parse(reply.text) : reply.text
          resolve(reply)
        })
      })
      outgoing.on('error', reject)
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer to ${path}`)))
      outgoing.end()
    })
  }

  /** What a browser does with a `Set-Cookie` line. */
  keep(line) {
    const [pair, ...attributes] = line.split('; ')
    const cut = pair.indexOf('=')
    const cookie = { name: pair.slice(0, cut), value: pair.slice(cut + 1) }
    for (const attribute of attributes) {
      const [name, value = true] = attribute.split('=')
      cookie[name.toLowerCase()] = value
    }
    const isOver = cookie.expires && Date.parse(cookie.expires) <= Date.now()
    if (isOver && this.forgets) this.jar.delete(cookie.name)
    else this.jar.set(cookie.name, cookie)
    return cookie
  }

  /** A request whose handler is the given function; what it returns is the reply's body. */
  run(handler, options) {
    return this.request(this.app.route(handler), options)
  }

  /**
   * A request that has read its session and now waits before its handler; answers when it waits.
   * `finish()` lets the handler run and answers with the reply.
   */
  async hold(handler, options) {
    const gate = makeGate()
    const reply = this.run(async (req, res) => {
      await gate.pass()
      return handler(req, res)
    }, options)
    await Promise.race([gate.arrived, reply])
    return {
      finish() {
        gate.open()
        return reply
      },
    }
  }

  /** What the next request of this browser finds in its session. */
  async sees() {
    const { body } = await this.run((req) => dataOf(req.session))
    return body
  }
}

module.exports = { Browser, dataOf, makeGate, PATIENCE }
