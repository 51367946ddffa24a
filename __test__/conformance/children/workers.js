'use strict'
// Child process: starts many workers, a few at a time, and ends each while it is busy: by
// terminate() from here, by process.exit() in the worker, or by an exception there.
// Reports what went wrong, and what the process held after a quarter of them and at the end; a crash shows as
// the signal that ends this process.

const fs = require('node:fs')
const v8 = require('node:v8')
const vm = require('node:vm')
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')
const { RustStore } = require('../../..')
const { rowNamed } = require('../../backends.js')

const [, , rowName, count] = process.argv
const AT_A_TIME = 4

v8.setFlagsFromString('--expose-gc')
const gc = vm.runInNewContext('gc')

/** Bytes, and on Linux threads and open files, that the process holds. */
function held() {
  gc()
  const count = (what) =>
    process.platform === 'linux' ? fs.readdirSync(`/proc/self/${what}`).length : 0
  return { rss: process.memoryUsage().rss, threads: count('task'), files: count('fd') }
}

async function main() {
  const row = rowNamed(rowName)
  const store = await row.open()
  await store.set('shared', { n: 1 })
  const report = { ended: 0, errors: [], works: false, held: [] }
  let started = 0

  const one = (number) =>
    new Promise((resolve) => {
      const how = ['terminate', 'terminate', 'exit', 'throw'][number % 4]
      const url = row.where(store)
      const worker = new Worker(__filename, {
        argv: [rowName],
        workerData: { how, url, number },
      })
      worker.on('message', () => {
        // From none to a few milliseconds: every moment of an operation is hit in the long run.
        if (how === 'terminate') setTimeout(() => worker.terminate(), (number % 8) / 2)
      })
      worker.on('error', (error) => {
        if (error.message !== 'on purpose') report.errors.push(String(error.stack))
      })
      worker.on('exit', (code) => {
        const expected = { terminate: 1, exit: 3, throw: 1 }[how]
        if (code !== expected) report.errors.push(`${how} ended with ${code}`)
        report.ended++
        resolve()
      })
    })

  const startUpTo = async (many) => {
    const lane = async () => {
      while (started < many) await one(started++)
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, lane))
    report.held.push(held())
  }
  await startUpTo(Number(count) / 4)
  await startUpTo(Number(count))
  await store.set('after', { n: 2 })
  report.works = (await store.get('after')).n === 2 && (await store.get('shared')).n === 1
  console.log(JSON.stringify(report))
}

async function work() {
  const { how, url, number } = workerData
  const own = await rowNamed(rowName).open()
  const stores = url ? [own, new RustStore(url)] : [own]
  let turns = 0
  const busy = () => {
    for (const store of stores) {
      for (let i = 0; i < 20; i++) {
        const sid = `w${number}-${i}`
        store.set(sid, { n: i, text: 'x'.repeat(300) }, () => {})
        store.get(sid, (_error, session) => session && store.set(sid, session, undefined))
        store.destroy(sid, () => {})
      }
      store.length().then(() => store.ids(() => {}))
      store.entries().next()
    }
    if (++turns === 3 && how === 'exit') process.exit(3)
    if (turns === 3 && how === 'throw') throw new Error('on purpose')
    setImmediate(busy)
  }
  busy()
  parentPort.postMessage('busy')
}

if (isMainThread) main()
else work()
