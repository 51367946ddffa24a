// An Express app as an ES module: the same types by their other door.
// It is compiled, never run. The keys that `express.cts` adds to SessionData are seen here too.
import express from 'express'
import session, { type SessionData } from 'express-session'
import * as all from 'rust-session-store'
import pkg, { RustStore, RustStoreError, type RustStoreOptions } from 'rust-session-store'

const options: RustStoreOptions<SessionData> = { url: 'memory:app', ttl: 3600 }
const store = new RustStore<SessionData>(options)

export const same: (typeof RustStore)[] = [pkg.RustStore, all.RustStore]

export const app = express()
app.use(session({ store, secret: 'a', resave: false, saveUninitialized: true }))
app.get('/', async (req, res) => {
  const saved: SessionData | undefined = await store.get(req.sessionID)
  res.send(saved?.userId ?? 'nobody')
})

export class AppStore extends RustStore<SessionData> {
  async isOnline(sid: string): Promise<boolean> {
    return (await this.get(sid)) !== undefined
  }
}
export const own = session({ store: new AppStore(), secret: 'a' })

export const codeOf = (error: unknown): string | undefined =>
  error instanceof RustStoreError ? error.code : undefined

// Without express-session's types: any object is a session.
interface Visit {
  count: number
}
export async function visit(): Promise<number> {
  const visits = new RustStore<Visit>()
  await visits.set('sid', { count: 1 })
  // @ts-expect-error a count is a number
  await visits.set('sid', { count: 'one' })
  const found = await visits.get('sid')
  return found?.count ?? 0
}

// @ts-expect-error `Store` is express-session's, not ours
export type Missing = typeof all.Store
