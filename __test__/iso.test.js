// The package's own writer and reader of times against JavaScript's.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { fromIso, toIso } = require('../lib/iso')

function sample() {
  const times = [0, 1, 999, 1000, 59_999, 60_000, 3_599_999, 3_600_000, 86_399_999, 86_400_000]
  times.push(Date.UTC(2024, 1, 29, 23, 59, 59, 999), Date.UTC(9999, 11, 31, 23, 59, 59, 999))
  // Years of five and six digits have a sign.
  times.push(Date.UTC(10000, 0, 1), 8.64e15, 8.64e15 - 1)
  for (let step = 1; step < 5000; step++) times.push((step * 7_654_321_987) % 4e12)
  return times
}

test('writes every time as Date does', () => {
  for (const ms of sample()) assert.equal(toIso(ms), new Date(ms).toISOString())
})

test('a Date that always says the same, as tests have it, does not show', () => {
  const { Date: real } = globalThis
  const at = real.UTC(2031, 4, 6, 7, 8, 9, 10)
  globalThis.Date = class extends real {
    constructor() {
      super(0)
    }
  }
  try {
    assert.equal(toIso(at), '2031-05-06T07:08:09.010Z')
    assert.equal(fromIso('2032-05-06T07:08:09.010Z'), real.UTC(2032, 4, 6, 7, 8, 9, 10))
  } finally {
    globalThis.Date = real
  }
})

test('reads every text as Date does', () => {
  for (const ms of sample()) assert.equal(fromIso(new Date(ms).toISOString()), ms)
  assert.equal(fromIso('2026-11-26T12:34:56.789Z'), Date.UTC(2026, 10, 26, 12, 34, 56, 789))
  const odd = ['2026-11-26T24:00:00.000Z', '2026-11-26T12:60:00.000Z', '2026-11-26T12:34:5x.789Z']
  odd.push(
    '2026-11-26T12:34:56.789+',
    '2026-11-26T12-34:56.789Z',
    '2026-11-26',
    '',
    'no date at all, 24 long..',
  )
  odd.push('2026-11-26T12:34:56.78:Z', '2026-11-26 12:34:56.789Z', 'Thu, 26 Nov 2026 12:00:0Z')
  for (const text of odd) assert.equal(fromIso(text), Date.parse(text), text)
})
