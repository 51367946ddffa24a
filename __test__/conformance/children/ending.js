'use strict'
// Child process: leaves a store in some state and does nothing more; it has to end by itself.

const { rowNamed } = require('../../backends.js')

const [, , rowName, mode] = process.argv
const say = (text) => console.log(text)

const MODES = {
  async idle() {
    say('end')
  },
  async used(store) {
    await store.set('a', { n: 1 })
    await store.get('a')
    await store.touch('a', {})
    await store.all()
    await store.destroy('a')
    say('end')
  },
  async listening(store) {
    for (const event of ['gone', 'conflict', 'corrupt', 'evict', 'error']) store.on(event, () => {})
    await store.set('a', { n: 1 })
    say('end')
  },
  async pending(store) {
    let answers = 0
    const count = () => {
      if (++answers === 5) say(`answered ${answers}`)
    }
    store.destroy('a', count)
    store.length(count)
    store.all(count)
    store.ids(count)
    store.ping(count)
  },
  async forgotten(store) {
    store.set('a', { n: 1 }, undefined)
    store.destroy('a', undefined)
    store.clear(undefined)
    say('end')
  },
  async walking(store) {
    for (let i = 0; i < 500; i++) await store.set(`sid${i}`, { n: i })
    await store.entries().next()
    say('end')
  },
  async closed(store) {
    await store.set('a', { n: 1 })
    await store.close()
    say('end')
  },
  async unlistened(store) {
    store.set('a', { big: 1n }, undefined)
    await store.close()
    store.get('a', undefined)
    say('end')
  },
}

rowNamed(rowName)
  .open()
  .then((store) => MODES[mode](store))
