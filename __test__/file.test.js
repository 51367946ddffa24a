'use strict'
// What only the file backend does, with the processes that share a folder: what they see of each other,
// what they refuse, and that a folder outlives them.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test: nodeTest } = require('node:test')
const { Worker } = require('node:worker_threads')
const { RustStore } = require('..')
const { holdUp } = require('./conformance/harness.js')
const { freshFolder, script, start } = require('./file/processes')

// Where the backend is refused, there is nothing to test.
const isThere = process.platform !== 'win32'
const test = isThere
  ? nodeTest
  : (name) => nodeTest(name, (t) => t.diagnostic('not tried: Windows'))

const COOKIE = { originalMaxAge: 3_600_000, httpOnly: true, path: '/' }
const inAnHour = () => new Date(Date.now() + 3_600_000)
const plain = (data = {}) => ({ cookie: { ...COOKIE, expires: inAnHour() }, ...data })

function open(t, options) {
  const store = new RustStore(options)
  t.after(() => store.close())
  return store
}

/** A process that does with a store what it is asked to. */
async function sharer(t, options, { command = [], from } = {}) {
  const args = [path.join(__dirname, 'file', 'sharer.js'), JSON.stringify(options)]
  if (from) args.push(from)
  const [program, ...rest] = [...command, process.execPath, ...args]
  const { say, ended, line, lines, child, stderr } = start(t, program, rest)
  let asked = 0
  const answer = async (at) => JSON.parse(await line((_, index) => index === at))
  const opened = await answer(0)
  return {
    opened,
    child,
    ended,
    lines,
    stderr,
    async ask(...call) {
      const at = ++asked
      say(JSON.stringify(call))
      const { result, code, message } = await answer(at)
      if (code) throw Object.assign(new Error(message), { code })
      return result ?? undefined
    },
  }
}

test('what one process has acknowledged, another reads next', async (t) => {
  const url = `file:${freshFolder(t)}`
  const store = open(t, url)
  const other = await sharer(t, url)
  assert.deepEqual(other.opened, { result: 'open' })
  for (let n = 0; n < 50; n++) {
    await store.set('here', plain({ n }))
    assert.equal((await other.ask('get', 'here')).n, n)
    await other.ask('set', 'there', plain({ n }))
    assert.equal((await store.get('there')).n, n)
  }
  const held = await store.get('there')
  await other.ask('destroy', 'there')
  assert.equal(await store.get('there'), undefined)
  held.n = 'back again'
  await store.set('there', held)
  assert.equal(await store.get('there'), undefined, 'a logout elsewhere is not undone')
  assert.equal(await other.ask('length'), 1)
  await other.ask('clear')
  assert.equal(await store.length(), 0)
})

test('a process that has read, and then idles, does not let the file of the others grow', async (t) => {
  const folder = freshFolder(t)
  const options = { url: `file:${folder}`, durability: 'normal' }
  const other = await sharer(t, options)
  await other.ask('set', 'read', plain())
  const store = open(t, options)
  await store.get('read')
  const filling = 'x'.repeat(50_000)
  const end = Date.now() + 30_000
  let size = 0
  for (let flat = 0; flat < 20; ) {
    assert.ok(Date.now() < end, `the file grows and grows: ${size} bytes`)
    for (let n = 0; n < 10; n++) await other.ask('set', `written${n}`, plain({ filling }))
    const before = size
    size = fs.statSync(path.join(folder, 'data.mdb')).size
    flat = size === before ? flat + 1 : 0
  }
})

test('changes of two processes are merged', async (t) => {
  const url = `file:${freshFolder(t)}`
  const store = open(t, url)
  const other = await sharer(t, url)
  await store.set('a', plain({ mine: 0 }))
  for (let n = 1; n <= 20; n++) {
    const held = await store.get('a')
    const theirs = await other.ask('get', 'a')
    await other.ask('set', 'a', { ...theirs, theirs: n })
    held.mine = n
    await store.set('a', held)
    const { mine, theirs: kept } = await store.get('a')
    assert.deepEqual([mine, kept], [n, n])
  }
})

test('a touch reaches other processes, at the latest when its store is closed', async (t) => {
  const url = `file:${freshFolder(t)}`
  const store = new RustStore(url)
  const other = await sharer(t, url)
  await store.set('a', plain({ n: 1 }))
  const held = await store.get('a')
  const later = new Date(Date.now() + 172_800_000)
  held.cookie.expires = later
  await store.touch('a', held)
  assert.equal((await store.get('a')).cookie.expires, later.toISOString())
  await store.close()
  assert.equal((await other.ask('get', 'a')).cookie.expires, later.toISOString())
})

