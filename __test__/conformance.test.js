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
  'walking',
  'exit',
]

for (const row of rows) {
  describe(row.name, () => {
    for (const theme of themes) {
      describe(theme, () => require(`./conformance/${theme}.js`)(row))
    }
    after(() => row.cleanup())
  })
}
