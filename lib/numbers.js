// The array in which numbers cross to the engine and back, most of them for less than an argument
// would cost. src/binding/answer.rs has the same places and values.
'use strict'

module.exports = {
  numbers: new Float64Array(9),
  // What the engine leaves.
  STATUS: 0,
  VERSION: 1,
  NUMBER: 2,
  // What it is told.
  NOW: 3,
  EXPIRES: 4,
  RULE: 5,
  BASE: 6,
  EXTRA: 7,
  // Which of the waiting operations; -1 for none.
  ID: 8,
  // What STATUS says.
  FAILED: -1,
  DONE: 0,
  MERGED: 1,
  GONE: 2,
  CHANGED: 4,
  PENDING: 5,
  // What EXTRA says of a save, added up.
  MOVED: 1,
  COOKIE_ONLY: 2,
}
