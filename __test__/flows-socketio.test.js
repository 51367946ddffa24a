// socket.io 4.8 beside Express, one session for both: reload and save per event, sign out while the
// socket is open.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { Server } = require('socket.io')
const { io: connect } = require('socket.io-client')
const {
  call,
  dataOf,
  fakeClock,
  makeGate,
  startApp,
  HOUR,
  MINUTE,
  PATIENCE,
  SECOND,
} = require('./flows/app')

/** An app with socket.io on its server, `onSocket(socket)` for each connection. */
async function startSockets(t, onSocket, options) {
  const app = await startApp(t, options)
  // Both ends take Date.now for their heartbeat, and some tests move it.
  const io = new Server(app.server, { pingInterval: HOUR })
  io.engine.use(app.session)
  io.on('connection', onSocket)
  const clients = []
  app.ending.push(async () => {
    for (const client of clients) client.disconnect()
    await io.close()
  })
  /** A connected socket of a browser. */
  app.connect = async (tab, transport = 'websocket') => {
    const client = connect(app.origin, {
      transports: [transport],
      extraHeaders: { cookie: tab.cookieHeader() },
      reconnection: false,
      forceNew: true,
    })
    clients.push(client)
    await once(client, 'connect')
    return client
  }
  return app
}

async function signedIn(t, data, onSocket, options) {
  const app = await startSockets(t, onSocket, options)
  const tab = app.browser({ forgets: false })
  await tab.run((req) => {
    Object.assign(req.session, structuredClone(data))
  })
  return { app, tab, sid: tab.sid }
}

/** Emits an event and answers with what its acknowledgement was given. */
const ask = (socket, ...event) => socket.timeout(PATIENCE).emitWithAck(...event)

/** The recipe of socket.io's documentation: reload before each event, save after it. */
function reloadAndSave(socket) {
  const { request } = socket
  socket.use((_packet, next) => {
    request.session.reload((error) => {
      if (error) socket.disconnect()
      else next()
    })
  })
  socket.on('add', async (sku, reply) => {
    request.session.cart[sku] = (request.session.cart[sku] ?? 0) + 1
    await call(request.session, 'save')
    reply(request.session.cart)
  })
  socket.on('who', (reply) => reply(request.session.user))
}

for (const transport of ['websocket', 'polling']) {
  test(`${transport}: an event sees the session as it is now, and saves it`, async (t) => {
    const { app, tab } = await signedIn(t, { user: 'ada', cart: {} }, reloadAndSave)
    const socket = await app.connect(tab, transport)
    assert.deepEqual(await ask(socket, 'add', 'bread'), { bread: 1 })
    await tab.run((req) => {
      assert.deepEqual(req.session.cart, { bread: 1 })
      req.session.cart.milk = 1
      req.session.user = 'grace'
    })
    assert.equal(await ask(socket, 'who'), 'grace')
    assert.deepEqual(await ask(socket, 'add', 'bread'), { bread: 2, milk: 1 })
    assert.deepEqual(await tab.sees(), { user: 'grace', cart: { bread: 2, milk: 1 } })
    await app.quiet()
    assert.deepEqual(app.conflicts, [])
  })

  test(`${transport}: signing out ends the socket at its next event, and stays`, async (t) => {
    const { app, tab, sid } = await signedIn(t, { user: 'ada', cart: {} }, reloadAndSave)
    const socket = await app.connect(tab, transport)
    await ask(socket, 'add', 'bread')
    await tab.run((req) => call(req.session, 'destroy'))

    const ended = once(socket, 'disconnect')
    socket.emit('add', 'milk', () => assert.fail('the event was handled'))
    assert.deepEqual((await ended)[0], 'io server disconnect')
    assert.equal(await app.stored(sid), undefined)
    assert.equal(await app.length(), 0)
  })

  test(`${transport}: what the handshake has read long ago undoes nothing`, async (t) => {
    const { app, tab } = await signedIn(t, { user: 'ada' }, (socket) => {
      socket.on('seen', async (id, reply) => {
        socket.request.session.seen = id
        await call(socket.request.session, 'save')
        reply()
      })
    })
    const socket = await app.connect(tab, transport)
    await tab.run((req) => {
      req.session.theme = 'dark'
    })
    await ask(socket, 'seen', 1)
    await tab.run((req) => {
      req.session.language = 'en'
    })
    await ask(socket, 'seen', 2)
    const expected = { user: 'ada', theme: 'dark', language: 'en', seen: 2 }
    assert.deepEqual(await tab.sees(), expected)
    await app.quiet()
    assert.deepEqual(app.conflicts, [])
  })

  test(`${transport}: a save without reload after the sign out brings nothing back`, async (t) => {
    const { app, tab, sid } = await signedIn(t, { user: 'ada' }, (socket) => {
      socket.on('seen', async (reply) => {
        socket.request.session.seen = true
        await call(socket.request.session, 'save')
        reply()
      })
    })
    const socket = await app.connect(tab, transport)
    await tab.run((req) => call(req.session, 'destroy'))
    await ask(socket, 'seen')
    socket.disconnect()
    assert.equal(await app.stored(sid), undefined)
    await app.quiet()
    assert.ok(app.gone.length > 0)
    assert.deepEqual(new Set(app.gone), new Set([sid]))
  })
}

test('events of two tabs at once, and a page, all add to one cart', async (t) => {
  const gates = { bread: makeGate(), milk: makeGate() }
  const { app, tab } = await signedIn(t, { cart: {} }, (socket) => {
    const { request } = socket
    socket.on('add', async (sku, reply) => {
      await call(request.session, 'reload')
      await gates[sku].pass()
      request.session.cart[sku] = 1
      await call(request.session, 'save')
      reply()
    })
  })
  const [first, second] = [await app.connect(tab), await app.connect(tab)]
  const adding = [ask(first, 'add', 'bread'), ask(second, 'add', 'milk')]
  await Promise.all([gates.bread.arrived, gates.milk.arrived])
  await tab.run((req) => {
    req.session.cart.apples = 1
  })
  gates.bread.open()
  gates.milk.open()
  await Promise.all(adding)
  assert.deepEqual(await tab.sees(), { cart: { apples: 1, bread: 1, milk: 1 } })
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('an open socket that saves neither shortens nor brings back its session', async (t) => {
  const clock = fakeClock(t)
  const options = { session: { cookie: { maxAge: MINUTE } } }
  const { app, tab, sid } = await signedIn(
    t,
    { user: 'ada' },
    (socket) => {
      socket.on('seen', async (id, reply) => {
        socket.request.session.seen = id
        await call(socket.request.session, 'save')
        reply()
      })
    },
    options,
  )
  const socket = await app.connect(tab)
  clock.forward(50 * SECOND)
  await tab.sees()
  clock.forward(20 * SECOND)
  await ask(socket, 'seen', 1)
  clock.forward(39 * SECOND)
  assert.deepEqual(dataOf(await app.stored(sid)), { user: 'ada', seen: 1 })
  clock.forward(SECOND)
  await ask(socket, 'seen', 2)
  assert.equal(await app.stored(sid), undefined)
  await app.quiet()
  assert.deepEqual(app.gone, [sid])
})
