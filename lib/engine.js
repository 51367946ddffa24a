// One open store as JavaScript sees it: sessions and their bases handed to the engine, and its answers
// turned into results or errors. Knows nothing of callbacks, promises or when to answer.
'use strict'

const native = require('./native')
const { RustStoreError, fromEngine, unreadable } = require('./errors')
const { baseOf } = require('./base')
const { KEEP, LATER, isCookieChanged } = require('./expiry')
const { optionsText } = require('./options')
const { ALL } = require('./order')
const { Pending } = require('./pending')
const { revive } = require('./revive')
const { ask, save, saveCookie, tell } = require('./save')
const { Texts } = require('./texts')
const { Waiting } = require('./waiting')
const {
  numbers,
  EXPIRES,
  EXTRA,
  FAILED,
  NOW,
  NUMBER,
  OUTLINE,
  PENDING,
  SHAPE,
  SPOT,
  STATUS,
  VERSION,
} = require('./numbers')

// Every operation returns its result, or a Pending where the backend answers later. Those of the memory
// backend never wait, and are kept free of what waiting needs.

// How long a clear may take, in ms, where a backend does it in one step.
const LONGEST_CLEAR_MS = 60_000

class Engine {
  /** @param announce called with the name and arguments of each event */
  constructor(options, announce) {
    const waiting = new Waiting((name, detail) => this.hear(name, detail))
    this.texts = new Texts(options.serializer)
    const opened = native.open(optionsText(options), numbers, waiting.ready, this.texts.isJson)
    if (typeof opened === 'string') throw fromEngine(opened)
    const [handle, factsText] = opened
    const { backend, identity, ttlMs, commandTimeoutMs, inside, ...facts } = JSON.parse(factsText)
    this.handle = handle
    this.announce = announce
    this.backend = backend
    this.place = identity
    // Which of get, set and touch are answered inside the call.
    this.inside = inside
    // Undefined where every operation is.
    this.waiting = facts.waits ? waiting : undefined
    this.waiting?.start(handle, commandTimeoutMs, inside.get)
    this.passThrough = facts.passThrough
    this.ttl = typeof options.ttl === 'function' ? options.ttl : ttlMs
    this.hits = 0
    this.misses = 0
    this.corrupt = 0
    this.errors = {}
  }

  /** The session of a sid, or undefined. */
  get(sid) {
    const key = toKey(sid)
    if (this.waiting?.order.isBusy(key)) {
      if (!this.inside.get) return this.waiting.behind(key, () => this.read(key))
      // The backend does not know of it yet.
      if (this.waiting.order.endsGone(key)) return this.found(key, undefined)
    }
    return this.read(key)
  }

  read(key) {
    numbers[NOW] = Date.now()
    const text = native.get(this.handle, key)
    if (numbers[STATUS] === PENDING) return this.waiting.wait((text) => this.found(key, text))
    return this.found(key, text)
  }

  found(key, text) {
    if (text === undefined) {
      this.misses++
      return undefined
    }
    let session
    if (numbers[STATUS] === FAILED) this.corruptOr(key, fromEngine(text))
    else {
      session = revive(
        this,
        key,
        text,
        numbers[VERSION],
        numbers[NUMBER],
        numbers[SPOT],
        numbers[OUTLINE],
        numbers[SHAPE],
      )
    }
    if (session === undefined) this.misses++
    else this.hits++
    return session
  }

  /** A record that the backend cannot read is missing; any other failure is one. */
  corruptOr(key, error) {
    if (error.code !== 'ERR_STORE_DECODE') throw error
    this.corrupt++
    this.announce('corrupt', key, error)
  }

  /** Saves a session: see "what a save does" in docs/consistency.md. */
  set(sid, session) {
    return save(this, toKey(sid), session)
  }

  /**
   * Whether an operation has to wait for those before it. A backend that answers a read inside the call
   * keeps them in order by itself; a save still needs the base that the last one of its object leaves.
   */
  isBehind(key, session) {
    if (this.waiting === undefined || !this.waiting.order.isBusy(key)) return false
    return (
      !this.inside.get ||
      this.waiting.order.isHeld(key) ||
      this.waiting.order.isSaving(key, session)
    )
  }

  /** Moves the expiry of a session; saves its cookie where the app changed more of that. */
  touch(sid, session) {
    const key = toKey(sid)
    if (typeof session !== 'object' || session === null) {
      throw unreadable('touch wants the session as its second argument')
    }
    if (this.waiting !== undefined && !this.inside.touch && this.waiting.order.isBusy(key)) {
      return this.waiting.behind(key, () => this.move(key, session))
    }
    return this.move(key, session)
  }

  move(key, session) {
    const base = baseOf(session, this.place, key)
    const rule = ask(session, base, this.ttl)
    if (base !== undefined && isCookieChanged(base, session)) {
      return saveCookie(this, key, session, base)
    }
    if (rule === KEEP) return undefined
    if (this.waiting === undefined || rule === LATER || numbers[EXPIRES] > numbers[NOW]) {
      return this.nothing(native.touch(this.handle, key, tell(base)))
    }
    // It ends the session.
    if (!this.isBehind(key)) return this.nothing(native.touch(this.handle, key, tell(base)), key)
    const pending = this.waiting.behind(key, () => this.move(key, session))
    pending.removes = true
    return pending
  }

