// `first` and `second` run at once, in two threads: a named store is one for both, a store of its
// own is not. Each writes under a sid of its own, so that neither has to wait for the other.
import { threadId } from 'node:worker_threads'
import test from 'ava'
import { RustStore } from 'rust-session-store'

test('a store of its own is empty', async (t) => {
  const store = new RustStore()
  await store.set('sid', { threadId })
  t.deepEqual(await store.all(), Object.assign(Object.create(null), { sid: { threadId } }))
})

test('a named store is one for the whole process', async (t) => {
  const [one, other] = [new RustStore('memory:ava'), new RustStore('memory:ava')]
  await one.set(`sid-${threadId}`, { threadId })
  t.deepEqual(await other.get(`sid-${threadId}`), { threadId })
})
