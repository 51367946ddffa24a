// An Express app in CommonJS, written against the types as a user of the package would write it.
// It is compiled, never run. It must import nothing but what a user can import.
import express = require('express')
import session = require('express-session')

import type { Session, SessionData } from 'express-session'

import store = require('rust-session-store')

const { RustStore, RustStoreError } = store

declare module 'express-session' {
  interface SessionData {
    userId: string
    cart: Record<string, number>
  }
}

// The ways to make a store.
export const stores: store.RustStore[] = [
  new RustStore(),
  new RustStore('memory:app'),
  new RustStore({ prefix: 'a:' }),
  new RustStore({ url: 'memory:app?max=10', touchAfter: 0, max: 10, maxBytes: 1 << 20 }),
  new RustStore({ ttl: 60, merge: false, atomic: ['passport'], maxSessionBytes: 4096 }),
  new RustStore(new URL('memory:app')),
  new RustStore(process.env.SESSION_URL ?? { atomic: ['user'] as const, max: undefined }),
  new RustStore({ url: process.env.SESSION_URL }),
  new RustStore({ url: 'file:./sessions', durability: 'normal', mapSize: 2 ** 30, create: false }),
]

const sessions = new RustStore<SessionData>({
  ttl: (data) => (data.userId === undefined ? 60 : (data.cookie.originalMaxAge ?? 3600)),
  serializer: { stringify: (data) => JSON.stringify(data), parse: (text) => JSON.parse(text) },
})

// A store goes where express-session and Express want one, with and without the type of its data.
export const asStore: session.Store = sessions
export const untyped = session({ store: new RustStore(), secret: 'a' })
export const app = express()
app.use(
  session({
    store: new RustStore<SessionData>('memory:app'),
    secret: ['new', 'old'],
    resave: false,
    saveUninitialized: false,
  }),
)

app.get('/', (req, res) => {
  req.session.userId = 'u1'
  req.session.cart = { tea: 1 }
  // @ts-expect-error a number is not a user id
  req.session.userId = 1
  const cart: Record<string, number> | undefined = req.session.cart
  req.sessionStore.get(req.sessionID, (_error, data) => res.json([data?.userId, cart]))
})

app.post('/logout', (req, res) => {
  sessions.destroy(req.sessionID, (error) => res.sendStatus(error ? 500 : 204))
})

// Hooks for express-session's own use.
export function hooks(req: express.Request, data: SessionData): Session {
  sessions.regenerate(req, () => {})
  sessions.load('sid', (_error, loaded) => loaded)
  return sessions.createSession(req, data)
}

// Every method with a promise.
export async function promises(data: SessionData): Promise<string[]> {
  const one: SessionData | undefined = await sessions.get('sid')
  const user: string | undefined = one?.userId
  const none: void = await sessions.set('sid', data)
  const touched: void = await sessions.touch('sid', data)
  const destroyed: void = await sessions.destroy('sid')
  const all: Record<string, SessionData> = await sessions.all()
  const list: (SessionData & { id: string })[] = await sessions.all({ as: 'array' })
  const byObject: Record<string, SessionData> = await sessions.all({ as: 'object' })
  const length: number = await sessions.length()
  const ids: string[] = await sessions.ids()
  const cleared: void = await sessions.clear()
  const pong: void = await sessions.ping()
  const stats: store.RustStoreStats = await sessions.stats()
  const timeouts: number | undefined = stats.errors.ERR_STORE_TIMEOUT
  const slowest: number | undefined = stats.slow.destroy?.maxMs
  for await (const [sid, entry] of sessions.entries()) {
    const text: string = sid
    const cart: Record<string, number> = entry.cart
    ids.push(text, ...Object.keys(cart))
  }
  const closed: void = await sessions.close()
  // @ts-expect-error a missing session is `undefined`
  const always: SessionData = await sessions.get('sid')
  // @ts-expect-error there is no such key
  one?.nothing
  // @ts-expect-error nothing of the kind may have been slow
  stats.slow.get.count
  // @ts-expect-error there is no such counter
  stats.nothing
  return [
    `${user} ${none} ${touched} ${destroyed} ${length} ${cleared} ${pong} ${timeouts} ${slowest}`,
    `${closed} ${always.userId} ${list[0]?.id} ${Object.keys(all)} ${Object.keys(byObject)}`,
  ]
}

// Every method with a callback, and with `undefined` in its place: nobody wants the answer.
export function callbacks(data: SessionData, done: (error?: unknown) => void): void {
  const got: void = sessions.get('sid', (error, one) => done(error ?? one?.userId))
  sessions.set('sid', data, done)
  sessions.touch('sid', data, done)
  sessions.destroy('sid', done)
  sessions.all((error, all) => done(error ?? all))
  sessions.all({ as: 'array' }, (error, all) => done(error ?? all))
  sessions.length((error, length) => done(error ?? length?.toFixed()))
  sessions.ids((error, ids) => done(error ?? ids?.join()))
  sessions.clear(done)
  sessions.ping(done)
  sessions.close(done)
  sessions.stats((error, stats) => done(error ?? stats?.hits))
  const nothing: void = sessions.set('sid', data, undefined)
  sessions.touch('sid', data, undefined)
  sessions.destroy('sid', undefined)
  done([got, nothing])
}

// What must not compile.
export function mistakes(data: SessionData): void {
  // @ts-expect-error `prefx` is no option
  new RustStore({ prefx: 'a:' })
  // @ts-expect-error there are two kinds of durability
  new RustStore({ url: 'file:./sessions', durability: 'none' })
  // @ts-expect-error a ttl is seconds or a function
  new RustStore({ ttl: '1h' })
  // @ts-expect-error a ttl function is given the session, and answers with a number
  new RustStore<SessionData>({ ttl: (one) => one.userId })
  // @ts-expect-error a serializer has both halves
  new RustStore({ serializer: { stringify: JSON.stringify } })
  // @ts-expect-error all options go into one object
  new RustStore('memory:app', { prefix: 'a:' })
  // @ts-expect-error a session of this store has a cookie
  sessions.set('sid', { userId: 'u1' })
  // @ts-expect-error a sid is a string
  sessions.get(1)
  // @ts-expect-error a callback is a function
  sessions.set('sid', data, 'done')
  // @ts-expect-error sessions come as an object or an array
  sessions.all({ as: 'map' })
}

// Events carry what their documentation says; others are allowed, as on any emitter.
sessions.on('gone', (sid) => sid.toUpperCase())
sessions.on('conflict', (sid, paths) => `${sid} ${paths.map((path) => path.join('.'))}`)
sessions.on('corrupt', (sid, cause) => `${sid} ${String(cause)}`)
sessions.once('evict', (sid) => sid.toUpperCase())
sessions.on('error', (error) => {
  const code: store.RustStoreErrorCode = error.code
  return `${code} ${error.operation} ${error.backend} ${error.retryable} ${error.message}`
})
sessions.on('connect', () => {})
sessions.on('whatever', (of: number) => of)
// @ts-expect-error a sid is a string
sessions.on('gone', (sid: number) => sid)
// @ts-expect-error there is one error
sessions.once('down', (error: Error, more: number) => [error, more])
sessions.off('connect', () => {})

// Errors narrow by class, and their codes are a closed list.
export function explain(error: unknown): string {
  if (!(error instanceof RustStoreError)) return 'not from the store'
  // @ts-expect-error there is no such code
  if (error.code === 'ENOENT') return 'no session'
  return error.code === 'ERR_STORE_TOO_LARGE' ? 'too large' : error.message
}
