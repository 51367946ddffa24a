// A user's app: a cart in the session, signing in and out.
const express = require('express')
const session = require('express-session')
const { RustStore } = require('rust-session-store')

exports.createApp = function createApp(store = new RustStore()) {
  const app = express()
  app.use(session({ store, secret: 'a', resave: false, saveUninitialized: false }))
  app.post('/login/:name', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error)
      req.session.user = req.params.name
      res.json({ user: req.session.user })
    })
  })
  app.post('/cart/:sku', (req, res) => {
    req.session.cart ??= {}
    req.session.cart[req.params.sku] = (req.session.cart[req.params.sku] ?? 0) + 1
    res.json(req.session.cart)
  })
  app.get('/', (req, res) => {
    res.json({ user: req.session.user ?? null, cart: req.session.cart ?? {} })
  })
  app.post('/logout', (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.json({ user: null })))
  })
  return app
}

/** Listens on a free port and resolves a browser: it keeps the cookie, and closes the server. */
exports.open = async function open(app) {
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  let cookie = ''
  return {
    async visit(method, path) {
      const address = `http://127.0.0.1:${server.address().port}${path}`
      const response = await fetch(address, { method, headers: { cookie } })
      cookie = response.headers.get('set-cookie')?.split(';')[0] ?? cookie
      return response.json()
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}
