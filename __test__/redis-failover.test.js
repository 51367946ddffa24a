'use strict'
// Masters that die and slots that move, under load. Redis replicates after it has answered, so a failover
// may lose the last saves: those are counted, and everything else has to be there.

const assert = require('node:assert/strict')
const { RustStore } = require('..')
const { listen } = require('./conformance/harness.js')
const { Load } = require('./servers/load.js')
const { startCluster, startSentinels, testing, until } = require('./servers/redis.js')

const { test } = testing()

const TIMEOUTS = { commandTimeout: 1000, connectTimeout: 1000 }
const deadline = TIMEOUTS.commandTimeout
const codes = ['ERR_STORE_UNAVAILABLE', 'ERR_STORE_TIMEOUT']

/** Runs a test with servers and a store on them, where these may run no scripts, too. */
function failover(name, start, body) {
  on(name, start, body)
  const forbidden = async () => {
    const servers = await start()
    const { nodes } = servers
    await Promise.all(nodes.map((node) => node.ask('ACL', 'SETUSER', 'default', '-@scripting')))
    return servers
  }
  on(`no scripts: ${name}`, forbidden, body)
}

function on(name, start, body) {
  test(name, { timeout: 90_000 }, async (t) => {
    const servers = await start()
    const store = new RustStore({ url: servers.url, ...TIMEOUTS })
    try {
      await body({ t, servers, store })
    } finally {
      await store.close().catch(() => {})
      servers.end()
    }
  })
}

/** What the replicas had not been sent yet is lost; no session is, and none is older than that. */
async function assertLittleIsLost(t, load) {
  const lost = await load.lost()
  t.diagnostic(`${lost} of ${load.acknowledged.length} sessions lost their last acknowledged saves`)
  return lost
}

failover(
  'Sentinel: the master is killed under load',
  startSentinels,
  async ({ t, servers, store }) => {
    const [downs, ups] = [listen(store, 'down'), listen(store, 'up')]
    const load = new Load(store)
    await load.passes(1000)
    await servers.master.kill()
    await until('the new master', async () =>
      (await servers.replica.ask('ROLE')).startsWith('master'),
    )
    const promoted = performance.now()
    await load.passes(1)
    t.diagnostic(`the first call succeeded ${Math.round(performance.now() - promoted)} ms later`)
    await load.passes(1000)
    await load.end({ deadline, codes })
    await assertLittleIsLost(t, load)
    assert.deepEqual([downs.length, ups.length], [1, 1])
  },
)

failover(
  'Sentinel: the master is exchanged under load',
  startSentinels,
  async ({ t, servers, store }) => {
    const load = new Load(store)
    await load.passes(1000)
    await servers.sentinels[0].ask('SENTINEL', 'FAILOVER', 'sessions')
    await until('the new master', async () =>
      (await servers.replica.ask('ROLE')).startsWith('master'),
    )
    await until('the old master to follow', async () =>
      (await servers.master.ask('ROLE')).startsWith('slave'),
    )
    await load.passes(1000)
    await load.end({ deadline, codes })
    await assertLittleIsLost(t, load)
    // All of it is on the new master: nothing was written to the old one as if it still were.
    assert.equal(await servers.replica.ask('DBSIZE'), String(load.acknowledged.length))
  },
)

failover('Cluster: a master is killed under load', startCluster, async ({ t, servers, store }) => {
  const downs = listen(store, 'down')
  const load = new Load(store)
  await load.passes(1000)
  const replica = servers.nodes[3]
  const of = (await replica.ask('ROLE')).split('\n')[2]
  await servers.nodes.find(({ port }) => port === Number(of)).kill()
  await until('the new master', async () => (await replica.ask('ROLE')).startsWith('master'))
  await until('all slots', async () =>
    (await replica.ask('CLUSTER', 'INFO')).includes('cluster_state:ok'),
  )
  // Every session can be saved again, those of the dead master, too.
  const before = [...load.acknowledged]
  await until('every session to be saved', () =>
    load.acknowledged.every((n, index) => n > before[index]),
  )
  await load.end({ deadline, codes })
  await assertLittleIsLost(t, load)
  assert.equal(downs.length, 0, 'the cluster was never down as a whole')
})

failover('Cluster: slots move under load', startCluster, async ({ servers, store }) => {
  const load = new Load(store, { width: 64 })
  await load.passes(1000)
  const ids = await Promise.all(servers.nodes.map((node) => node.ask('CLUSTER', 'MYID')))
  // A third of the first master's, so that about seven of the sessions move.
  await servers.reshard(ids[0], ids[1], 1800)
  await load.passes(1000)
  // Not even a retry was left to the app.
  await load.end({ deadline, codes: [] })
  assert.equal(await load.lost(), 0)
})
