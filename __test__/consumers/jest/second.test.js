// Jest loads the module anew for each test file, also where all files share one process.
// `first` and `second` are the same: whichever runs later must not see the other's sessions.
const { RustStore } = require('rust-session-store')

test('a store of its own is empty', async () => {
  const store = new RustStore()
  expect(await store.ids()).toEqual([])
  await store.set('sid', { user: 'kim' })
  expect(await store.all()).toEqual({ sid: { user: 'kim' } })
})

test('many stores are no trouble', async () => {
  const stores = Array.from({ length: 50 }, () => new RustStore())
  await Promise.all(stores.map((store, n) => store.set('sid', { n })))
  const found = await Promise.all(stores.map((store) => store.get('sid')))
  expect(found.map(({ n }) => n)).toEqual(stores.map((_, n) => n))
})
