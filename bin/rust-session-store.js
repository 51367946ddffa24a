#!/usr/bin/env node
// `npx rust-session-store URL COMMAND`: looks at a store from a shell, and moves sessions between any
// two. Knows nothing of any one backend but which URLs name a folder.
'use strict'

const fs = require('node:fs')
const { once } = require('node:events')
const { createInterface } = require('node:readline')
const { setTimeout: sleep } = require('node:timers/promises')
const { parseArgs } = require('node:util')
const { RustStore } = require('..')
const { Progress } = require('./progress')

const USAGE = `Usage: npx rust-session-store URL COMMAND [flags]

  URL stats          how many sessions there are, and what is known without reading them
  URL ls             one line for each session: sid, when it ends, size, keys
  URL prune          removes what is over now, where the backend does not do so by itself
  URL export         writes all sessions as JSON lines
  URL import         reads JSON lines, and stores each; a session of the same sid is replaced
  URL copy URL       stores all sessions of the first place in the second

  --full             prints sids as they are; without, only their beginnings
  --data             ls: prints what is in the sessions, too
  --file FILE        export: writes to a new file that only you can read. import: reads from it
  --help

Options of a store are parameters of its URL: 'file:./sessions?prefix=shop'.`

const FLAGS = {
  full: { type: 'boolean', default: false },
  data: { type: 'boolean', default: false },
  file: { type: 'string' },
  help: { type: 'boolean', default: false },
}

// Sessions that are on their way at a time.
const WINDOW = 64
// A backend of ours looks for what is over once a second.
const PRUNE_LOOK_MS = 1_500

/** A mistake in how the command was called. */
class Misuse extends Error {}

/** The beginning of a sid: enough to tell sessions apart, too little to use one. */
const shortened = (sid) => (sid.length > 8 ? `${sid.slice(0, 6)}…` : '…')

/** A URL without its password and parameters. */
const shown = (url) => url.replace(/\/\/.*@/s, '//…@').replace(/\?.*$/s, '')

/** Opens a store. A folder that is not there is only made where sessions are to be put into it. */
function open(url, { create }) {
  const isFolder = /^file:/i.test(url)
  return new RustStore(isFolder && !create ? { url, create: false } : { url })
}

const commands = {
  async stats(store) {
    const { slow, hits, misses, ...known } = await store.stats()
    for (const [name, value] of Object.entries(known)) {
      if (typeof value !== 'object' && value !== null) print(`${name.padEnd(10)} ${value}`)
    }
  },

  async ls(store, { full, data }) {
    for await (const [sid, session] of store.entries()) {
      const { cookie, ...rest } = session
      const date = new Date(cookie?.expires || Number.NaN)
      const ends = Number.isNaN(date.getTime()) ? 'by ttl' : date.toISOString()
      const size = `${Buffer.byteLength(JSON.stringify(session))} B`
      const what = data ? JSON.stringify(rest) : Object.keys(rest).join(',')
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
    const out = file === undefined ? process.stdout : await newFile(file)
    const progress = new Progress('exported', await store.length())
    for await (const [sid, session] of store.entries()) {
      if (!out.write(`${JSON.stringify({ sid, session })}\n`)) await once(out, 'drain')
      progress.step()
    }
    progress.end()
    if (out === process.stdout) return
    out.end()
    await once(out, 'close')
  },

  async import(store, { file }) {
    const input = file === undefined ? process.stdin : fs.createReadStream(file)
    if (file !== undefined) await once(input, 'open')
    await storeAll(store, linesOf(input), new Progress('imported'))
  },

  async copy(store, _flags, target) {
    const to = open(target, { create: true })
    try {
      await storeAll(to, store.entries(), new Progress('copied', await store.length()))
    } finally {
      await to.close()
    }
  },
}

async function newFile(file) {
  const out = fs.createWriteStream(file, { flags: 'wx', mode: 0o600 })
  await once(out, 'open')
  return out
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
    const isEntry = typeof entry?.sid === 'string' && typeof entry.session === 'object'
    if (!isEntry || entry.session === null) {
      throw new Misuse(`line ${number} is no {"sid":...,"session":{...}}`)
    }
    yield [entry.sid, entry.session]
  }
}

/** Stores sessions, some at a time. */
async function storeAll(store, entries, progress) {
  const under = new Set()
  let skipped = 0
  let failure
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
        failure ??= error
      })
      .finally(() => under.delete(save))
    under.add(save)
    if (under.size >= WINDOW) await Promise.race(under)
  }
  await Promise.all(under)
  progress.end()
  if (failure) throw failure
  print(`${progress.label} ${progress.done}${skipped ? `; ${skipped} were over` : ''}`)
}

async function print(line) {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain')
}

async function main() {
  let parsed
  try {
    parsed = parseArgs({ options: FLAGS, allowPositionals: true })
  } catch (error) {
    throw new Misuse(error.message)
  }
  const { values, positionals } = parsed
  if (values.help) return print(USAGE)
  const [url, name, target, ...more] = positionals
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined
  if (!url || !command) throw new Misuse(name ? `there is no command "${name}"` : 'what is missing')
  if ((name === 'copy') !== (target !== undefined) || more.length > 0) {
    throw new Misuse(name === 'copy' ? 'copy takes a second URL' : `${name} takes one URL`)
  }
  const store = open(url, { create: name === 'import' })
  try {
    await command(store, values, target)
  } finally {
    await store.close()
  }
}

// `... | head` has read enough.
process.stdout.on('error', (error) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})

main().catch((error) => {
  const place = process.argv.slice(2).find((arg) => arg.includes(':'))
  if (error instanceof Misuse) {
    process.stderr.write(`${error.message}\n\n${USAGE}\n`)
    process.exitCode = 2
    return
  }
  process.stderr.write(`${place ? `${shown(place)}: ` : ''}${error.code ?? ''} ${error.message}\n`)
  process.exitCode = 1
})
