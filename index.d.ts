import { EventEmitter } from 'node:events'

/** What a store keeps for one sid: express-session's `SessionData`, or any object. */
export type AnySession = Record<string, any>

/** Turns a session into text and back, both synchronously. */
export interface Serializer<T = AnySession> {
  stringify(session: T): string
  parse(text: string): T
}

/** Every option may also be a parameter of the URL, except `ttl` as a function, `serializer` and `url` itself. */
export interface RustStoreOptions<T = AnySession> {
  /** Where sessions live. `memory:` (the default) is private to this object; `memory:NAME` is shared by all worker threads of the process. */
  url?: string | URL | undefined
  /**
   * Stores on one place with different prefixes never see each other; in Redis and MongoDB only if
   * neither begins with the other. Default: none; Redis `sess:`.
   */
  prefix?: string | undefined
  /**
   * Seconds a session lives when its `cookie.expires` does not say (default 86,400; MongoDB 1,209,600).
   * A function always decides, also where `cookie.expires` is set.
   */
  ttl?: number | ((session: T) => number) | undefined
  /** Skips touches that would move the expiry by less than this many seconds (default 0: none). */
  touchAfter?: number | undefined
  /** Most sessions to keep; above it, sessions are evicted. Memory only. Default: no bound. */
  max?: number | undefined
  /** Most bytes of records to keep; above it, sessions are evicted. Memory only. Default: no bound. */
  maxBytes?: number | undefined
  /** Largest session that is accepted, in bytes of its text (default 1,048,576). */
  maxSessionBytes?: number | undefined
  /** `false`: the last write wins; a destroyed session stays gone all the same. Default `true`. */
  merge?: boolean | undefined
  /** Top-level keys that are merged as one unit (default `['passport', 'user']`). */
  atomic?: readonly string[] | undefined
  /** In place of JSON. Text that is not JSON is compared, not merged. */
  serializer?: Serializer<T> | undefined
  /**
   * Milliseconds after which a call that is not answered inside it has failed with
   * `ERR_STORE_TIMEOUT` (default 2,000). Not in memory.
   */
  commandTimeout?: number | undefined
  /** Who logs in, where the URL does not say. Redis only. */
  username?: string | undefined
  /** Redis only. */
  password?: string | undefined
  /** The number of the database, where the URL does not say (default 0). Redis only. */
  db?: number | undefined
  /** Whom TLS trusts in place of the system's authorities: PEM text, or the path of a file. Redis only. */
  tlsCa?: string | undefined
  /** The client's own certificate, with `tlsKey`: PEM text, or the path of a file. Redis only. */
  tlsCert?: string | undefined
  /** The key of `tlsCert`: PEM text, or the path of a file. Redis only. */
  tlsKey?: string | undefined
  /** Who logs in at the sentinels. Redis only. */
  sentinelUsername?: string | undefined
  /** Redis only. */
  sentinelPassword?: string | undefined
  /**
   * When an acknowledged save is safe from power loss: `'full'` (the default) at once, `'normal'` with the
   * next save. Either survives a crash of the process. File only.
   */
  durability?: 'full' | 'normal' | undefined
  /** Most bytes that sessions may take (default 17,179,869,184). File only. */
  mapSize?: number | undefined
  /** `false`: a folder that is not there is an error, and not made. Default `true`. File only. */
  create?: boolean | undefined
  /** `true`: the folder may be on a FUSE file system, if that is a disk of this machine alone. File only. */
  allowFuse?: boolean | undefined
  /** Milliseconds that a connection may take (default 2,000). Redis and MongoDB only. */
  connectTimeout?: number | undefined
  /** The collection of the sessions (default `sessions`). MongoDB only. */
  collection?: string | undefined
  /** Their database, where it is not the one that the URL names (by default `test`). MongoDB only. */
  database?: string | undefined
  /**
   * Emits express-session's `disconnect` and `connect` as well, upon which it serves requests without
   * sessions while the backend is down (default `false`: requests fail). Redis and MongoDB only.
   */
  passThrough?: boolean | undefined
}

/** The codes of {@link RustStoreError}; docs/errors.md says what to do about each. */
export type RustStoreErrorCode =
  | 'ERR_STORE_CONFIG'
  | 'ERR_STORE_UNSUPPORTED'
  | 'ERR_STORE_UNAVAILABLE'
  | 'ERR_STORE_TIMEOUT'
  | 'ERR_STORE_AUTH'
  | 'ERR_STORE_CONFLICT'
  | 'ERR_STORE_DECODE'
  | 'ERR_STORE_TOO_LARGE'
  | 'ERR_STORE_CLOSED'
  | 'ERR_STORE_INTERNAL'

/** What every failed operation answers with. */
export class RustStoreError extends Error {
  /** Stable; made to be compared. */
  readonly code: RustStoreErrorCode
  /** `memory`, `file`, `redis` or `mongodb`; empty where the options are wrong before that is known. */
  readonly backend: string
  /** The method that failed: `get`, `set`, ..., or `open` for the constructor. */
  readonly operation: string
  /** Whether the same call may succeed if made again. */
  readonly retryable: boolean
  readonly cause?: unknown
  private constructor()
}

