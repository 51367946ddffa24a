// The options as the engine reads them: JSON text, in which what JSON cannot say is an object of one
// key. Knows no option but `serializer`, whose methods the engine cannot see.
'use strict'

const { RustStoreError } = require('./errors')

/** The options as an object: of a URL, those that it says; undefined has none. */
function checkOptions(options) {
  if (options === undefined) return {}
  if (typeof options === 'string') return { url: options }
  if (isUrl(options)) return { url: options.href }
  if (isPlain(options)) return options
  const isObject = typeof options === 'object' && options !== null
  const got = isObject ? `an instance of ${options.constructor?.name}` : String(options)
  throw new RustStoreError(
    'ERR_STORE_CONFIG',
    `RustStore takes a URL or a plain object of options; got ${got}`,
    { operation: 'open' },
  )
}

/** The text of options. */
function optionsText(options) {
  const described = Object.create(null)
  for (const name of Object.keys(options)) described[name] = describe(options[name])
  const { serializer } = options
  if (typeof serializer === 'object' && serializer !== null) {
    // Its methods may be inherited, or not enumerable as those of JSON itself.
    const { stringify, parse } = serializer
    described.serializer = { stringify: describe(stringify), parse: describe(parse) }
  }
  return JSON.stringify(described)
}

/** Whether it is a URL, of whatever realm. */
const isUrl = (value) => Object.prototype.toString.call(value) === '[object URL]'

/**
 * Whether it is an object that was written as one: what a Map, a promise or an instance of a class has to say
 * is not in its keys. By the prototypes, since Jest's objects are another realm's.
 */
function isPlain(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function describe(value) {
  switch (typeof value) {
    case 'undefined':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : { number: String(value) }
    case 'string':
      return value.isWellFormed() ? value : { number: 'a lone surrogate' }
    case 'function':
      return { function: true }
    case 'object':
      if (Array.isArray(value)) return value.map(describe)
      if (isUrl(value)) return value.href
      return value === null ? null : { object: true }
    default:
      return { number: String(value) }
  }
}

module.exports = { checkOptions, optionsText }