test('a touch of a session that soon ends is written at once', async (t) => {
  const url = `file:${freshFolder(t)}`
  const store = open(t, url)
  const other = await sharer(t, url)
  for (let n = 0; n < 10; n++) {
    const sid = `s${n}`
    await store.set(sid, { cookie: { ...COOKIE, expires: new Date(Date.now() + 4_000) } })
    const held = await store.get(sid)
    held.cookie.expires = new Date(Date.now() + 3_600_000)
    await store.touch(sid, held)
    // Whatever is asked of the writer next comes after it, also where that leaves touches alone.
    await store.set('next', plain())
    assert.equal((await other.ask('get', sid)).cookie.expires, held.cookie.expires.toISOString())
  }
})

test('processes with maps of different sizes share a folder', async (t) => {
  const url = `file:${freshFolder(t)}`
  const small = open(t, { url, mapSize: 1 << 20 })
  await small.set('a', plain())
  const large = await sharer(t, { url, mapSize: 1 << 30 })
  const text = 'x'.repeat(900_000)
  for (let n = 0; n < 100; n++) await large.ask('set', `s${n}`, plain({ text }))
  assert.equal((await small.get('s99')).text.length, text.length)
  await assert.rejects(small.set('b', plain({ text })), /mapSize/)
  await small.destroy('s0')
  assert.equal(await large.ask('length'), 100)
})

test('worker threads that end leave nothing behind', async (t) => {
  const url = `file:${freshFolder(t)}`
  const store = open(t, url)
  const code = `
    const { RustStore } = require(${JSON.stringify(path.join(__dirname, '..'))})
    const { workerData } = require('node:worker_threads')
    const store = new RustStore(workerData.url)
    store.set(workerData.sid, { n: 1 }).then(() => store.get(workerData.sid)).then(() => process.exit())`
  for (let n = 0; n < 20; n++) {
    const worker = new Worker(code, { eval: true, workerData: { url, sid: `s${n}` } })
    await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject))
  }
  assert.equal(await store.length(), 20)
  assert.deepEqual(fs.readdirSync(path.join(url.slice(5), 'processes')), [`${process.pid}`])
})

test('a folder can be opened with other options once all its stores are closed', async (t) => {
  const url = `file:${freshFolder(t)}`
  const [one, two] = [new RustStore(url), new RustStore({ url, prefix: 'b' })]
  await one.set('a', plain({ n: 1 }))
  await two.set('a', plain({ n: 2 }))
  await one.close()
  assert.throws(() => new RustStore({ url, durability: 'normal' }), {
    code: 'ERR_STORE_CONFIG',
    message: /already open in this process/,
  })
  await two.close()
  const again = open(t, { url, durability: 'normal' })
  assert.equal((await again.get('a')).n, 1)
  assert.deepEqual(fs.readdirSync(path.join(url.slice(5), 'processes')), [`${process.pid}`])
})

test('a second copy of the package in one process is refused', async (t) => {
  const folder = freshFolder(t)
  const copy = path.join(path.dirname(folder), 'copy')
  fs.mkdirSync(copy)
  const root = path.join(__dirname, '..')
  const addon = fs.readdirSync(root).filter((file) => file.endsWith('.node'))
  for (const file of ['index.js', 'native.js', 'package.json', 'lib', ...addon]) {
    fs.cpSync(path.join(root, file), path.join(copy, file), { recursive: true })
  }
  const other = require(path.join(copy, 'index.js'))
  const store = open(t, `file:${folder}`)
  await store.set('a', plain())
  assert.throws(() => new other.RustStore(`file:${folder}`), {
    code: 'ERR_STORE_UNSUPPORTED',
    message: /another copy of rust-session-store in this same process/,
  })
  await store.close()
  const theirs = new other.RustStore(`file:${folder}`)
  assert.ok(await theirs.get('a'))
  assert.throws(() => new RustStore(`file:${folder}`), { code: 'ERR_STORE_UNSUPPORTED' })
  await theirs.close()
  // Two processes with a copy each share it.
  await sharer(t, `file:${folder}`, { from: copy }).then(async (process) => {
    const here = open(t, `file:${folder}`)
    await process.ask('set', 'b', plain({ n: 1 }))
    assert.equal((await here.get('b')).n, 1)
  })
})

/** Of Linux alone: the command that runs another in namespaces of its own; undefined where the system does not allow it. */
async function unshare(t, ...flags) {
  if (process.platform !== 'linux') return t.diagnostic('not tried: of Linux alone')
  const command = [
    'unshare',
    ...(process.getuid() === 0 ? [] : ['--map-root-user']),
    ...flags,
    '--',
  ]
  const { ended } = start(t, command[0], [...command.slice(1), 'true'])
  const { code } = await ended
  if (code === 0) return command
  t.diagnostic(`not tried: this system does not allow ${command.join(' ')}`)
  return undefined
}

test('a process of another container, with process numbers of its own, is refused', async (t) => {
  const command = await unshare(t, '--pid', '--fork', '--mount-proc', '--kill-child')
  if (!command) return
  const url = `file:${freshFolder(t)}`
  const store = open(t, url)
  await store.set('a', plain())
  const { opened } = await sharer(t, url, { command })
  assert.equal(opened.code, 'ERR_STORE_UNSUPPORTED', JSON.stringify(opened))
  assert.match(opened.message, /another container/)
  await store.close()
  const alone = await sharer(t, url, { command })
  assert.deepEqual(alone.opened, { result: 'open' }, 'by itself it is welcome')
  assert.throws(() => new RustStore(url), { message: /another container/ })
})