/** A point in time. `sessions`, `bytes`, `expired` and `evicted` are the place's; the other counters start at zero with this object. */
export interface RustStoreStats {
  backend: string
  /** Live sessions, with those whose record cannot be read: that shows only when it is. */
  sessions: number
  /** Bytes of all records: sid, text and a fixed header each; `null` where the backend does not know. */
  bytes: number | null
  /** `get` calls that found a session. */
  hits: number
  /** `get` calls that found none. */
  misses: number
  /** Saves that were written, merged ones included. */
  saves: number
  /** Saves that were merged with another request's change. */
  merges: number
  /** Saves in which both sides had changed one value. */
  conflicts: number
  /** Saves that were not written because their session was gone. */
  refused: number
  /** Sessions removed because their time was over; `null` where a server does that by itself. */
  expired: number | null
  /** Sessions removed to stay within `max` or `maxBytes`; `null` where a server does that by itself. */
  evicted: number | null
  /** Records that could not be read. */
  corrupt: number
  /** Failed operations by code. */
  errors: Partial<Record<RustStoreErrorCode, number>>
  /**
   * Operations that take more than one step (`all`, `ids`, `length`, `stats`), and all that the backend
   * answers after the call has returned: how many, and how long they took, in ms.
   */
  slow: Partial<Record<string, { count: number; totalMs: number; maxMs: number }>>
}

export interface RustStoreEvents {
  /** A save was not written: its session had been destroyed, had expired or was evicted. */
  gone: [sid: string]
  /** Both sides of a merge had changed the values at `paths`; the later save, or a deletion, was kept. */
  conflict: [sid: string, paths: string[][]]
  /** A record could not be read; it was answered as missing. */
  corrupt: [sid: string, cause: unknown]
  /** A session was removed to stay within `max` or `maxBytes`. */
  evict: [sid: string]
  /** The backend cannot be reached: calls fail at once until `up`. */
  down: [error: RustStoreError]
  /** The backend can be reached again. */
  up: []
  /** With `passThrough`: express-session goes on without sessions. */
  disconnect: []
  /** With `passThrough`: express-session goes on with sessions. */
  connect: []
  /** An operation whose caller asked for no answer has failed. Never thrown, also without a listener. */
  error: [error: RustStoreError]
}

/** What listens to an event: of those above with their arguments, of any other with whatever it has. */
export type RustStoreListener<E extends string | symbol> = (
  ...args: E extends keyof RustStoreEvents ? RustStoreEvents[E] : any[]
) => void

/**
 * A session store for express-session.
 *
 * Every method takes an optional last callback and returns a promise when that argument is absent.
 * An explicit `undefined` in the callback's place means that nobody wants the answer.
 */
export class RustStore<T extends object = AnySession> extends EventEmitter {
  /** @throws {RustStoreError} `ERR_STORE_CONFIG`, naming the option that is wrong. */
  constructor(options?: string | URL | RustStoreOptions<T>)

  get(sid: string): Promise<T | undefined>
  get(sid: string, callback: ((error: any, session?: T | null) => void) | null | undefined): void

  set(sid: string, session: T): Promise<void>
  set(sid: string, session: T, callback: ((error?: any) => void) | null | undefined): void

  touch(sid: string, session: T): Promise<void>
  touch(sid: string, session: T, callback: ((error?: any) => void) | null | undefined): void

  destroy(sid: string): Promise<void>
  destroy(sid: string, callback: ((error?: any) => void) | null | undefined): void

  all(): Promise<Record<string, T>>
  all(options: { as: 'array' }): Promise<(T & { id: string })[]>
  all(options: { as?: 'object' }): Promise<Record<string, T>>
  all(options: { as?: 'array' | 'object' }): Promise<Record<string, T> | (T & { id: string })[]>
  all(callback: ((error: any, sessions?: any) => void) | null | undefined): void
  all(
    options: { as?: 'array' | 'object' },
    callback: ((error: any, sessions?: any) => void) | null | undefined,
  ): void

  /** How many sessions live; those whose record cannot be read count. */
  length(): Promise<number>
  length(callback: ((error: any, length?: number) => void) | null | undefined): void

  clear(): Promise<void>
  clear(callback: ((error?: any) => void) | null | undefined): void

  ids(): Promise<string[]>
  ids(callback: ((error: any, ids?: string[]) => void) | null | undefined): void

  /** Walks all sessions, a page at a time. */
  entries(): AsyncIterableIterator<[sid: string, session: T]>

  /** Resolves when the backend answers. */
  ping(): Promise<void>
  ping(callback: ((error?: any) => void) | null | undefined): void

  /** Ends the use of this object; what is in flight ends first. Later calls fail with `ERR_STORE_CLOSED`. */
  close(): Promise<void>
  close(callback: ((error?: any) => void) | null | undefined): void

  stats(): Promise<RustStoreStats>
  stats(callback: ((error: any, stats?: RustStoreStats) => void) | null | undefined): void

  /** express-session's: makes `req.session` from what `get` returned. */
  createSession(req: any, session: any): any
  /** express-session's: destroys the session of `req` and generates a new one. */
  regenerate(req: any): Promise<void>
  regenerate(req: any, callback: ((error?: any) => any) | null | undefined): void
  /** express-session's: `get`, then `createSession`. */
  load(sid: string): Promise<any>
  load(sid: string, callback: ((error: any, session?: any) => any) | null | undefined): void

  on<E extends string | symbol>(event: E, listener: RustStoreListener<E>): this
  once<E extends string | symbol>(event: E, listener: RustStoreListener<E>): this
}
