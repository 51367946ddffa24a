// Runs the JavaScript test files on one Node.js, and counts what was passed and skipped.
// Used for the Node.js that runs `npm test`, and by test-nodes.mjs for the others. By itself
// (`node scripts/js-tests.mjs`) it expects what is there to be installed and built.
import './node-version.mjs'
import util from 'node:util'
import { Failure, filesIn, isCI, MINUTE, run, say, script } from './tools.mjs'

// A file that does not end by itself is a failure of the store: it must not keep a process alive.
// `node --test` is of no help there: since Node.js 24 its --test-timeout ends tests, and no file.
const LONGEST = 10 * MINUTE
// Many tests wait for the clock of a server: more files than cores run side by side.
const FILES_AT_A_TIME = 3
// Parts of names of files that take longest. They begin first, so that in the end none is waited for alone.
const FIRST = ['conformance-mongodb', 'workers-thousand', 'conformance', 'redis-fa']

const plain = (text) => util.stripVTControlCharacters(text)
const count = (text, word) =>
  Number(plain(text).match(new RegExp(`^\\S+ ${word} (\\d+)$`, 'm'))?.[1] ?? 0)

let running = 0
const queue = []

/** Runs `work` as soon as fewer than those few run, also those of another Node.js. */
async function inTurn(work) {
  if (running < FILES_AT_A_TIME) running++
  else await new Promise((resolve) => queue.push(resolve))
  try {
    return await work()
  } finally {
    const next = queue.shift()
    if (next) next()
    else running--
  }
}

/**
 * Resolves a note for the summary. `node`: the executable. `filters`: parts of file names, all
 * files without. `without`: parts of names of files that are left out. `env`: added to the environment.
 * `show`: print all; else only the files that failed.
 */
export async function jsTests(options = {}) {
  const { node = process.execPath, filters = [], without = [], env = {}, show = true } = options
  const rank = (file) => FIRST.findIndex((part) => file.includes(part)) + 1 || FIRST.length + 1
  const all = filesIn('__test__', '.test.js').sort((one, other) => rank(one) - rank(other))
  const has = (file, parts) => parts.some((part) => file.includes(part))
  const files = all.filter((file) => (!filters.length || has(file, filters)) && !has(file, without))
  if (!files.length) throw new Failure(`No test file matches ${filters}: see __test__/*.test.js.`)
  const failed = []
  const sum = { pass: 0, skipped: 0, todo: 0 }
  const untried = []
  const test = async (file) => {
    const options = { env, timeout: LONGEST }
    const { ok, output } = await inTurn(() => run(node, ['--test-reporter=spec', file], options))
    if (!ok) failed.push(file)
    if (show || !ok) say(`${file}\n${output}`)
    for (const word of Object.keys(sum)) sum[word] += count(output, word)
    untried.push(...plain(output).matchAll(/not tried: (.*)$/gm))
  }
  await Promise.all(files.map(test))
  if (failed.length) {
    throw new Failure(`JavaScript tests failed, see above: ${failed.sort().join(', ')}`)
  }
  if (!sum.pass) throw new Failure('No JavaScript test was run.')
  const skipped = sum.skipped + sum.todo
  if (isCI && skipped)
    throw new Failure(`With CI=true no test may be skipped, but ${skipped} were.`)
  const notes = [`${sum.pass} passed`]
  if (skipped) notes.push(`${skipped} skipped`)
  // What this machine has not, or does not allow.
  const reasons = new Set(untried.map(([, reason]) => reason))
  if (untried.length) notes.push(`${untried.length} not tried (${[...reasons].join('; ')})`)
  return [...notes, `${files.length} files`].join(', ')
}

script(import.meta.url, async () => {
  say(await jsTests({ filters: process.argv.slice(2) }))
})
