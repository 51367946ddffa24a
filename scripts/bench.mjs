// `npm run bench`: installs, builds, and runs the benchmark of bench/ with the flags it was given.
import './node-version.mjs'
import { install, setup } from './setup.mjs'
import { Failure, MINUTE, run, script } from './tools.mjs'

export async function bench(flags, options) {
  await install('bench')
  const timeout = (flags.includes('--quick') ? 30 : 360) * MINUTE
  return run(process.execPath, ['bench/run.mjs', ...flags], { timeout, ...options })
}

script(import.meta.url, async () => {
  await setup()
  const { ok } = await bench(process.argv.slice(2), { inherit: true })
  if (!ok) throw new Failure('The benchmark did not end well.')
})
