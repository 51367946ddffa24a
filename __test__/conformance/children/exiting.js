'use strict'
// Child process: calls process.exit(7) with operations of every kind in flight.

const { rowNamed } = require('../../backends.js')

const [, , rowName, when] = process.argv

function busy(store) {
  for (let i = 0; i < 500; i++) {
    store.set(`sid${i}`, { n: i, text: 'x'.repeat(200) }, undefined)
    store.get(`sid${i}`, () => {})
    store.destroy(`sid${i - 1}`, () => {})
    store.length(() => {})
  }
  store.all().catch(() => {})
  store.entries().next()
}

const exit = () => process.exit(7)

// With or without an error: on a busy machine so much may take longer than its deadline.
const WHEN = {
  'at once': exit,
  'in a callback': (store) => store.destroy('x', exit),
  'in a tick': () => setImmediate(exit),
  'in a promise': (store) => store.ping().then(exit, exit),
}

rowNamed(rowName)
  .open()
  .then((store) => {
    busy(store)
    WHEN[when](store)
  })