  destroy(sid) {
    const key = toKey(sid)
    if (!this.isBehind(key)) return this.remove(key)
    const pending = this.waiting.behind(key, () => this.remove(key))
    pending.removes = true
    return pending
  }

  remove(key) {
    return this.nothing(native.destroy(this.handle, key), key)
  }

  /** One step of a walk: `{ sessions: [[sid, session], ...], next }`; `next` -1 at the end. */
  page(from) {
    numbers[NOW] = Date.now()
    numbers[EXTRA] = from
    return this.after(this.answerOf(native.page(this.handle)), (flat) => {
      const next = numbers[NUMBER]
      const sessions = []
      for (let i = 0; i < flat.length; i += 4) {
        const session = revive(this, flat[i], flat[i + 1], flat[i + 2], flat[i + 3], 0, -1, -1)
        if (session !== undefined) sessions.push([flat[i], session])
      }
      return { sessions, next }
    })
  }

  /** One step of counting: `{ live, next }`. */
  count(from) {
    numbers[NOW] = Date.now()
    numbers[EXTRA] = from
    return this.after(this.answerOf(native.count(this.handle)), () => {
      return { live: numbers[VERSION], next: numbers[NUMBER] }
    })
  }

  clear() {
    if (this.isBehind(ALL)) {
      const pending = this.waiting.behind(ALL, () => this.clear())
      pending.removes = true
      return pending
    }
    // A save that follows it must not be met by a later step of it.
    const clearing = this.nothing(native.clear(this.handle), ALL)
    if (clearing instanceof Pending) {
      // It takes as long as there are sessions. A backend over a network answers for each of its steps.
      const longest = this.inside.get ? LONGEST_CLEAR_MS : Number.POSITIVE_INFINITY
      clearing.deadline = Math.max(clearing.deadline, clearing.since + longest)
      clearing.hasOwnDeadline = true
    }
    return clearing
  }

  ping() {
    return this.nothing(native.ping(this.handle))
  }

  stats() {
    const { hits, misses, corrupt } = this
    const stats = JSON.parse(check(native.stats(this.handle)))
    return { ...stats, hits, misses, corrupt, errors: { ...this.errors } }
  }

  /** Resolves when nothing is under way. */
  idle() {
    return this.waiting?.idle()
  }

  /** Lets the backend end its work. */
  end() {
    return this.nothing(native.end(this.handle))
  }

  close() {
    this.waiting?.stop()
    native.close(this.handle)
  }

  /** What the backend says of itself. */
  hear(name, detail) {
    if (name === 'warning') {
      process.emitWarning(detail, { type: 'RustStoreWarning', code: 'RUST_STORE' })
      return
    }
    if (detail === undefined) this.announce(name)
    else this.announce(name, detail)
    if (this.passThrough) this.announce(name === 'up' ? 'connect' : 'disconnect')
  }

  /** The answer of an operation: what the engine has returned, or will. */
  answerOf(result) {
    if (numbers[STATUS] !== PENDING) return check(result)
    return this.waiting.wait(check)
  }

  /** As `answerOf`, of an operation that has no result; `key` as Waiting's. */
  nothing(result, key) {
    if (numbers[STATUS] !== PENDING) return checkOnly(result)
    return this.waiting.wait(checkOnly, key)
  }

  /** Goes on with a result when it is there. */
  after(result, go) {
    if (!(result instanceof Pending)) return go(result)
    const first = result.go
    result.go = (answer) => this.after(first(answer), go)
    return result
  }

  /** Any failure as the error that the caller is told, counted. */
  failure(error, operation) {
    const told =
      error instanceof RustStoreError
        ? error
        : new RustStoreError('ERR_STORE_INTERNAL', error?.message ?? String(error), {
            cause: error,
          })
    this.errors[told.code] = (this.errors[told.code] ?? 0) + 1
    // Of an operation that takes others, whose name is in the message.
    const step = `${told.backend} ${told.operation}: `
    if (told.operation !== operation && told.operation && told.message.startsWith(step)) {
      const { backend, code, retryable, cause } = told
      const message = `${backend} ${operation}: ${told.message.slice(step.length)}`
      return new RustStoreError(code, message, { backend, operation, retryable, cause })
    }
    told.backend ||= this.backend
    told.operation = operation
    return told
  }
}

/** What the engine has just answered, unless that is a failure. */
function check(answer) {
  if (numbers[STATUS] === FAILED) throw fromEngine(answer)
  return answer
}

function checkOnly(answer) {
  check(answer)
}

function toKey(sid) {
  if (typeof sid === 'string') return sid
  try {
    return String(sid)
  } catch (cause) {
    throw unreadable('the sid cannot be turned into text', cause)
  }
}

module.exports = { Engine }
