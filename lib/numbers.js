// The array in which numbers cross to the engine and back, most of them for less than an argument
// would cost. src/binding/answer.rs has the same places and values.
'use strict'

/**
 * A number of the array as V8 has it from JSON.parse: taken as it is, it may be a double for as long as it lives,
 * which takes twice as long to write as JSON. Not for one that may be -0.
 */
function numberOf(double) {
  const small = double | 0
  return small === double ? small : double
}

module.exports = {
  numberOf,
  numbers: new Float64Array(17 + 64 * 4 + 64 * 2),
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
  // The number that an operation is answered under if it waits.
  ID: 8,
  // Where the record is, as the backend knows it: told of what was read or written, and of a touch's base.
  SPOT: 10,
  // Of a text that was read, or of a base: the number of its outline (see outlines.js), or -1, and the
  // originalMaxAge that it goes without.
  OUTLINE: 11,
  MAX_AGE: 12,
  // The same of the text that is to be saved.
  TEXT_OUTLINE: 13,
  TEXT_MAX_AGE: 14,
  // Of a text that was read, as it was handed out: the number of its shape (see shapes.js), or -1, how often
  // values were told, and where they begin.
  SHAPE: 15,
  TOLD: 16,
  VALUES: 17 + 64 * 4,
  // How many answers are in the list, where it begins, and how many numbers each of them has.
  ANSWERS: 9,
  LIST: 17,
  LISTED: 4,
  // What STATUS says.
  FAILED: -1,
  DONE: 0,
  MERGED: 1,
  GONE: 2,
  CHANGED: 4,
  PENDING: 5,
  // What EXTRA says of the answers of operations that waited, added up: what else is to be done, and that they
  // are the last.
  FLUSH: 1,
  HEAR: 2,
  END: 4,
  // What EXTRA says of a save, added up.
  MOVED: 1,
  COOKIE_ONLY: 2,
}
