// A bar on a terminal that shows how far a command has come; nothing where stderr is no terminal.
// Knows nothing of sessions.
'use strict'

const WIDTH = 30
const EVERY_MS = 100

class Progress {
  #next = 0

  /** @param total undefined where it is not known */
  constructor(label, total) {
    this.label = label
    this.total = total
    this.done = 0
  }

  step() {
    this.done++
    const now = Date.now()
    if (!process.stderr.isTTY || now < this.#next) return
    this.#next = now + EVERY_MS
    process.stderr.write(`\r${this.#line()}`)
  }

  end() {
    if (process.stderr.isTTY && this.#next > 0) process.stderr.write(`\r${this.#line()}\n`)
  }

  #line() {
    if (!this.total) return `${this.label} ${this.done}`
    const share = Math.min(1, this.done / this.total)
    const bar = '#'.repeat(Math.round(share * WIDTH)).padEnd(WIDTH, '.')
    return `[${bar}] ${Math.round(share * 100)}% ${this.label} ${this.done} of ${this.total}`
  }
}

module.exports = { Progress }
