'use strict'
// Child process: a listener of `gone` throws. The save it belongs to is answered all the same.

const { rowNamed } = require('../../backends.js')

const report = { answered: 0, error: null, uncaught: [] }
process.on('uncaughtException', (error) => report.uncaught.push(error.message))

async function main() {
  const store = await rowNamed(process.argv[2]).open()
  await store.set('a', { n: 1 })
  const held = await store.get('a')
  await store.destroy('a')
  store.on('gone', () => {
    throw new Error('from gone')
  })
  store.set('a', held, (error) => {
    report.answered++
    report.error = error ?? null
  })
  await store.ping()
  setTimeout(() => console.log(JSON.stringify(report)), 20)
}

main()
