// Servers in worker threads on one named store.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { Browser, SECRET } = require('./flows/app')

/** A worker thread that serves an app on a shared store. */
async function startWorker(t, store) {
  const worker = new Worker(path.join(__dirname, 'flows', 'worker-app.js'), {
    workerData: { store, secret: SECRET },
  })
  const told = []
  const waiting = new Set()
  worker.on('message', (message) => {
    told.push(message)
    for (const check of waiting) check()
  })
  t.after(() => worker.terminate())
  const server = {
    worker,
    told,
    /** Answers with the first message that has `name`, now or later. */
    hears: (name) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const found = told.find((message) => name in message)
          if (!found) return
          waiting.delete(check)
          resolve(found[name])
        }
        waiting.add(check)
        worker.once('error', reject)
        check()
      }),
  }
  server.origin = `http://127.0.0.1:${await server.hears('listening')}`
  return server
}

/** Two servers, one worker thread each, and a browser for each with the same cookies. */
async function startTwo(t, store) {
  const [first, second] = await Promise.all([startWorker(t, store), startWorker(t, store)])
  const here = new Browser(first)
  await here.request('/set?user=ada')
  const there = new Browser(second)
  there.jar = here.jar
  const seen = async () => (await there.request('/session')).body
  assert.deepEqual(await seen(), { user: 'ada' })
  return { first, second, here, there, seen }
}

test('two servers in worker threads share one named store', async (t) => {
  const { here, there, seen } = await startTwo(t, 'memory:share')
  await there.request('/set?theme=dark')
  await here.request('/set?key=cart&bread=1')
  await there.request('/set?key=cart&milk=2')
  const expected = { user: 'ada', theme: 'dark', cart: { bread: '1', milk: '2' } }
  assert.deepEqual(await seen(), expected)
  assert.deepEqual((await here.request('/session')).body, expected)
})

test('two servers in worker threads: changes at once are all kept', async (t) => {
  const { first, second, here, there, seen } = await startTwo(t, 'memory:merge')
  await here.request('/set?key=cart&bread=1')
  const held = here.request('/set?hold=x&key=cart&apples=6')
  await first.hears('held')
  await there.request('/set?key=cart&milk=2')
  await there.request('/set?theme=dark')
  first.worker.postMessage({ open: 'x' })
  await held
  const cart = { bread: '1', milk: '2', apples: '6' }
  assert.deepEqual(await seen(), { user: 'ada', cart, theme: 'dark' })
  for (const { told } of [first, second]) {
    assert.ok(!told.some((message) => message.conflict))
  }
})

test('two servers in worker threads: a logout on one holds on the other', async (t) => {
  const { first, here, there, seen } = await startTwo(t, 'memory:logout')
  const { sid } = here
  const held = here.request('/set?hold=x&theme=dark')
  await first.hears('held')
  await there.request('/destroy')
  first.worker.postMessage({ open: 'x' })
  assert.equal((await held).status, 200)
  assert.equal(await first.hears('gone'), sid)
  assert.deepEqual(await seen(), {})
})

test('a named store outlives the worker thread that wrote it', async (t) => {
  const { first, there, seen } = await startTwo(t, { url: 'memory:outlive' })
  await first.worker.terminate()
  await there.request('/set?theme=dark')
  assert.deepEqual(await seen(), { user: 'ada', theme: 'dark' })
  const third = await startWorker(t, { url: 'memory:outlive' })
  const tab = new Browser(third)
  tab.jar = there.jar
  assert.deepEqual((await tab.request('/session')).body, { user: 'ada', theme: 'dark' })
})

test('a held request of a worker thread that is terminated harms nobody', async (t) => {
  const { first, here, there, seen } = await startTwo(t, 'memory:terminate')
  const cutOff = assert.rejects(here.request('/set?hold=x&theme=dark'), { code: 'ECONNRESET' })
  await first.hears('held')
  await first.worker.terminate()
  await cutOff
  await there.request('/set?language=en')
  assert.deepEqual(await seen(), { user: 'ada', language: 'en' })
})
