// Walks over all sessions of an open store, a page in each turn of the event loop. Knows nothing of who asks
// for them, or of what a backend does for a page.
'use strict'

const { copyBase } = require('./base')
const { Pending } = require('./pending')
const { nextTurn, promised } = require('./answer')

/** The result of an operation of the engine, waited for where it comes later. */
function settled(result) {
  if (!(result instanceof Pending)) return result
  return promised((answer) => {
    result.answer = answer
  })
}

/** Pages of all sessions, one in each turn of the event loop. */
async function* pages(engine) {
  for (let from = 0; from !== -1; ) {
    const { sessions, next } = await settled(engine.page(from))
    yield sessions
    from = next
    await nextTurn()
  }
}

async function countLive(engine) {
  let live = 0
  for (let from = 0; from !== -1; ) {
    const step = await settled(engine.count(from))
    live += step.live
    from = step.next
    if (from !== -1) await nextTurn()
  }
  return live
}

/** A session with its sid as `id`, unless it has an id of its own. */
function withId(session, sid) {
  const own = Object.getOwnPropertyDescriptor(session, 'id')
  if (own?.enumerable) return session
  // A serializer may hand out one object for two sids, or one that is frozen.
  const isFree = own === undefined && Object.isExtensible(session)
  const named = isFree
    ? session
    : Object.assign(Object.create(Object.getPrototypeOf(session)), session)
  if (named !== session) copyBase(session, named)
  return Object.defineProperty(named, 'id', { value: sid, configurable: true, writable: true })
}

module.exports = { countLive, pages, settled, withId }
