/**
 * The guide's app: sign in, preferences, a cart, a look into the session, sign out.
 * It is given a store and never asks which: that is what makes a change of SESSION_URL enough.
 * It does not listen and reads no environment; server.js does both.
 */
'use strict'

const { randomUUID } = require('node:crypto')
const path = require('node:path')
const express = require('express')
const session = require('express-session')
const { catalogue } = require('./catalogue')
const { languages, translator } = require('./messages')
const guard = require('./guard')
const { layout } = require('./views/layout')
const pages = require('./views/pages')

const DAY = 24 * 60 * 60 * 1000
const THEMES = ['system', 'light', 'dark']
const CART_ACTIONS = ['add', 'more', 'less', 'remove']
const MOST = 99

/**
 * @param store       where sessions live
 * @param secret      signs the cookie; a list signs with its first and accepts every one
 * @param trustProxy  Express's `trust proxy`: how many proxies, or which, stand in front
 * @param secure      true: cookies over HTTPS only. 'auto': Secure where the session began over HTTPS
 * @param maxAge      ms without a request after which a session ends
 */
function createApp({ store, secret, trustProxy = false, secure = 'auto', maxAge = DAY }) {
  const app = express()
  // A `__Host-` name makes browsers refuse the cookie from another subdomain or without Secure.
  const cookieName = secure === true ? '__Host-guide.sid' : 'guide.sid'

  app.disable('x-powered-by')
  // express-session asks `req.secure`, and this decides whether X-Forwarded-Proto is believed.
  app.set('trust proxy', trustProxy)

  app.use(guard.headers)
  app.use(express.static(path.join(__dirname, 'public')))
  // What is refused here never reaches the store.
  app.use(guard.sameOrigin)
  if (secure === true) app.use(guard.httpsForForms)
  app.use(express.urlencoded({ extended: false, limit: '8kb' }))

  app.use(
    session({
      store,
      secret,
      name: cookieName,
      resave: false, // an unchanged session is only touched
      saveUninitialized: false, // no record and no cookie for a visitor who did nothing
      rolling: true, // the cookie's time starts anew together with the record's
      cookie: { httpOnly: true, sameSite: 'lax', secure, maxAge },
    }),
  )

  app.get('/', (req, res) => {
    // After sign out there is no session that could carry the message.
    const bye = 'signed-out' in req.query && !req.session.user
    const flash = bye ? [{ text: 'signed-out' }] : []
    show(req, res, pages.shop, { flash })
  })

  // --- Sign in, sign out

  app.get('/sign-in', (req, res) => {
    if (req.session.user) return res.redirect(303, '/')
    show(req, res, pages.signIn)
  })

  app.post('/sign-in', async (req, res) => {
    const name = field(req, 'name').trim()
    if (name === '' || [...name].length > 60) {
      return show(req, res, pages.signIn, { name, invalid: true, status: 422 })
    }
    // What a visitor chose comes along. What belongs to somebody who is signed in does not.
    const { cart, preferences } = req.session.user ? {} : req.session
    // A new id, so that nobody who knew the old one is signed in now (session fixation).
    await finish(req, 'regenerate')
    if (cart) req.session.cart = cart
    if (preferences) req.session.preferences = preferences
    // All about the identity under `user`: the store merges that key as one unit, never by halves.
    req.session.user = { name, since: new Date().toISOString() }
    say(req, 'signed-in', { name })
    await saveAndGo(req, res, '/')
  })

  app.post('/sign-out', async (req, res) => {
    // A cookie is only cleared by one with the same attributes.
    const { path, httpOnly, sameSite, secure } = req.session.cookie
    await finish(req, 'destroy')
    res.clearCookie(cookieName, { path, httpOnly, sameSite, secure })
    res.redirect(303, '/?signed-out')
  })

  // --- Preferences

  app.get('/preferences', (req, res) => show(req, res, pages.preferences, { THEMES }))

  app.post('/preferences', async (req, res, next) => {
    const language = field(req, 'language')
    const theme = field(req, 'theme')
    if (!languages.includes(language) && !THEMES.includes(theme)) return next(problem(400))
    req.session.preferences ??= {}
    // Only what this form sent: another tab may be changing the other one right now.
    if (languages.includes(language)) req.session.preferences.language = language
    if (THEMES.includes(theme)) req.session.preferences.theme = theme
    say(req, 'saved')
    await saveAndGo(req, res, '/preferences')
  })

  // --- Cart

  app.get('/cart', (req, res) => show(req, res, pages.cart))

  app.post('/cart/:sku/:action', async (req, res, next) => {
    const { sku, action } = req.params
    if (!catalogue.has(sku) || !CART_ACTIONS.includes(action)) return next()
    req.session.cart ??= {}
    const { cart } = req.session
    const quantity = cart[sku] ?? 0

    // One request, one key. `req.session.cart = { ...cart, [sku]: n }` would do too, as the store
    // compares key by key; a list of lines would not: two tabs would have changed one value.
    if (action === 'add' || action === 'more') cart[sku] = Math.min(quantity + 1, MOST)
    else if (action === 'less' && quantity > 1) cart[sku] = quantity - 1
    else delete cart[sku]

    if (action === 'add') say(req, 'added', { item: sku })
    else if (!(sku in cart)) say(req, 'removed', { item: sku })
    await saveAndGo(req, res, action === 'add' ? `/#${sku}` : '/cart')
  })

  // --- A look into the session

  app.get('/session', async (req, res) => {
    const stats = await store.stats()
    // The end of this request moves the expiry; show it as it will be.
    req.session.touch()
    show(req, res, pages.session, { stats })
  })

  // --- Everything else

  app.use((_req, _res, next) => next(problem(404)))

  // Four parameters: that is how Express knows an error handler.
  app.use((err, req, res, _next) => {
    // A store that is down answers with a retryable error.
    const status = err.retryable ? 503 : (err.status ?? 500)
    if (status >= 500) console.error(err)
    // The page was sent and only the touch after it failed: there is nothing to add.
    if (res.headersSent) return res.end()
    if (status === 503) res.set('Retry-After', '5')
    show(req, res, pages.error, { status, text: err.text, keepFlash: true })
  })

  return app
}

