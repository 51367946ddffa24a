/**
 * Starts the guide: reads the environment, opens the store, listens, and ends in order.
 *
 *   PORT            3000
 *   HOST            localhost; 0.0.0.0 to be reached from elsewhere
 *   SESSION_URL     where sessions live; without it, in the folder ./sessions
 *   SESSION_SECRET  signs the cookies; several with commas between, the newest first. Without it, one
 *                   that is made at the first start, and kept in the file ./session-secret
 *   TRUST_PROXY     1 behind one proxy; or its addresses, as Express's `trust proxy` takes them
 *   NODE_ENV        production: a secret is demanded, and cookies travel over HTTPS only
 */
'use strict'

const { randomBytes } = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const express = require('express')
const { RustStore } = require('rust-session-store')
const { createApp } = require('./app')

const GRACE = 5000
// On Windows there is no file backend.
const DEFAULT_URL = process.platform === 'win32' ? 'memory:' : 'file:./sessions'
const SECRET_FILE = './session-secret'

function main(env) {
  const production = env.NODE_ENV === 'production'
  const port = portFrom(env.PORT)
  const host = env.HOST || 'localhost'
  const secret = secretsFrom(env.SESSION_SECRET, production)
  const store = new RustStore(env.SESSION_URL || DEFAULT_URL)

  // Worth a line in a log. The sid is a key to somebody's account, so it is none of it.
  store.on('conflict', (_sid, paths) => {
    console.log(`two requests changed ${paths.map((keys) => keys.join('.')).join(', ')}`)
  })
  store.on('gone', () => console.log('a save came after its session had ended, and was refused'))
  store.on('error', (err) => console.error(err))

  const app = createApp({
    store,
    secret,
    trustProxy: proxyFrom(env.TRUST_PROXY),
    // With 'auto' a session that began over HTTP keeps a cookie without Secure. In production,
    // where HTTPS is a fact, say so; a proxy that is set up wrongly then shows at once.
    secure: production ? true : 'auto',
  })
  if (production && !env.TRUST_PROXY) {
    console.log('Cookies travel over HTTPS only. Behind a proxy that ends TLS, set TRUST_PROXY=1.')
  }

  const server = http.createServer(app)
  server.on('error', (err) => {
    store.close()
    fail(listenProblem(err, host, port))
  })
  server.listen(port, host, () => {
    const name = host.includes(':') ? `[${host}]` : host
    console.log(`The guide is at http://${name}:${server.address().port}  (Ctrl+C ends it)`)
  })

  // Once: a second Ctrl+C ends the process the hard way.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => shutDown(server, store))
}

/** Takes no new requests, lets those that run end, then closes the store under them. */
function shutDown(server, store) {
  server.close(() => {
    store.close().catch((err) => console.error(err))
  })
  setTimeout(() => server.closeAllConnections(), GRACE).unref()
}

function portFrom(text = '') {
  if (text === '') return 3000
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return port
  throw new Error(`PORT must be a number from 0 to 65535, not "${text}".`)
}

/** The first secret signs, every one is accepted: put a new one in front, drop the last one later. */
function secretsFrom(text = '', production) {
  const secrets = text
    .split(',')
    .map((secret) => secret.trim())
    .filter(Boolean)
  if (secrets.length > 0) return secrets
  if (production)
    throw new Error('Set SESSION_SECRET: in production the guide does not start without it.')
  return [ownSecret()]
}

/** For development: the secret of the last start, so that a restart signs nobody out. */
function ownSecret() {
  const made = randomBytes(32).toString('hex')
  try {
    fs.writeFileSync(SECRET_FILE, made, { flag: 'wx', mode: 0o600 })
    console.log(`SESSION_SECRET is not set: using one that is kept in ${SECRET_FILE}.`)
    return made
  } catch (err) {
    if (err.code !== 'EEXIST') throw err
  }
  const kept = fs.readFileSync(SECRET_FILE, 'utf8').trim()
  if (kept.length < 32)
    throw new Error(`${SECRET_FILE} holds no secret. Delete it, and start again.`)
  return kept
}

/** Never `true`: that would believe whatever a visitor writes into X-Forwarded-Proto. */
function proxyFrom(text = '') {
  if (text === '') return false
  const value = /^\d+$/.test(text) ? Number(text) : text
  try {
    express().set('trust proxy', value)
  } catch {
    throw new Error(`TRUST_PROXY must be a number of proxies or their addresses, not "${text}".`)
  }
  return value
}

function listenProblem(err, host, port) {
  if (err.code === 'EADDRINUSE')
    return `Port ${port} is taken. Set PORT to a free one, such as ${port + 1}.`
  if (err.code === 'EACCES')
    return `Port ${port} is not allowed for this user. Set PORT to one above 1023.`
  return `Cannot listen on ${host}, port ${port}: ${err.message}`
}

function fail(message) {
  console.error(message)
  process.exitCode = 1
}

try {
  main(process.env)
} catch (err) {
  fail(err.message)
}
