// Packs the package and one package for each platform as a release does, without publishing:
// `node scripts/pack.mjs DIRECTORY`. This machine's platform package has the addon that was built;
// those of the others have a stand-in, because npm must find them to leave them out.
import './node-version.mjs'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { addonFile } from './build.mjs'
import { setup } from './setup.mjs'
import { exists, Failure, npm, readJson, root, run, say, script, tool } from './tools.mjs'

async function napi(stage, ...args) {
  const { ok, output } = await tool('@napi-rs/cli/dist/cli.js', args, { cwd: stage })
  if (ok) return
  process.stderr.write(output)
  throw new Failure(`\`napi ${args[0]}\` failed: see above.`)
}

async function pack(dir, into) {
  const [command, ...args] = npm()
  const { ok, output } = await run(
    command,
    [...args, 'pack', '--json', '--pack-destination', into],
    {
      cwd: dir,
    },
  )
  const [packed] = ok ? JSON.parse(output.slice(output.indexOf('[\n'))) : []
  if (packed)
    return { file: path.join(into, packed.filename), files: packed.files.map((f) => f.path) }
  process.stderr.write(output)
  throw new Failure(`\`npm pack\` failed in ${dir}: see above.`)
}

/** Resolves `{ main, platforms }`: name, tarball and list of files of each, in directory `into`. */
export async function packAll(into) {
  const { name, files, napi: config } = readJson('package.json')
  const stage = fs.mkdtempSync(path.join(os.tmpdir(), `${name}-stage-`))
  try {
    for (const file of ['package.json', 'README.md', 'LICENSE', ...files].filter(exists)) {
      fs.cpSync(path.join(root, file), path.join(stage, file), { recursive: true })
    }
    await napi(stage, 'create-npm-dirs')
    fs.mkdirSync(path.join(stage, 'artifacts'))
    const platforms = fs.readdirSync(path.join(stage, 'npm'))
    for (const platform of platforms) {
      const addon = `${config.binaryName}.${platform}.node`
      const place = path.join(stage, 'artifacts', addon)
      if (addon === addonFile()) fs.copyFileSync(path.join(root, addon), place)
      else fs.writeFileSync(place, 'a stand-in for the addon of another platform\n')
      fs.copyFileSync(path.join(root, 'LICENSE'), path.join(stage, 'npm', platform, 'LICENSE'))
    }
    await napi(stage, 'artifacts')
    await napi(
      stage,
      'pre-publish',
      '--tagstyle',
      'npm',
      '--no-gh-release',
      '--skip-optional-publish',
    )

    fs.mkdirSync(into, { recursive: true })
    const packed = { main: { name, ...(await pack(stage, into)) }, platforms: [] }
    for (const platform of platforms) {
      const own = `${config.binaryName}.${platform}.node` === addonFile()
      const result = await pack(path.join(stage, 'npm', platform), into)
      packed.platforms.push({ name: `${name}-${platform}`, own, ...result })
    }
    return packed
  } finally {
    fs.rmSync(stage, { recursive: true, force: true })
  }
}

script(import.meta.url, async () => {
  const [into] = process.argv.slice(2)
  if (!into)
    throw new Failure('Name the directory for the packages: node scripts/pack.mjs DIRECTORY')
  await setup()
  const { main, platforms } = await packAll(path.resolve(into))
  for (const { file } of [main, ...platforms]) say(file)
})
