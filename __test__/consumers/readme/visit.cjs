// Loaded before the README's example (node --require): once it listens, visits it twice as one
// browser would, and ends the process with 0 if the second answer knew of the first.
// The port of the example may be taken, so it gets a free one.
'use strict'

const assert = require('node:assert/strict')
const net = require('node:net')

const { listen } = net.Server.prototype
net.Server.prototype.listen = function (port, ...rest) {
  this.once('listening', () => {
    visit(this.address().port).then(
      () => process.exit(0),
      (error) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
  return listen.call(this, Number.isInteger(Number(port)) ? 0 : port, ...rest)
}

async function visit(port) {
  const address = `http://127.0.0.1:${port}/`
  const first = await fetch(address)
  assert.equal(first.status, 200)
  const cookie = first.headers.get('set-cookie')?.split(';')[0]
  assert.ok(cookie, 'the first answer sets a session cookie')

  const second = await fetch(address, { headers: { cookie } })
  assert.equal(second.status, 200)
  assert.notEqual(await second.text(), await first.text(), 'the second answer knows of the first')

  const addons = Object.keys(require.cache).filter((file) => file.endsWith('.node'))
  assert.equal(addons.length, 1, `one addon is loaded: ${addons}`)
  assert.match(
    addons[0],
    /node_modules.rust-session-store-[\w-]+.rust-session-store\.[\w-]+\.node$/,
  )
}
