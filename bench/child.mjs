// One contender in a process of its own: its heap, its compiled code and its CPU time are its own,
// as in an app, which has one store. Does one thing at a time, when the parent asks for it.
import * as delay from './measure/delay.mjs'
import { serve, usage } from './measure/http.mjs'
import * as memory from './measure/memory.mjs'
import * as ops from './measure/ops.mjs'
import { resize } from './session.mjs'
import { contenders } from './stores.mjs'

const contender = contenders[process.argv[2]]
let store

const commands = {
  async fill({ count, bytes }) {
    if (bytes) resize(bytes)
    if (!contender) return ops.fillBare(count)
    store = await contender.open()
    await ops.fill(store, count)
  },
  round: (args) => ops.round(store, args),
  resident: ({ count, calls }) => memory.resident(contender, count, calls),
  expire: (args) => delay.whileExpiring(contender, args),
  walk: (args) => delay.whileWalking(contender, args),
  idle: ({ ms }) => delay.whileIdle(ms),
  serve: ({ sessions }) => serve(contender, sessions),
  usage,
}

process.on('message', async ({ command, args }) => {
  try {
    process.send({ result: await commands[command](args ?? {}) })
  } catch (error) {
    process.send({ error: error.stack })
  }
})
process.on('disconnect', () => process.exit())