/** Sends a page. `req.session` may be absent here: an error page must work without the store. */
function show(req, res, page, { status = 200, flash = [], keepFlash = false, ...data } = {}) {
  const { preferences = {}, cart = {}, user, flash: waiting = {} } = req.session ?? {}
  const language = preferences.language ?? (req.acceptsLanguages(languages) || 'en')

  if (!keepFlash) {
    flash = flash.concat(Object.values(waiting))
    // Each shown message by its key; one that another tab adds meanwhile waits for its turn.
    for (const key of Object.keys(waiting)) delete waiting[key]
  }

  const view = {
    language,
    theme: preferences.theme ?? 'system',
    t: translator(language),
    path: req.path,
    session: req.session,
    user,
    cart,
    flash,
    status,
    ...data,
  }
  res
    .status(status)
    .type('html')
    .send(layout(view, page(view)).toString())
}

/** Leaves a message for the next page. A key of its own, so that two tabs leave two messages. */
function say(req, text, values = {}) {
  req.session.flash ??= {}
  req.session.flash[randomUUID()] = { text, values }
}

/** The session is saved first: a browser may follow a redirect before its response has ended. */
async function saveAndGo(req, res, url) {
  await finish(req, 'save')
  res.redirect(303, url)
}

/** `req.session.save(callback)` and its like, as a promise. */
function finish(req, method) {
  return new Promise((resolve, reject) => {
    req.session[method]((err) => (err ? reject(err) : resolve()))
  })
}

/** A field of the form; '' where it is missing or was sent twice. */
function field(req, name) {
  const value = req.body?.[name]
  return typeof value === 'string' ? value : ''
}

function problem(status) {
  return Object.assign(new Error(`HTTP ${status}`), { status })
}

module.exports = { createApp }
