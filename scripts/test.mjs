// `npm test`: installs, builds, and runs everything; a summary at the end says how long each step
// took and what was skipped. `npm test -- --help` tells how to run less. With CI=true nothing may be
// skipped.
import './node-version.mjs'
import path from 'node:path'
import util from 'node:util'
import { bench } from './bench.mjs'
import { checkPackage } from './check-package.mjs'
import { jsTests } from './js-tests.mjs'
import { redisServer } from './redis.mjs'
import { install, setup } from './setup.mjs'
import { testNodes } from './test-nodes.mjs'
import { exists, Failure, filesIn, isCI, run, Steps, say, script, tool } from './tools.mjs'
import { valkeyTests } from './valkey.mjs'

const USAGE = `npm test -- [flags] [parts of names of JavaScript test files]
  --rust      the engine's tests (cargo test)
  --js        the JavaScript tests
  --types     the sample apps against index.d.ts
  --bench     whether the benchmark works (not how fast anything is)
  --valkey    the tests of Redis on Valkey (needs Python and PyPI)
  --package   packs, installs into an empty project, runs Jest and AVA there (needs the npm registry)
  --nodes     the JavaScript tests on Node.js 22, 24 and 26 too (needs the npm registry)
  --all       everything; so is CI=true
Without flags: everything but --valkey, --package and --nodes.`

const locked = isCI ? ['--locked'] : []

const steps = {
  rust: {
    name: 'engine',
    async run() {
      const parts = withoutRedis ? partsWithoutRedis() : []
      const args = ['test', '--quiet', ...locked, ...parts]
      const { ok, output } = await run('cargo', args, { show: true })
      if (!ok) throw new Failure('Tests of the engine failed: see above.')
      const results = [
        ...util
          .stripVTControlCharacters(output)
          .matchAll(/(\d+) passed; \d+ failed; (\d+) ignored/g),
      ]
      const sum = (index) => results.reduce((total, result) => total + Number(result[index]), 0)
      if (!sum(1)) throw new Failure('No test of the engine was run.')
      if (isCI && sum(2)) {
        throw new Failure(`With CI=true no test may be skipped, but ${sum(2)} are ignored.`)
      }
      return `${sum(1)} passed${sum(2) ? `, ${sum(2)} ignored` : ''}`
    },
  },
  js: {
    name: 'JavaScript',
    run: (filters) => jsTests({ filters }),
  },
  types: {
    name: 'types',
    async run() {
      const { ok } = await tool('typescript/bin/tsc', ['-p', '__test__/types'], { show: true })
      if (!ok) throw new Failure('The sample apps do not compile against index.d.ts: see above.')
    },
  },
  bench: {
    name: 'benchmark',
    missing: () => !exists('bench/run.mjs') && 'bench/run.mjs is missing',
    async run() {
      const { ok, output } = await bench(['--quick'])
      const left = output.match(/^skipped: .*$/gm) ?? []
      if (ok && !(isCI && left.length)) return ['works', ...left].join('; ')
      process.stderr.write(output)
      throw new Failure(
        ok ? `With CI=true nothing may be ${left[0]}` : 'The benchmark does not work: see above.',
      )
    },
  },
  valkey: { name: 'Valkey', extra: true, run: () => valkeyTests() },
  package: { name: 'package', extra: true, run: () => checkPackage() },
  nodes: { name: 'other Node.js', extra: true, run: () => testNodes() },
}

// Why there is no Redis to test with, if so.
let withoutRedis

/** The engine's tests but those that need Redis: all of cargo's, by name. */
function partsWithoutRedis() {
  const names = filesIn('tests', '.rs').map((file) => path.basename(file, '.rs'))
  return ['--lib', ...names.flatMap((name) => ['--test', name])]
}

/**
 * Compiles the engine's tests, to have that done beside the addon, whose last minutes are one thread's. What
 * fails here is told where they are run.
 */
async function compileTests() {
  await run('cargo', ['test', '--no-run', '--quiet', ...locked])
}

function chosen() {
  const names = [...Object.keys(steps), 'all', 'help']
  const options = Object.fromEntries(names.map((name) => [name, { type: 'boolean' }]))
  try {
    const { values, positionals } = util.parseArgs({ options, allowPositionals: true })
    if (positionals.length) values.js = true
    return { values, filters: positionals }
  } catch (error) {
    throw new Failure(`${error.message}\n\n${USAGE}`)
  }
}

script(import.meta.url, async () => {
  const { values, filters } = chosen()
  if (values.help) return say(USAGE)
  const narrowed = Object.keys(steps).some((name) => values[name])
  const summary = new Steps()
  const rust = !narrowed || values.rust
  const beside = () =>
    Promise.all([rust && compileTests(), (!narrowed || values.bench) && install('bench')])
  await summary.step('setup', () => setup({ rust, beside }))
  if (rust || values.js) {
    withoutRedis = await redisServer()
    if (withoutRedis) say(withoutRedis)
  }
  for (const [flag, { name, extra, missing, run: work }] of Object.entries(steps)) {
    const why = missing?.()
    if (narrowed ? !values[flag] : extra && !values.all && !isCI) {
      summary.skip(
        name,
        narrowed ? 'not asked for' : `needs a package registry: --${flag} or --all`,
      )
    } else if (why) {
      summary.skip(name, why)
    } else {
      await summary.step(name, () => work(filters))
    }
  }
  // Asking for less is no omission of CI's: there, too, one step can be run by itself.
  summary.end({ strict: !narrowed })
})
