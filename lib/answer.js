// How an answer reaches its caller: once, and never from inside a `try` of ours. Knows nothing of
// what was asked.
'use strict'

// From the module and now, since test runners put timers of their own in place of the globals.
const { setImmediate } = require('node:timers')

const { queueMicrotask } = globalThis

// Callbacks inside callbacks before the next is deferred: a loop over many sids, written as
// recursion, must not overflow the stack.
const MAX_DEPTH = 32
let depth = 0

/** Calls back after the caller's code has ended, in its AsyncLocalStorage context. */
function later(callback, error, result) {
  if (error) setImmediate(callback, error)
  else if (result === undefined) setImmediate(callback, null)
  else setImmediate(callback, null, result)
}

/** Calls back at once. An exception of the callback is the caller's own. */
function now(callback, result) {
  if (depth === MAX_DEPTH) {
    later(callback, null, result)
    return
  }
  depth++
  try {
    if (result === undefined) callback(null)
    else callback(null, result)
  } finally {
    depth--
  }
}

/** Has an exception of a callback surface as an uncaughtException, once the caller is done. */
function throwLater(thrown) {
  queueMicrotask(() => {
    throw thrown
  })
}

/** Resolves when the event loop has gone round. */
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** A promise of what `start` answers. */
function promised(start) {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      if (error) reject(error)
      else resolve(result)
    })
  })
}

/** Refuses what is neither a callback nor none. */
function checkCallback(callback) {
  if (typeof callback !== 'function' && callback !== undefined && callback !== null) {
    throw new TypeError(`the callback must be a function; got ${typeof callback}`)
  }
}

/** Has `start` answer to the callback, or to a promise where no such argument was `given`. */
function answerTo(given, callback, start) {
  if (!given) return promised(start)
  checkCallback(callback)
  start(callback)
}

module.exports = {
  answerTo,
  checkCallback,
  later,
  nextTurn,
  now,
  promised,
  setImmediate,
  throwLater,
}
