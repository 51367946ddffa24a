// Proves the packages as a user gets them: packs, installs the tarballs into empty projects on a
// PATH with Node.js and without Rust, then runs the README's first example, a Jest project and an
// AVA project there. They are outside this folder, so nothing of it can be found by accident.
import './node-version.mjs'
import { strict as assert } from 'node:assert'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { packAll } from './pack.mjs'
import { setup } from './setup.mjs'
import { Failure, MINUTE, readJson, root, run, say, script } from './tools.mjs'

const INSTALL_SCRIPTS = [
  'preinstall',
  'install',
  'postinstall',
  'preprepare',
  'prepare',
  'postprepare',
]

function which(command) {
  const found = process.env.PATH.split(path.delimiter)
    .map((dir) => path.join(dir, command))
    .find((file) => fs.existsSync(file))
  if (!found) throw new Failure(`${command} is not on PATH: install it, then run this again.`)
  return fs.realpathSync(found)
}

/** An environment whose PATH has node, npm and a shell, and nothing else. */
function bareEnvironment(dir) {
  const bin = path.join(dir, 'bin')
  fs.mkdirSync(bin)
  fs.symlinkSync(process.execPath, path.join(bin, 'node'))
  fs.symlinkSync(which('npm'), path.join(bin, 'npm'))
  fs.symlinkSync('/bin/sh', path.join(bin, 'sh'))
  // What npm, cargo and a test runner around us have set must not reach a user's project.
  const ours =
    /^(npm_(?!config_)|npm_config_(local_|global_)?prefix|CARGO|RUST|NODE_OPTIONS|NODE_TEST|INIT_CWD)/i
  const kept = Object.entries(process.env).filter(([name]) => !ours.test(name))
  return { ...Object.fromEntries(kept), PATH: bin }
}

/** A folder of its own with the packed store installed beside what `manifest` asks for. */
async function project(dir, name, manifest, packed, env) {
  const cwd = path.join(dir, name)
  const from = path.join(root, '__test__/consumers', name)
  fs.cpSync(from, cwd, { recursive: true, filter: (file) => !file.includes('node_modules') })
  const at = ({ name: key, file }) => [key, `file:${file}`]
  const whole = {
    ...manifest,
    dependencies: { ...manifest.dependencies, ...Object.fromEntries([at(packed.main)]) },
    // All platforms: each is an optional dependency of the main package, and the registry must not
    // be asked for packages that are not there. npm installs the one that fits.
    optionalDependencies: Object.fromEntries(packed.platforms.map(at)),
  }
  fs.writeFileSync(path.join(cwd, 'package.json'), JSON.stringify(whole, null, 2))
  const options = { cwd, env, clean: true, timeout: 5 * MINUTE }
  const { ok, output } = await run('npm', ['install', '--no-audit', '--no-fund'], options)
  if (!ok) throw failed(`npm install of the ${name} project failed`, output)
  const installed = fs.readdirSync(path.join(cwd, 'node_modules'))
  const own = packed.platforms.filter((platform) => platform.own).map((platform) => platform.name)
  assert.deepEqual(
    installed.filter((file) => file.startsWith(`${packed.main.name}-`)),
    own,
  )
  return { cwd, env, clean: true, timeout: 2 * MINUTE }
}

function failed(line, output) {
  process.stderr.write(output)
  return new Failure(`${line}: see above.`)
}

/** What is in the tarballs, and what is not. */
function checkFiles({ main, platforms }) {
  const wrong = main.files.filter(
    (file) =>
      !/^((lib|bin)\/.+\.js|index\.js|index\.d\.ts|native\.js|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(
        file,
      ),
  )
  assert.deepEqual(wrong, [], 'files that do not belong into the package')
  for (const file of [
    'index.js',
    'index.d.ts',
    'native.js',
    'LICENSE',
    'package.json',
    'bin/rust-session-store.js',
  ]) {
    assert.ok(main.files.includes(file), `${file} is missing from the package`)
  }
  for (const { name, files } of platforms) {
    assert.equal(files.filter((file) => file.endsWith('.node')).length, 1, name)
    assert.ok(files.includes('LICENSE'), name)
  }
}

/** What npm will make of the package once it is installed. */
function checkManifest(cwd, { main, platforms }) {
  const file = path.join(cwd, 'node_modules', main.name, 'package.json')
  const manifest = JSON.parse(fs.readFileSync(file, 'utf8'))
  assert.deepEqual(
    Object.keys(manifest.scripts ?? {}).filter((key) => INSTALL_SCRIPTS.includes(key)),
    [],
  )
  assert.deepEqual(manifest.dependencies ?? {}, {}, 'the package has no dependency')
  assert.deepEqual(
    manifest.optionalDependencies,
    Object.fromEntries(platforms.map(({ name }) => [name, manifest.version])),
  )
}

async function checkReadme(options) {
  const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8')
  const code = /^```js\n([\s\S]*?)^```/m.exec(readme)?.[1]
  if (!code) throw new Failure('README.md has no ```js block: its first one is run as an example.')
  const file = `example.${/^import /m.test(code) ? 'mjs' : 'cjs'}`
  fs.writeFileSync(path.join(options.cwd, file), code)
  const env = { ...options.env, SESSION_SECRET: 'a' }
  const { ok, output } = await run('node', ['--require', './visit.cjs', file], { ...options, env })
  if (!ok) throw failed("The README's first example failed", output)
  say("the README's first example runs")
}

/** A run that must pass and end by itself. */
async function checkRunner(name, args, options) {
  const { ok, late, output } = await run('node', args, options)
  if (late) throw failed(`${name} did not end`, output)
  if (!ok || /did not exit|failed to exit|force exited|Failed to exit/.test(output)) {
    throw failed(`${name} failed`, output)
  }
  const count = /^Tests: .*?(\d+) passed|(\d+) tests? passed/m.exec(output)
  if (!count) throw failed(`${name} ran no test`, output)
  say(`${name}: ${count[1] ?? count[2]} passed`)
}

/** Resolves a note for the summary. */
export async function checkPackage() {
  if (process.platform === 'win32') throw new Failure('The package check needs a POSIX system.')
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-session-store-check-'))
  try {
    const packed = await packAll(path.join(dir, 'tarballs'))
    checkFiles(packed)
    const env = bareEnvironment(dir)
    for (const command of ['cargo', 'rustc']) {
      const { missing } = await run(command, ['--version'], { env, clean: true })
      assert.ok(missing, `${command} must not be on PATH here`)
    }
    const { express, 'express-session': session } = readJson('package.json').devDependencies
    const dependencies = { express, 'express-session': session }
    const readme = await project(dir, 'readme', { private: true, dependencies }, packed, env)
    checkManifest(readme.cwd, packed)
    await checkReadme(readme)

    const own = (name) => readJson(`__test__/consumers/${name}/package.json`)
    const jest = await project(dir, 'jest', own('jest'), packed, env)
    const cli = 'node_modules/jest/bin/jest.js'
    await checkRunner('Jest, all files in one process', [cli, '--runInBand'], jest)
    await checkRunner('Jest, two processes', [cli, '--maxWorkers=2'], jest)
    const ava = await project(dir, 'ava', own('ava'), packed, env)
    await checkRunner('AVA', ['node_modules/ava/entrypoints/cli.mjs'], ava)
    return `${packed.main.files.length} files; README example, Jest, AVA`
  } finally {
    fs.rmSync(dir, { recursive: true, force: true })
  }
}

script(import.meta.url, async () => {
  await setup()
  await checkPackage()
})
