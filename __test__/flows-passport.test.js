// Passport 0.7 and connect-flash on a RustStore: sign in, sign out, messages, also at once.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const flash = require('connect-flash')
const { Passport, Strategy } = require('passport')
const { call, dataOf, makeGate, startApp } = require('./flows/app')

/** Signs in whoever `?user=` names. */
class ByName extends Strategy {
  name = 'by-name'

  authenticate(req) {
    const { user } = req.query
    if (user) this.success({ id: user })
    else this.fail(401)
  }
}

/** An app with Passport; `known` are the users it can still find. */
async function startPassport(t) {
  const passport = new Passport()
  const known = new Set(['ada', 'grace'])
  passport.use(new ByName())
  passport.serializeUser((user, done) => done(null, user.id))
  passport.deserializeUser((id, done) => done(null, known.has(id) ? { id } : false))
  const app = await startApp(t, { after: [passport.session(), flash()] })
  const authenticate = passport.authenticate('by-name', { keepSessionInfo: true })
  app.signIn = (tab, user) =>
    tab.request(
      `${app.route(
        (req, res) =>
          new Promise((resolve, reject) => {
            authenticate(req, res, (error) => (error ? reject(error) : resolve(req.user.id)))
          }),
      )}?user=${user}`,
    )
  return Object.assign(app, { known })
}

const whoAmI = (req) => (req.isAuthenticated() ? req.user.id : 'nobody')
const signOut = (req) => call(req, 'logout')

test('sign in gives a new sid, keeps what the app asked to keep; sign out ends it', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await tab.run((req) => {
    req.session.cart = { bread: 1 }
  })
  const anonymous = tab.sid
  assert.equal((await app.signIn(tab, 'ada')).body, 'ada')

  assert.notEqual(tab.sid, anonymous)
  assert.equal(await app.stored(anonymous), undefined)
  assert.equal((await tab.run(whoAmI)).body, 'ada')
  assert.deepEqual(await tab.sees(), { passport: { user: 'ada' }, cart: { bread: 1 } })

  const signedIn = tab.sid
  await tab.run(signOut)
  assert.equal(await app.stored(signedIn), undefined)
  assert.equal((await tab.run(whoAmI)).body, 'nobody')
  await app.quiet()
  assert.deepEqual(app.gone, [])
  assert.deepEqual(app.conflicts, [])
})

test('a refused sign in leaves the session as it is', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await tab.run((req) => {
    req.session.cart = { bread: 1 }
  })
  assert.equal((await app.signIn(tab, '')).status, 401)
  assert.deepEqual(await tab.sees(), { cart: { bread: 1 } })
})

test('a request that saves after the sign out does not sign in again', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await app.signIn(tab, 'ada')
  const thief = tab.copy()
  const { sid } = tab
  const late = await tab.hold((req) => {
    req.session.theme = 'dark'
    return whoAmI(req)
  })
  await tab.run(signOut)
  await late.finish()

  assert.equal(await app.stored(sid), undefined)
  assert.equal((await thief.run(whoAmI)).body, 'nobody')
  await app.quiet()
  assert.deepEqual(app.gone, [sid])
})

test('a request begun before the sign in does not reach the session after it', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await tab.run((req) => {
    req.session.cart = { bread: 1 }
  })
  const late = await tab.hold((req) => {
    req.session.cart = { poison: 1 }
  })
  await app.signIn(tab, 'ada')
  await late.finish()
  assert.deepEqual(await tab.sees(), { passport: { user: 'ada' }, cart: { bread: 1 } })
  assert.equal(await app.length(), 1)
})

test('two sign outs at once, one of them late', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await app.signIn(tab, 'ada')
  const { sid } = tab
  const late = await tab.hold(signOut)
  await tab.run(signOut)
  assert.equal((await late.finish()).status, 200)
  assert.equal(await app.stored(sid), undefined)
  assert.equal((await tab.run(whoAmI)).body, 'nobody')
})

test('a user who no longer exists is signed out, other keys are kept', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await app.signIn(tab, 'ada')
  const late = await tab.hold((req) => {
    req.session.theme = 'dark'
  })
  app.known.delete('ada')
  assert.equal((await tab.run(whoAmI)).body, 'nobody')
  await late.finish()
  app.known.add('ada')
  assert.equal((await tab.run(whoAmI)).body, 'nobody')
  assert.deepEqual(await tab.sees(), { passport: {}, theme: 'dark' })
})

