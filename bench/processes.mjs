// Child processes and what is asked of them, and the statistics of what they answer.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('./child.mjs', import.meta.url))
/** Room for a million sessions on the JavaScript heap, where the peers keep them. */
const FLAGS = ['--expose-gc', '--max-old-space-size=8192']

/** Starts the process of one contender (`bare`: none, for the bare JSON calls). */
export function start(name) {
  const child = fork(CHILD, [name], { execArgv: FLAGS })
  let settle
  child.on('message', (message) => {
    if (message.error) settle?.reject(new Error(`${name}: ${message.error}`))
    else settle?.resolve(message.result)
  })
  child.on('exit', (code, signal) => {
    settle?.reject(new Error(`the process of ${name} ended (${signal ?? code})`))
  })
  return {
    ask(command, args) {
      return new Promise((resolve, reject) => {
        settle = { resolve, reject }
        child.send({ command, args })
      })
    },
    stop() {
      settle = undefined
      child.disconnect()
    },
  }
}

/** Starts a process, asks one thing, ends it. */
export async function once(name, command, args) {
  const child = start(name)
  try {
    return await child.ask(command, args)
  } finally {
    child.stop()
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The list turned by `by`, so that no contender is always first or always after the same one. */
export function turned(list, by) {
  const at = by % list.length
  return [...list.slice(at), ...list.slice(0, at)]
}

/** Median of round-by-round quotients: what disturbs a round disturbs both of its sides. */
export function pairedRatio(above, below) {
  return median(above.map((value, i) => value / below[i]))
}

/**
 * Asks the processes for one round after the other, in turn. Resolves one figure per round for each
 * name; the first round is the warm-up and not kept.
 */
export async function interleave(children, names, rounds, args) {
  const measured = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const name of turned(names, round + 1)) {
      const figure = await children.get(name).ask('round', { ...args, first: round < 0 })
      if (round >= 0) measured[name].push(figure)
    }
  }
  return measured
}
