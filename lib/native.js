// Loads the engine. ../native.js, which the napi command line tool writes at each build, finds the
// binary for this platform; this file only turns its failure, and a Node.js that is too
// old, into one line that says what to do.
'use strict'

const { RustStoreError } = require('./errors')

// As package.json has it under `engines`: what npm only warns of.
const OLDEST = [20, 17]

function load() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw new RustStoreError(
      'ERR_STORE_UNSUPPORTED',
      `rust-session-store needs Node.js ${OLDEST.join('.')} or newer, and this is ${process.versions.node}`,
      { operation: 'open' },
    )
  }
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
