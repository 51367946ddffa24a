'use strict'
// Child process: saves and destroys, and tells each that was acknowledged. Runs under strace, which
// records what it writes and when that is flushed.

const fs = require('node:fs')
const { RustStore } = require('../..')

const [, , url, rounds] = process.argv
const session = (n) => ({ cookie: { originalMaxAge: 3_600_000 }, n, text: `${n},`.repeat(300) })

async function main() {
  const store = new RustStore({ url, commandTimeout: 60_000 })
  const tell = (...words) => fs.writeSync(1, `${words.join(' ')}\n`)
  for (let n = 1; n <= Number(rounds); n++) {
    const saves = ['a', 'b', 'c'].map((sid) =>
      store.set(sid, session(n)).then(() => tell('saved', sid, n)),
    )
    saves.push(store.set(`once${n}`, session(n)).then(() => tell('saved', `once${n}`, n)))
    if (n > 3) {
      const sid = `once${n - 3}`
      saves.push(store.destroy(sid).then(() => tell('destroyed', sid)))
    }
    await Promise.all(saves)
  }
}

main()
