'use strict'
// Runs the conformance suite over rows of the test matrix. A row is run by the file that its name
// begins with (`conformance-redis-cluster.test.js`), so that those that mostly wait run side by side,
// and where there is none by `conformance.test.js`: a new row is run in any case.

const { readdirSync } = require('node:fs')
const path = require('node:path')
const { after, describe } = require('node:test')
const { rows } = require('../backends.js')

const themes = [
  'contract',
  'values',
  'delivery',
  'forms',
  'expiry',
  'touch',
  'concurrency',
  'order',
  'bases',
  'merging',
  'texts',
  'moved',
  'cookie',
  'walking',
  'exit',
]

const FILE = /^conformance-?(.*)\.test\.js$/
const parts = readdirSync(path.join(__dirname, '..'))
  .filter((name) => FILE.test(name))
  .map((name) => FILE.exec(name)[1])

/** The longest part of a file's name that the row's name begins with. */
function partOf({ name }) {
  const slug = name.toLowerCase().replace(/[^a-z]+/g, '-')
  const fitting = parts.filter((part) => slug.startsWith(part))
  return fitting.sort((a, b) => b.length - a.length)[0]
}

/** Registers the rows of one test file. */
module.exports = (file) => {
  const [, own] = FILE.exec(path.basename(file))
  for (const row of rows.filter((one) => partOf(one) === own)) {
    // Where tests have to wait for a server's clock, they wait together; the caller's clock, which
    // they move, is one for all.
    const concurrency = row.capabilities.clock === 'server' ? 24 : 1
    describe(row.name, () => {
      for (const theme of themes) {
        describe(theme, { concurrency }, () => require(`./${theme}.js`)(row))
      }
      after(() => row.cleanup())
    })
  }
}
