#!/usr/bin/env node
// `npx rust-session-store URL COMMAND`: looks at a store from a shell, and moves sessions between any
// two. Knows nothing of any one backend but which URLs name a folder.
'use strict'

const fs = require('node:fs')
const { once } = require('node:events')
const { createInterface } = require('node:readline')
const { pipeline } = require('node:stream/promises')
const { setImmediate: nextTurn, setTimeout: sleep } = require('node:timers/promises')
const { parseArgs } = require('node:util')
const { RustStore } = require('..')
const { version } = require('../package.json')
const { Progress } = require('./progress')

const USAGE = `Usage: npx rust-session-store URL COMMAND [flags]

  URL stats          how many sessions there are, and what is known without reading them
  URL ls             one line for each session: sid, when it ends, size, keys
  URL prune          removes what is over now, where the backend does not do so by itself
  URL export         writes all sessions as JSON lines
  URL import         reads JSON lines, and stores each; a session of the same sid is replaced
  URL copy URL       stores all sessions of the first place in the second

  --full             ls: prints sids as they are; without, only their beginnings
  --data             ls: prints what is in the sessions, too
  --file FILE        export: writes to a new file that only you can read. import: reads from it
  -h, --help
  --version

Options of a store are parameters of its URL: 'file:./sessions?prefix=shop'.
Sessions that an app has saved with a serializer of its own cannot be read here.`

const FLAGS = {
  full: { type: 'boolean' },
  data: { type: 'boolean' },
  file: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
}
const TAKES = { ls: ['full', 'data'], export: ['file'], import: ['file'] }

// Sessions that are on their way at a time.
const WINDOW = 64
// A backend of ours looks for what is over once a second.
const PRUNE_LOOK_MS = 1_500

/** A mistake in how the command was called. */
class Misuse extends Error {}

// Error -> the URL of the store that it is of.
const placeOf = new WeakMap()

/** The beginning of a sid: enough to tell sessions apart, too little to use one. */
const shortened = (sid) => (sid.length > 8 ? `${sid.slice(0, 6)}…` : '…')

/** A URL without its password and parameters. */
const shown = (url) => url.replace(/\/\/.*@/s, '//…@').replace(/\?.*$/s, '')

/** A key as it is, unless it could be more than a name to a terminal. */
const shownKey = (key) => (/^[\w.-]+$/.test(key) ? key : JSON.stringify(key))

/** Opens a store. A folder that is not there is only made where sessions are to be put into it. */
function open(url, { create }) {
  const mayNotMake = /^file:/i.test(url) && !create && !/[?&]create=/.test(url)
  try {
    return new RustStore(mayNotMake ? { url, create: false } : { url })
  } catch (error) {
    placeOf.set(error, url)
    throw error
  }
}

const commands = {
  async stats(store) {
    // The rest counts what this very process has done.
    const { backend, sessions, bytes } = await store.stats()
    for (const [name, value] of Object.entries({ backend, sessions, bytes })) {
      if (value !== null && value !== undefined) print(`${name.padEnd(10)} ${value}`)
    }
  },

  async ls(store, { full, data }) {
    for await (const [sid, session] of store.entries()) {
      const { cookie, ...rest } = session
      const date = new Date(cookie?.expires || Number.NaN)
      const ends = Number.isNaN(date.getTime()) ? 'by ttl' : date.toISOString()
      const size = `${Buffer.byteLength(JSON.stringify(session))} B`
      const what = data ? JSON.stringify(rest) : Object.keys(rest).map(shownKey).join(',')
      await print([full ? JSON.stringify(sid) : shortened(sid), ends, size, what].join('\t'))
    }
  },

  async prune(store) {
    const before = await store.stats()
    if (typeof before.expired !== 'number') {
      print(`${before.backend} removes what is over by itself`)
      return
    }
    for (let expired = -1, seen = before.expired; seen !== expired; ) {
      expired = seen
      await sleep(PRUNE_LOOK_MS)
      seen = (await store.stats()).expired
    }
    const { expired, sessions } = await store.stats()
    print(`removed ${expired}; ${sessions} are left`)
  },

  async export(store, { file }) {
    const progress = new Progress('exported', await store.length())
    async function* lines() {
      for await (const [sid, session] of store.entries()) {
        yield `${JSON.stringify({ sid, session })}\n`
        progress.step()
      }
    }
    if (file === undefined) await pipeline(lines, process.stdout, { end: false })
    else await intoFile(file, lines)
    progress.end()
  },

  async import(store, { file }, url) {
    const input = file === undefined ? process.stdin : fs.createReadStream(file)
    if (file !== undefined) await once(input, 'open')
    await storeAll(store, url, linesOf(input), new Progress('imported'))
  },

  async copy(store, _flags, _url, target) {
    const to = open(target, { create: true })
    try {
      await storeAll(to, target, store.entries(), new Progress('copied', await store.length()))
    } finally {
      await to.close()
    }
  },
}

