// Event streams: responses that hold their session for long and save it late, through Express.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const {
  call,
  dataOf,
  fakeClock,
  makeGate,
  signedIn,
  MINUTE,
  SECOND,
  assertGone,
} = require('./flows/app')

const signOut = (req) => call(req.session, 'destroy')

/** An event stream: sends its head at once, then runs `steps` when their gates open, then ends. */
async function openStream(tab, ...steps) {
  const gates = steps.map(makeGate)
  const done = steps.map(makeGate)
  let reply
  await new Promise((resolve) => {
    const onHead = () => resolve()
    const handler = async (req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(': open\n\n')
      for (const [n, step] of steps.entries()) {
        await gates[n].pass()
        await step(req, res)
        done[n].pass()
      }
      res.end()
    }
    reply = tab.run(handler, { onHead })
  })
  return {
    async step(n) {
      gates[n].open()
      await done[n].arrived
    },
    reply,
  }
}

test('an event stream saves what it has after others changed the session', async (t) => {
  const { app, tab } = await signedIn(t, { user: 'ada' })
  const stream = await openStream(tab, async (req) => {
    req.session.lastEvent = 7
    await call(req.session, 'save')
  })
  await tab.run((req) => {
    req.session.theme = 'dark'
  })
  await stream.step(0)
  assert.deepEqual(await tab.sees(), { user: 'ada', theme: 'dark', lastEvent: 7 })
  await stream.reply
  assert.deepEqual(await tab.sees(), { user: 'ada', theme: 'dark', lastEvent: 7 })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

for (const [when, wait] of [
  ['before', 5 * SECOND],
  ['after', 20 * SECOND],
]) {
  test(`an event stream that saves ${when} the expiry it has read, after others touched`, async (t) => {
    const clock = fakeClock(t)
    const options = { session: { rolling: true, cookie: { maxAge: MINUTE } } }
    const { app, tab } = await signedIn(t, { user: 'ada' }, options)
    const saved = (req) => {
      req.session.lastEvent = 7
      return call(req.session, 'save')
    }
    const stream = await openStream(tab, saved, () => {})
    clock.forward(50 * SECOND)
    await tab.sees()
    clock.forward(wait)
    await stream.step(0)
    clock.forward(MINUTE - SECOND - wait)

    assert.deepEqual(dataOf(await app.stored(tab.sid)), { user: 'ada', lastEvent: 7 })
    clock.forward(SECOND)
    assert.equal(await app.stored(tab.sid), undefined)
    await stream.step(1)
    await stream.reply
    await app.quiet()
    assert.deepEqual(app.conflicts, [])
  })
}

test('an event stream that saves after the logout does not bring the session back', async (t) => {
  const flow = await signedIn(t, { user: 'ada' })
  const stream = await openStream(flow.tab, async (req) => {
    req.session.lastEvent = 7
    await call(req.session, 'save')
  })
  await flow.tab.run(signOut)
  await stream.step(0)
  assert.equal(await flow.app.stored(flow.sid), undefined)
  await stream.reply
  await assertGone(flow, 1)
})

test('an event stream that saves after its session expired does not bring it back', async (t) => {
  const clock = fakeClock(t)
  const flow = await signedIn(t, { user: 'ada' }, { session: { cookie: { maxAge: MINUTE } } })
  const stream = await openStream(flow.tab, async (req) => {
    req.session.lastEvent = 7
    await call(req.session, 'save')
    req.session.lastEvent = 8
  })
  clock.forward(MINUTE)
  assert.equal(await flow.app.stored(flow.sid), undefined)
  await stream.step(0)
  await stream.reply
  await assertGone(flow, 2)
  assert.equal(await flow.app.length(), 0)
})
