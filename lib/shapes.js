// Sessions out of texts whose shape the engine knows (src/binding/shape.rs): put together by a function that
// is made for the shape, from the places of their values, which takes a fraction of what JSON.parse takes.
// Knows nothing of stores.
'use strict'

const { VALUES, numberOf, numbers } = require('./numbers')

const { parse, stringify } = JSON
const RealFunction = Function

// Of objects. What is put into a function's code must be nothing but a name, and not the one that is not.
const NAME = /^(?!__proto__$)[\w-]{1,64}$/

// By the numbers of the shapes. JSON.parse for those of which there is none.
const makers = []

/**
 * The session of a text whose shape and values the engine has just told; what JSON.parse returns, and throws.
 */
function make(shape, text) {
  const maker = makers[shape]
  if (maker !== undefined) return maker(text)
  const session = parse(text)
  makers[shape] = makerOf(session, text)
  return session
}

/** Makes the function for all texts that have the shape of `text`, of which `session` was read. */
function makerOf(session, text) {
  // Not where a key comes twice, or keys are in another order than they are read in.
  if (stringify(session) !== text) return parse
  let place = VALUES
  const write = (value) => {
    if (value === null) return 'null'
    if (Array.isArray(value)) return `[${value.map(write)}]`
    if (typeof value === 'object') {
      return `{${Object.entries(value).map(([name, value]) => `${nameOf(name)}:${write(value)}`)}}`
    }
    const [first, second] = [place, place + 1]
    place += 2
    if (typeof value === 'number') return `w(n[${first}])`
    if (typeof value === 'boolean') return `n[${first}]===1`
    return stringify(value).length === value.length + 2
      ? `t.substring(n[${first}],n[${second}])`
      : `p(t.substring(n[${first}]-1,n[${second}]+1))`
  }
  try {
    const code = `return t=>(${write(session)})`
    return new RealFunction('n', 'p', 'w', code)(numbers, parse, numberOf)
  } catch {
    // A name that is none, more levels than there is room for, or Node.js was told to make no code of text.
    return parse
  }
}

function nameOf(name) {
  if (!NAME.test(name)) throw new RangeError('not to be put into code')
  return `"${name}"`
}

module.exports = { make }
