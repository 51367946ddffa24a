// The package's own writer of times against JavaScript's.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { toIso } = require('../lib/iso')

test('writes every time as Date does', () => {
  const times = [0, 1, 999, 1000, 59_999, 60_000, 3_599_999, 3_600_000, 86_399_999, 86_400_000]
  times.push(Date.UTC(2024, 1, 29, 23, 59, 59, 999), Date.UTC(9999, 11, 31, 23, 59, 59, 999))
  // Years of five and six digits have a sign.
  times.push(Date.UTC(10000, 0, 1), 8.64e15, 8.64e15 - 1)
  for (let step = 1; step < 5000; step++) times.push((step * 7_654_321_987) % 4e12)
  for (const ms of times) assert.equal(toIso(ms), new Date(ms).toISOString())
})
