// The usual Express app around a store, for wrk to call; counts its requests.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { sidOf } from '../session.mjs'
import { fill } from './ops.mjs'

const require = createRequire(import.meta.url)
const express = require('express')
const session = require('express-session')

export const SECRET = 'not a secret, a benchmark'

let requests = 0

/**
 * What this process has answered since it started, and the CPU time that it and its main thread have
 * used.
 */
export function usage() {
  const { user, system } = process.cpuUsage()
  return { requests, cpuUs: user + system, mainUs: mainThreadUs() }
}

/** Linux counts the CPU time of each thread; the main thread has the process's number. */
function mainThreadUs() {
  if (process.platform !== 'linux') return Number.NaN
  // Nanoseconds on the CPU, nanoseconds waited, slices.
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')
  return Number(nanoseconds) / 1000
}

/** Fills the store, serves the app, answers the port. */
export async function serve(contender, sessions) {
  const store = await contender.open()
  await fill(store, sessions)

  const app = express()
  app.set('trust proxy', true)
  app.use(
    session({
      store,
      secret: SECRET,
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: 86_400_000, secure: true, sameSite: 'lax' },
    }),
  )
  const answer = (req, res) => {
    requests++
    if (!req.session.passport) return res.status(500).end()
    res.json({ user: req.session.passport.user, views: req.session.views })
  }
  app.get('/read', answer)
  app.get('/write', (req, res) => {
    req.session.views = 100_000 + ((req.session.views + 1) % 900_000)
    answer(req, res)
  })

  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port))
  })
}

/** Cookie headers of the first `count` sessions, signed as express-session signs them. */
export function cookieHeaders(count) {
  const { sign } = require('cookie-signature')
  return Array.from(
    { length: count },
    (_, index) => `connect.sid=${encodeURIComponent(`s:${sign(sidOf(index), SECRET)}`)}`,
  )
}
