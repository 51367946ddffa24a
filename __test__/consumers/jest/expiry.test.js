// Fake timers move the store's clock: a test of expiry does not have to wait.
const { RustStore } = require('rust-session-store')

const MINUTE = 60_000
const lasting = (ms) => ({
  cookie: { originalMaxAge: ms, expires: new Date(Date.now() + ms) },
  user: 'kim',
})

beforeEach(() => jest.useFakeTimers())
afterEach(() => jest.useRealTimers())

test('a session expires when its time is over', async () => {
  const store = new RustStore()
  await store.set('sid', lasting(30 * MINUTE))
  jest.advanceTimersByTime(29 * MINUTE)
  expect(await store.get('sid')).toMatchObject({ user: 'kim' })
  jest.advanceTimersByTime(2 * MINUTE)
  expect(await store.get('sid')).toBeUndefined()
  expect(await store.length()).toBe(0)
})

test('a touch gives it more', async () => {
  const store = new RustStore()
  await store.set('sid', lasting(30 * MINUTE))
  jest.advanceTimersByTime(29 * MINUTE)
  await store.touch('sid', lasting(30 * MINUTE))
  jest.advanceTimersByTime(29 * MINUTE)
  expect(await store.get('sid')).toMatchObject({ user: 'kim' })
})

test('the default lifetime is a day', async () => {
  const store = new RustStore()
  await store.set('sid', { user: 'kim' })
  jest.setSystemTime(Date.now() + 23 * 60 * MINUTE)
  expect(await store.get('sid')).toEqual({ user: 'kim' })
  jest.setSystemTime(Date.now() + 61 * MINUTE)
  expect(await store.get('sid')).toBeUndefined()
})

test('what answers later than the call answers with fake timers too', async () => {
  const store = new RustStore()
  await store.set('sid', lasting(MINUTE))
  await store.destroy('sid')
  expect(await store.all()).toEqual({})
  await store.clear()
  await store.close()
})
