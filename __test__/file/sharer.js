'use strict'
// Child process: does with a store what the lines on its stdin say, and answers each with a line of
// JSON: `[method, ...arguments]` in, `{ result }` or `{ code, message }` out.

const { createInterface } = require('node:readline')
const { RustStore } = require(process.argv[3] ?? '../..')

const print = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)
const failed = (error) => print({ code: error.code, message: error.message, name: error.name })

let store
try {
  store = new RustStore(JSON.parse(process.argv[2]))
  print({ result: 'open' })
} catch (error) {
  failed(error)
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [method, ...args] = JSON.parse(line)
  try {
    print({ result: (await store[method](...args)) ?? null })
  } catch (error) {
    failed(error)
  }
})
