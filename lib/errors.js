// The one error class of the package. Knows nothing of stores: what failed is told to it.
'use strict'

/** What every failed operation answers with. `code` is stable; docs/errors.md lists the codes. */
class RustStoreError extends Error {
  constructor(code, message, { backend = '', operation = '', retryable = false, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.backend = backend
    this.operation = operation
    this.retryable = retryable
  }
}
// On the prototype, so that it does not show among each error's own properties.
Object.defineProperty(RustStoreError.prototype, 'name', {
  value: 'RustStoreError',
  configurable: true,
  writable: true,
})

/** The error that the engine described as JSON text. */
function fromEngine(text) {
  const { code, message, cause, ...where } = JSON.parse(text)
  return new RustStoreError(code, message, {
    ...where,
    cause: cause === null ? undefined : new Error(cause),
  })
}

/** What was handed in, or stored, cannot be turned into what it should be. */
const unreadable = (message, cause) => new RustStoreError('ERR_STORE_DECODE', message, { cause })

module.exports = { RustStoreError, fromEngine, unreadable }
