// Runs every JavaScript snippet of the README and the docs as it stands there, in a process of its
// own, with a few lines after it that use what it made. Knows nothing of the store's insides.
'use strict'

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { existsSync, readFileSync, readdirSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')

const root = join(__dirname, '..')
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)]

/** What a reader would do next with the snippet, by something that only it has. */
const next = {
  'You were here': `server.once('listening', async () => {
    const url = 'http://127.0.0.1:' + server.address().port
    const first = await fetch(url)
    const cookie = first.headers.get('set-cookie').split(';')[0]
    const second = await fetch(url, { headers: { cookie } })
    console.log(await first.text(), '/', await second.text())
    server.closeAllConnections()
    server.close()
  })`,
  'report()': `store.set('a', {}).then(report).then((figures) => console.log(figures))`,
  'new Gauge': `store.get('a').then(() => require('prom-client').register.metrics()).then(console.log)`,
}

const expected = {
  'You were here': /You were here 1 times \/ You were here 2 times/,
  'report()': /a \{\}\n\{ sessions: 1, hits: 0, misses: 0 \}/,
  'new Gauge': /session_store_events_total\{event="misses"\} 1\n/,
}

for (const page of pages.filter((name) => name.endsWith('.md'))) {
  const text = readFileSync(join(root, page), 'utf8')
  const snippets = [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1])
  for (const [index, snippet] of snippets.entries()) {
    test(`${page}: snippet ${index + 1} runs as it stands`, async () => {
      const used = Object.keys(expected).find((mark) => snippet.includes(mark))
      assert.ok(used, 'say above what comes after this snippet')
      const run = promisify(execFile)
      const { stdout } = await run(process.execPath, ['-e', `${snippet}\n${next[used]}`], {
        cwd: root,
        env: { ...process.env, PORT: '0' },
        timeout: 60_000,
      })
      assert.match(stdout, expected[used])
    })
  }
}

for (const page of pages.filter((name) => name.endsWith('.md'))) {
  test(`${page}: every link to a file leads somewhere`, () => {
    const text = readFileSync(join(root, page), 'utf8')
    for (const [, link] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      assert.ok(existsSync(join(root, page, '..', link)), link)
    }
  })
}
