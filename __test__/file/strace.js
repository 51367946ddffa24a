'use strict'
// Reads what strace has recorded of one process: writes to its data file, flushes, and what it printed.
// Knows nothing of sessions.

const CALLS = 'openat,pwrite64,pwritev,writev,write,lseek,fdatasync,fsync,ftruncate,msync'
const ARGS = ['-f', '-xx', '-s', '1000000', '-e', `trace=${CALLS}`]

const bytes = (hex) => Buffer.from(hex.replaceAll('\\x', ''), 'hex')

/** Whole calls in the order in which they ended: strace prints one that is interrupted in two parts. */
function* calls(text) {
  const begun = new Map()
  for (const line of text.split('\n')) {
    const [, pid, rest] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (rest === undefined) continue
    const unfinished = rest.indexOf(' <unfinished ...>')
    if (unfinished >= 0) {
      begun.set(pid, rest.slice(0, unfinished))
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const whole = resumed ? begun.get(pid) + resumed[1] : rest
    const [, name, args, result] = /^(\w+)\((.*)\) += (-?\d+)/.exec(whole) ?? []
    if (name !== undefined) yield { name, args, result: Number(result) }
  }
}

/**
 * The events of the file that ends with `ending`: `{ write, at, durable }` (a buffer, its place in the
 * file, and whether it is on the disk once the call has ended), `{ flush: true }`, `{ size }`, and
 * `{ said }`, a line on stdout.
 */
function eventsOf(text, ending) {
  const files = new Map()
  const events = []
  for (const { name, args, result } of calls(text)) {
    if (result < 0) continue
    if (name === 'openat') {
      const path = bytes(/"([^"]*)"/.exec(args)[1]).toString()
      if (path.endsWith(ending)) files.set(result, { durable: /O_D?SYNC/.test(args), position: 0 })
      else files.delete(result)
      continue
    }
    if (name === 'msync') throw new Error('a map was written to, and this knows files alone')
    const fd = Number(/^\d+/.exec(args)[0])
    if (fd === 1 && name === 'write') {
      events.push({
        said: bytes(/"([^"]*)"/.exec(args)[1])
          .toString()
          .trim(),
      })
      continue
    }
    const file = files.get(fd)
    if (file === undefined) continue
    const numbers = args.slice(args.lastIndexOf('"') + 1)
    if (name === 'lseek') {
      file.position = result
    } else if (name === 'fdatasync' || name === 'fsync') {
      events.push({ flush: true })
    } else if (name === 'ftruncate') {
      events.push({ size: Number(/, (\d+)/.exec(args)[1]) })
    } else {
      const parts = [...args.matchAll(/"([^"]*)"/g)].map((match) => bytes(match[1]))
      const write = Buffer.concat(parts).subarray(0, result)
      const last = Number(/(\d+)$/.exec(numbers)?.[1])
      const at = name.startsWith('pwrite') ? last : file.position
      if (!name.startsWith('pwrite')) file.position += result
      events.push({ write, at, durable: file.durable })
    }
  }
  return events
}

module.exports = { ARGS, eventsOf }