/** Writes a file that was not there; half of one is not left. */
async function intoFile(file, lines) {
  const out = fs.createWriteStream(file, { flags: 'wx', mode: 0o600 })
  await once(out, 'open')
  try {
    await pipeline(lines, out)
  } catch (error) {
    fs.rmSync(file, { force: true })
    throw error
  }
}

async function* linesOf(input) {
  let number = 0
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    number++
    if (line.trim() === '') continue
    let entry
    try {
      entry = JSON.parse(line)
    } catch {
      entry = undefined
    }
    if (typeof entry?.sid !== 'string' || !isObject(entry.session)) {
      throw new Error(`line ${number} is no {"sid":...,"session":{...}}`)
    }
    yield [entry.sid, entry.session]
  }
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Stores sessions, some at a time, and says how many, also where it cannot go on. */
async function storeAll(store, url, entries, progress) {
  const under = new Set()
  let skipped = 0
  let failure
  try {
    for await (const [sid, session] of entries) {
      if (failure) break
      const ends = session.cookie?.expires
      // A save of what is over removes.
      if (typeof ends === 'string' && Date.parse(ends) <= Date.now()) {
        skipped++
        continue
      }
      // A copy has no base: it is written as it is.
      const save = store
        .set(sid, { ...session })
        .then(() => progress.step())
        .catch((error) => {
          placeOf.set(error, url)
          failure ??= error
        })
        .finally(() => under.delete(save))
      under.add(save)
      if (under.size >= WINDOW) await Promise.race(under)
    }
  } catch (error) {
    failure ??= error
  }
  await Promise.all(under)
  progress.end()
  print(`${progress.label} ${progress.done}${skipped ? `; ${skipped} were over` : ''}`)
  if (failure) throw failure
}

async function print(line) {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain')
}

/** `{ name, url, target, flags }` of the command line. */
function asked() {
  let parsed
  try {
    parsed = parseArgs({ options: FLAGS, allowPositionals: true })
  } catch (error) {
    throw new Misuse(error.message)
  }
  const { values: flags, positionals } = parsed
  if (flags.help || flags.version) return { flags }
  const [url, name, target, ...more] = positionals
  if (name === undefined) {
    throw new Misuse(url === undefined ? 'a URL and a command are missing' : 'a command is missing')
  }
  if (!Object.hasOwn(commands, name)) {
    // What stands in the place of a command may be a URL, with a password in it.
    const told = /^[\w-]+$/.test(name)
      ? `there is no command "${name}"`
      : 'what comes second is no command'
    throw new Misuse(told)
  }
  if ((name === 'copy') !== (target !== undefined) || more.length > 0) {
    throw new Misuse(name === 'copy' ? 'copy takes a second URL' : `${name} takes one URL`)
  }
  const foreign = Object.keys(flags).find((flag) => !TAKES[name]?.includes(flag))
  if (foreign) throw new Misuse(`${name} takes no --${foreign}`)
  return { name, url, target, flags }
}

async function main() {
  const { name, url, target, flags } = asked()
  if (name === undefined) return print(flags.help ? USAGE : version)
  const store = open(url, { create: name === 'import' })
  let unreadable = 0
  store.on('corrupt', () => {
    unreadable++
  })
  try {
    await commands[name](store, flags, url, target)
    // Events come after what they are of.
    await nextTurn()
  } catch (error) {
    if (!placeOf.has(error)) placeOf.set(error, url)
    throw error
  } finally {
    await store.close()
  }
  if (unreadable) {
    throw new Error(
      `${unreadable} of the sessions cannot be read, and were left out; are they another serializer's than JSON?`,
    )
  }
}

// `... | head` has read enough.
process.stdout.on('error', (error) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})

main().catch((error) => {
  if (error instanceof Misuse) {
    process.stderr.write(`${error.message}\n\n${USAGE}\n`)
    process.exitCode = 2
    return
  }
  const place = placeOf.get(error)
  const code = error.code ? `${error.code} ` : ''
  process.stderr.write(`${place ? `${shown(place)}: ` : ''}${code}${error.message}\n`)
  process.exitCode = 1
})