test('a process with another C library is refused', async (t) => {
  // flock(1) holds a file as a process does that has the folder open.
  if (process.platform !== 'linux') return t.diagnostic('not tried: of Linux alone')
  const folder = freshFolder(t)
  const url = `file:${folder}`
  const store = new RustStore(url)
  await store.set('a', plain())
  const own = path.join(folder, 'processes', `${process.pid}`)
  const text = fs.readFileSync(own, 'utf8')
  await store.close()
  // As one leaves it that was built with musl, where this one was not, or the other way round.
  const seat = path.join(folder, 'processes', '1')
  const libraries = /C library: (system|musl)/
  const other = libraries.exec(text)[1] === 'system' ? 'musl' : 'system'
  fs.writeFileSync(seat, text.replace(libraries, `C library: ${other}`))
  const held = start(t, 'flock', ['--exclusive', seat, 'sh', '-c', 'echo locked; exec cat'])
  await held.line((line) => line === 'locked')
  assert.throws(() => new RustStore(url), {
    code: 'ERR_STORE_UNSUPPORTED',
    message: /another C library/,
  })
  held.child.stdin.end()
  await held.ended
  assert.ok(await open(t, url).get('a'), 'once it has ended, all is well')
})

test('a folder of another user is refused', async (t) => {
  if (process.getuid() !== 0) return t.diagnostic('not tried: it takes root')
  const folder = freshFolder(t)
  const store = open(t, `file:${folder}`)
  await store.set('a', plain())
  fs.chmodSync(path.dirname(folder), 0o755)
  fs.chmodSync(folder, 0o777)
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const { opened } = await sharer(t, `file:${folder}`, { command: nobody })
  assert.equal(opened.code, 'ERR_STORE_CONFIG', JSON.stringify(opened))
  assert.match(opened.message, /belongs to the user 0, and this process runs as 65534/)
  fs.chmodSync(folder, 0o700)
  const missing = await sharer(t, `file:${path.dirname(folder)}/new`, { command: nobody })
  assert.equal(missing.opened.code, 'ERR_STORE_CONFIG')
  assert.match(missing.opened.message, /is not allowed to/)
})

test('a disk that is full keeps what there is, and all goes on once there is space', async (t) => {
  const command = await unshare(t, '--mount')
  if (!command) return
  const mount = path.dirname(freshFolder(t))
  const filler = path.join(__dirname, 'file', 'filler.js')
  const { ended, lines, stderr } = start(t, command[0], [
    ...command.slice(1),
    process.execPath,
    filler,
    mount,
  ])
  await ended
  if (lines[0] === 'cannot mount') return t.diagnostic('not tried: no disk can be mounted here')
  assert.deepEqual(lines, ['passed'], stderr())
})

test('a save that is under way when the process ends is there or not, and nothing is torn', async (t) => {
  const url = `file:${freshFolder(t)}`
  const child = script(t, 'sharer.js', JSON.stringify(url))
  await child.line(() => true)
  for (let n = 0; n < 100; n++) child.say(JSON.stringify(['set', `s${n}`, plain({ n })]))
  child.child.stdin.end()
  assert.deepEqual(await child.ended, { code: 0, signal: null }, child.stderr())
  const store = open(t, url)
  assert.equal(await store.length(), 100, 'a process that ends by itself has written all')
})

test('what an app holds up itself is no failure', async (t) => {
  await holdUp(open(t, { url: `file:${freshFolder(t)}`, commandTimeout: 200 }), 300)
})

test('a walk that meets the end of its store is told', async (t) => {
  for (let round = 0; round < 10; round++) {
    const store = open(t, `file:${freshFolder(t)}`)
    await Promise.all(Array.from({ length: 600 }, (_, i) => store.set(`s${i}`, plain())))
    const walk = async () => {
      let met = 0
      for await (const _ of store.entries()) {
        // The end of a page: the next one is asked for while the store is being closed.
        if (++met !== 256) continue
        store.close()
        await new Promise(setImmediate)
      }
    }
    await assert.rejects(walk(), { code: 'ERR_STORE_CLOSED' })
  }
})

test('more touches at once than are gathered: none is refused, nor what comes after', async (t) => {
  const store = open(t, `file:${freshFolder(t)}?durability=normal`)
  const sids = Array.from({ length: 70_000 }, (_, i) => `s${i}`)
  for (let from = 0; from < sids.length; from += 5_000) {
    await Promise.all(sids.slice(from, from + 5_000).map((sid) => store.set(sid, plain())))
  }
  const later = { cookie: { ...COOKIE, expires: new Date(Date.now() + 7_200_000) } }
  await Promise.all(sids.map((sid) => store.touch(sid, later)))
  await store.destroy('s1')
  assert.equal(await store.length(), sids.length - 1)
})
