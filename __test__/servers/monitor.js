'use strict'
// What a Redis server executes, as its MONITOR tells it: which commands a call is made of. Knows nothing
// of stores.

const { once } = require('node:events')
const { connect } = require('node:net')
const { createInterface } = require('node:readline')
const { until } = require('./redis.js')

class Monitor {
  #server
  #socket
  #lines = []
  #marks = 0

  /** Resolves when the server tells of all that it executes. */
  static async of(server) {
    const monitor = new Monitor()
    monitor.#server = server
    // Tests end their servers, too.
    monitor.#socket = connect(server.port, '127.0.0.1').on('error', () => {})
    const lines = createInterface({ input: monitor.#socket })
    const begun = once(lines, 'line')
    lines.on('line', (line) => monitor.#lines.push(line))
    monitor.#socket.write('MONITOR\r\n')
    await begun
    return monitor
  }

  /**
   * What was executed from when `call` was made to when it was answered, each command a list of words:
   * `sent` by clients, and `inside` scripts.
   */
  async during(call) {
    await this.#mark()
    await call()
    const lines = await this.#mark()
    const all = lines.map((line) => line.match(/^\+\S+ \[\d+ (\S+)\] (.*)$/))
    const by = (isScript) =>
      all.filter(([, client]) => (client === 'lua') === isScript).map(([, , text]) => wordsOf(text))
    return { sent: by(false), inside: by(true) }
  }

  /** Takes what was executed since the last mark: a mark is told of after all that came before it. */
  async #mark() {
    const mark = `mark ${++this.#marks}`
    const place = () => this.#lines.findIndex((line) => line.includes(mark))
    await this.#server.ask('ECHO', mark)
    await until('the mark', () => place() >= 0)
    return this.#lines.splice(0, place() + 1).slice(0, -1)
  }

  end() {
    this.#socket.destroy()
  }
}

const wordsOf = (text) =>
  [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word]) => word.replace(/\\(["\\])/g, '$1'))

module.exports = { Monitor }
