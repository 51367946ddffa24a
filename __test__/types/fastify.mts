// A Fastify app with @fastify/session. It is compiled, never run.
// Sessions of Fastify have their own type, which an app extends in the same way.
import cookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import fastify, { type Session } from 'fastify'
import { RustStore } from 'rust-session-store'

declare module 'fastify' {
  interface Session {
    visits?: number
  }
}

const secret = 'a secret of at least thirty-two characters'
export const app = fastify()
await app.register(cookie)
await app.register(fastifySession, { secret, store: new RustStore<Session>('memory:app') })
await app.register(fastifySession, { secret, store: new RustStore() })

app.get('/', async (request) => {
  request.session.visits = (request.session.visits ?? 0) + 1
  // @ts-expect-error a number of visits is a number
  request.session.visits = 'many'
  return { visits: request.session.visits }
})
