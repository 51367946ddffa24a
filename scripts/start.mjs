// `npm start`: on a fresh clone installs and builds, then serves the guide's app.
// The app runs in this process, as its main module, so signals and exit codes are its own.
import './node-version.mjs'
import module from 'node:module'
import path from 'node:path'
import { setup } from './setup.mjs'
import { exists, Failure, root, script } from './tools.mjs'

const APP = 'examples/guide/server.js'

// npm gives a signal to the shell it started us with, and not every shell passes it on (dash does
// not): then the shell is gone, and the app would stay behind.
function followParent() {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
  }, 250)
  timer.unref()
}

script(import.meta.url, async () => {
  await setup()
  if (!exists(APP))
    throw new Failure(`${APP} is missing from this copy: clone the repository again.`)
  if (process.env.npm_lifecycle_event) followParent()
  process.argv[1] = path.join(root, APP)
  module.runMain()
})
