// An app with sessions under Jest: nothing is closed but the server, and Jest ends by itself.
const session = require('express-session')
const { RustStore } = require('rust-session-store')
const { createApp, open } = require('./app')

let browser
beforeEach(async () => {
  browser = await open(createApp())
})
afterEach(() => browser.close())

test('a session lasts from sign-in to sign-out', async () => {
  await browser.visit('POST', '/cart/tea')
  expect(await browser.visit('POST', '/login/kim')).toEqual({ user: 'kim' })
  await browser.visit('POST', '/cart/tea')
  expect(await browser.visit('GET', '/')).toEqual({ user: 'kim', cart: { tea: 1 } })
  await browser.visit('POST', '/logout')
  expect(await browser.visit('GET', '/')).toEqual({ user: null, cart: {} })
})

test('requests that run at once keep what each of them changed', async () => {
  await browser.visit('POST', '/login/kim')
  const skus = ['tea', 'milk', 'bread', 'salt']
  await Promise.all(skus.map((sku) => browser.visit('POST', `/cart/${sku}`)))
  const { cart } = await browser.visit('GET', '/')
  expect(Object.keys(cart).sort()).toEqual([...skus].sort())
})

test('the store is one of express-session', () => {
  expect(new RustStore()).toBeInstanceOf(session.Store)
})
