// `npm run lint`: formatting, lints, documentation links and types. The cheap ones come first.
import './node-version.mjs'
import { checkRust } from './build.mjs'
import { install } from './setup.mjs'
import { exists, Failure, isCI, run, Steps, script, tool } from './tools.mjs'

const colors = `--colors=${process.stdout.isTTY ? 'force' : 'off'}`
const locked = isCI ? ['--locked'] : []
const cargo = (args, env) => run('cargo', args, { show: true, env })
const fuzz = ['--manifest-path', 'fuzz/Cargo.toml']
const hasFuzz = exists('fuzz/Cargo.toml')
const fuzzLocked = exists('fuzz/Cargo.lock') ? locked : []

const steps = {
  'rustfmt, to correct: cargo fmt': async () => [
    await cargo(['fmt', '--check']),
    ...(hasFuzz ? [await cargo(['fmt', '--check', ...fuzz])] : []),
  ],
  'biome, to correct: npm run format': async () => [
    await tool('@biomejs/biome/bin/biome', ['ci', colors, '--error-on-warnings', '.'], {
      show: true,
    }),
  ],
  tsc: async () => [await tool('typescript/bin/tsc', ['-p', '__test__/types'], { show: true })],
  clippy: async () => [
    await cargo(['clippy', '--quiet', '--all-targets', ...locked, '--', '-D', 'warnings']),
  ],
  rustdoc: async () => [
    await cargo(['doc', '--quiet', '--no-deps', '--document-private-items', ...locked], {
      RUSTDOCFLAGS: '-D warnings',
    }),
  ],
}
if (hasFuzz) {
  // Running them needs nightly Rust; that they compile can be seen without. Nothing is linked: a name in place
  // of the library spares a minute of C++.
  const shared = [...fuzz, '--target-dir', 'target']
  const unlinked = { CUSTOM_LIBFUZZER_PATH: 'none/libnone.a' }
  steps['fuzz targets'] = async () => [
    await cargo(['clippy', '--quiet', ...shared, ...fuzzLocked, '--', '-D', 'warnings'], unlinked),
  ]
}

script(import.meta.url, async () => {
  await checkRust()
  await install()
  const summary = new Steps()
  for (const [name, work] of Object.entries(steps)) {
    await summary.step(name, async () => {
      const results = await work()
      if (!results.every(({ ok }) => ok)) throw new Failure(`${name}: see above.`)
    })
  }
  summary.end()
})
