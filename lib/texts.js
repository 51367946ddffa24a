// Sessions in and out of text, by JSON or by the serializer of the options. Knows nothing of bases or of
// records.
'use strict'

const { isPromise } = require('node:util').types
const { unreadable } = require('./errors')
const { stringify } = require('./json')
const { shorten, written } = require('./short')

class Texts {
  constructor(serializer = JSON) {
    this.isJson = serializer === JSON
    this.read = (text) => serializer.parse(text)
    this.write = this.isJson ? stringify : (session) => serializer.stringify(session)
    this.writeShort = this.isJson ? shorten : this.write
    // Of what `shorten` has returned: its outline, or -1 where it is whole, and what it goes without.
    this.outline = -1
    this.maxAge = 0
    // With JSON, what would be read back as no object is refused at once.
    this.isText = this.isJson ? (text) => text[0] === '{' || text[0] === '[' : () => true
  }

  /** The session of a text; throws what the serializer throws, and where it is none. */
  parse(text) {
    const session = this.read(text)
    if (!this.isJson && isPromise(session)) {
      session.catch(() => {})
      throw new TypeError(
        '"parse" of the option "serializer" must be synchronous, and returned a promise',
      )
    }
    if (typeof session === 'object' && session !== null) return session
    throw new TypeError('the record is not an object')
  }

  /** The text of a session, in short where it may be: see outlines.js. */
  shorten(session) {
    const text = this.stringify(session, this.writeShort)
    if (this.isJson) {
      this.outline = written.outline
      this.maxAge = written.maxAge
    }
    return text
  }

  /** The text of a session. */
  stringify(session, write = this.write) {
    let text
    let cause
    try {
      if (typeof session === 'object' && session !== null) text = write(session)
    } catch (thrown) {
      cause = thrown
    }
    if (typeof text === 'string' && this.isText(text)) return text
    const why =
      cause instanceof Error ? cause.message : `it is ${session === null ? 'null' : typeof session}`
    throw unreadable(
      `the session cannot be turned into text: ${why}; what was stored before is kept`,
      cause,
    )
  }

  /** The text of what a text says, but for the cookie, which is that of `session`. */
  withCookie(text, { cookie }) {
    return this.stringify({ ...this.read(text), cookie })
  }
}

module.exports = { Texts }