test('two identities never mix in passport, whoever saves last', async (t) => {
  const elevate = (req) => {
    req.session.passport.elevated = true
  }
  const change = (req) => {
    req.session.passport = { user: 'grace' }
  }
  for (const [first, second, expected] of [
    [elevate, change, { user: 'grace' }],
    [change, elevate, { user: 'ada', elevated: true }],
  ]) {
    const app = await startPassport(t)
    const tab = app.browser()
    await app.signIn(tab, 'ada')
    const late = await tab.hold(second)
    await tab.run(first)
    await late.finish()
    assert.deepEqual(await tab.sees(), { passport: expected })
    await app.quiet()
    assert.deepEqual(app.conflicts, [{ sid: tab.sid, paths: [['passport']] }])
  }
})

test('two people who sign in at once from one anonymous session get a session each', async (t) => {
  const app = await startPassport(t)
  const first = app.browser()
  await first.run((req) => {
    req.session.cart = { bread: 1 }
  })
  const anonymous = first.sid
  const second = first.copy()
  const replies = await Promise.all([app.signIn(first, 'ada'), app.signIn(second, 'grace')])
  assert.deepEqual(
    replies.map((reply) => reply.body),
    ['ada', 'grace'],
  )
  assert.equal((await first.run(whoAmI)).body, 'ada')
  assert.equal((await second.run(whoAmI)).body, 'grace')
  assert.equal(await app.stored(anonymous), undefined)
  assert.equal(await app.length(), 2)
})

test('flash: a message is shown once, after the redirect', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await tab.run((req, res) => {
    req.flash('info', 'saved')
    req.flash('info', 'and sent')
    res.redirect('/')
  })
  const show = (req) => req.flash('info')
  assert.deepEqual((await tab.run(show)).body, ['saved', 'and sent'])
  assert.deepEqual((await tab.run(show)).body, [])
})

test('flash: two requests at once may both show a message; the next one does not', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await tab.run((req) => req.flash('info', 'saved'))
  const show = (req) => req.flash('info')
  const late = await tab.hold(show)
  assert.deepEqual((await tab.run(show)).body, ['saved'])
  assert.deepEqual((await late.finish()).body, ['saved'])
  assert.deepEqual((await tab.run(show)).body, [])
  await app.quiet()
  assert.deepEqual(app.conflicts, [])
})

test('flash: messages of different types at once are both kept', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await tab.run((req) => req.flash('info', 'first'))
  const late = await tab.hold((req) => req.flash('error', 'failed'))
  assert.deepEqual((await tab.run((req) => req.flash('info'))).body, ['first'])
  await late.finish()
  assert.deepEqual((await tab.run((req) => req.flash())).body, { error: ['failed'] })
  assert.deepEqual(dataOf(await app.stored(tab.sid)), { flash: {} })
})

test('flash: messages of one type at once, the later array is kept and the app is told', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await tab.run((req) => req.flash('info', 'first'))
  const late = await tab.hold((req) => req.flash('info', 'late'))
  await tab.run((req) => req.flash('info', 'early'))
  await late.finish()
  assert.deepEqual((await tab.run((req) => req.flash('info'))).body, ['first', 'late'])
  await app.quiet()
  assert.deepEqual(app.conflicts, [{ sid: tab.sid, paths: [['flash', 'info']] }])
})

test('flash: what was shown is not shown again when a message was added at once', async (t) => {
  const show = (req) => req.flash('info')
  const add = (req) => req.flash('info', 'second')
  for (const [first, second] of [
    [show, add],
    [add, show],
  ]) {
    const app = await startPassport(t)
    const tab = app.browser()
    await tab.run((req) => req.flash('info', 'first'))
    const late = await tab.hold(second)
    await tab.run(first)
    await late.finish()
    assert.deepEqual((await tab.run(show)).body, [])
    await app.quiet()
    assert.deepEqual(app.conflicts, [{ sid: tab.sid, paths: [['flash', 'info']] }])
  }
})

test('flash: a message that waits on a slow page is not lost to a save in the middle', async (t) => {
  const app = await startPassport(t)
  const tab = app.browser()
  await tab.run((req) => {
    req.session.user = 'ada'
  })
  const gate = makeGate()
  const slow = tab.run(async (req) => {
    req.flash('info', 'from the slow page')
    await call(req.session, 'save')
    await gate.pass()
    req.session.done = true
  })
  await gate.arrived
  assert.deepEqual((await tab.run((req) => req.flash('info'))).body, ['from the slow page'])
  gate.open()
  await slow
  assert.deepEqual((await tab.run((req) => req.flash('info'))).body, [])
  assert.deepEqual(await tab.sees(), { user: 'ada', flash: {}, done: true })
})
