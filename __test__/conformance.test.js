'use strict'
// Runs the conformance suite over every row of the test matrix.

const { after, describe } = require('node:test')
const { rows } = require('./backends.js')

const themes = [
  'contract',
  'values',
  'delivery',
  'forms',
  'expiry',
  'touch',
  'concurrency',
  'bases',
  'merging',
  'texts',
  'moved',
  'cookie',
  'walking',
  'exit',
]

for (const row of rows) {
  // Where tests have to wait for a server's clock, they wait together; the caller's clock, which
  // they move, is one for all.
  const concurrency = row.capabilities.clock === 'server' ? 24 : 1
  describe(row.name, () => {
    for (const theme of themes) {
      describe(theme, { concurrency }, () => require(`./conformance/${theme}.js`)(row))
    }
    after(() => row.cleanup())
  })
}
