// A worker thread that serves one Express app on a store that other threads share. Told what to
// do by messages: { open } lets a held request go on, { destroy } ends a session.
'use strict'

const { once } = require('node:events')
const { parentPort, workerData } = require('node:worker_threads')
const express = require('express')
const session = require('express-session')
const { RustStore } = require('../..')

const store = new RustStore(workerData.store)
store.on('gone', (sid) => parentPort.postMessage({ gone: sid }))
store.on('conflict', (sid, paths) => parentPort.postMessage({ conflict: { sid, paths } }))

const web = express()
web.use(session({ secret: workerData.secret, resave: false, saveUninitialized: false, store }))

web.get('/set', async (req, res) => {
  const { hold, key, ...fields } = req.query
  if (hold) {
    parentPort.postMessage({ held: hold })
    for (;;) {
      const [message] = await once(parentPort, 'message')
      if (message.open === hold) break
    }
  }
  if (key) req.session[key] ??= {}
  Object.assign(key ? req.session[key] : req.session, fields)
  res.json(null)
})

web.get('/destroy', (req, res, next) => {
  req.session.destroy((error) => (error ? next(error) : res.json(null)))
})

web.get('/session', (req, res) => {
  const { cookie: _cookie, ...data } = req.session
  res.json(data)
})

const server = web.listen(0, '127.0.0.1', () => {
  parentPort.postMessage({ listening: server.address().port })
})
