// `npm run bench`: installs, builds, and runs the benchmark of bench/ with the flags it was given.
import './node-version.mjs'
import { install, setup } from './setup.mjs'
import { Failure, run, script } from './tools.mjs'

export async function bench(flags, options) {
  await install('bench')
  return run(process.execPath, ['bench/run.mjs', ...flags], options)
}

script(import.meta.url, async () => {
  await setup()
  const { ok } = await bench(process.argv.slice(2), { inherit: true })
  if (!ok) throw new Failure('The benchmark did not end well.')
})
