'use strict'
// Child processes for the tests of the file backend: started with a script and arguments, heard line by
// line, and gone when the test is over.

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { createInterface } = require('node:readline')

/** A path for a folder that is removed after the test; it is not there yet. */
function freshFolder(t) {
  const parent = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-'))
  t.after(() => fs.rmSync(parent, { recursive: true, force: true }))
  return path.join(parent, 'sessions')
}

/** Starts `command`. `lines` collects what it prints; `line(test)` resolves with the first that fits. */
function start(t, command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
  const lines = []
  const waiting = new Set()
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve({ error }))
    child.on('close', (code, signal) => resolve({ code, signal }))
  })
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    for (const check of waiting) check()
  })
  t.after(() => {
    child.kill('SIGKILL')
    // What it started in its turn may live on with its output.
    for (const stream of [child.stdout, child.stderr]) stream.destroy()
    return ended
  })
  return {
    child,
    lines,
    ended,
    stderr: () => stderr,
    say: (line) => child.stdin.write(`${line}\n`),
    line: (test) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const found = lines.find((line, at) => test(line, at))
          if (found === undefined) return
          waiting.delete(check)
          resolve(found)
        }
        waiting.add(check)
        ended.then((how) => reject(new Error(`it ended: ${JSON.stringify(how)} ${stderr}`)))
        check()
      }),
  }
}

/** Starts a script of this folder in a Node.js of its own. */
const script = (t, name, ...args) =>
  start(t, process.execPath, [path.join(__dirname, name), ...args.map(String)])

module.exports = { freshFolder, script, start }
