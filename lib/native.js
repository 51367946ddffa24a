// Loads the engine. ../native.js, which the napi command line tool writes at each build, finds the
// binary for this platform; this file only turns its failure into one line that says what to do.
'use strict'

const { RustStoreError } = require('./errors')

function load() {
  try {
    return require('../native.js')
  } catch (cause) {
    throw new RustStoreError(
      'ERR_STORE_UNSUPPORTED',
      `rust-session-store has no binary here for ${process.platform} ${process.arch} on Node ${process.versions.node}: ` +
        'install it again without --omit=optional, or run "npm run build" where it is developed',
      { operation: 'open', cause },
    )
  }
}

module.exports = load()
