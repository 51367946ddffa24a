'use strict'
// Child process: 20 calls of each method in one tick, of which three throw in their callbacks.
// Reports how often each callback ran and which exceptions surfaced.

const { rowNamed } = require('../../backends.js')

const [, , rowName, methods] = process.argv
const row = rowNamed(rowName)
const names = [...methods.split(','), 'error']
const report = { unhandledRejections: 0 }
for (const name of names) report[name] = { calls: Array(20).fill(0), thrown: [] }

process.on('uncaughtException', (error) => {
  if (!error.thrownBy) throw error
  report[error.thrownBy[0]].thrown.push(error.thrownBy[1])
})
process.on('unhandledRejection', () => report.unhandledRejections++)

const CALLS = {
  get: (store, i, cb) => store.get(`none${i}`, cb),
  set: (store, i, cb) => store.set(`new${i}`, { n: i }, cb),
  touch: (store, i, cb) => store.touch(`none${i}`, {}, cb),
  destroy: (store, i, cb) => store.destroy(`none${i}`, cb),
  all: (store, _i, cb) => store.all(cb),
  length: (store, _i, cb) => store.length(cb),
  ids: (store, _i, cb) => store.ids(cb),
  ping: (store, _i, cb) => store.ping(cb),
  stats: (store, _i, cb) => store.stats(cb),
  clear: (store, _i, cb) => store.clear(cb),
  // `close` ends a store, so each call has its own; 'error' is any call that fails.
  close: (_store, i, cb) => spare[i].close(cb),
  error: (_store, _i, cb) => closed.get('x', cb),
}
const spare = []
let closed

async function main() {
  const store = await row.open()
  const kept = await row.open()
  closed = await row.open()
  await closed.close()
  for (let i = 0; i < 20; i++) spare.push(await row.open())
  await kept.set('kept', { n: 1 })
  for (const name of names) {
    await new Promise((resolve) => {
      let left = 20
      for (let i = 0; i < 20; i++) {
        CALLS[name](store, i, () => {
          report[name].calls[i]++
          if (--left === 0) setTimeout(resolve, 20)
          if (i % 7 === 0) throw Object.assign(new Error('thrown'), { thrownBy: [name, i] })
        })
      }
    })
  }
  report.left = await kept.length()
  console.log(JSON.stringify(report))
}

main()
