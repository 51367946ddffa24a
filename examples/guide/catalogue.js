/**
 * What the shop has: a sku, a price in cents, a line drawing. Names are in messages.js.
 * A Map, so that no sku a visitor makes up (`__proto__`) is found in it.
 */
'use strict'

const { html } = require('./views/html')

const catalogue = new Map([
  [
    'kettle',
    {
      price: 6400,
      drawing: html`<path d="M14 52h30c3-9 1-19-5-22H19c-6 3-8 13-5 22z"/>
        <path d="M45 42c6-1 5-9 12-11M23 30c0-4 12-4 12 0M29 27v-3M19 30C11 5 47 5 39 30"/>`,
    },
  ],
  [
    'skillet',
    {
      price: 3900,
      drawing: html`<circle cx="25" cy="39" r="17"/><circle cx="25" cy="39" r="11.5"/>
        <path d="M35.5 25.5 49 12a4 4 0 0 1 5.7 5.7L40 31.5"/>`,
    },
  ],
  [
    'bell',
    {
      price: 2150,
      drawing: html`<path d="M13 47c5-4 6-9 6-17a13 13 0 0 1 26 0c0 8 1 13 6 17z"/>
        <path d="M27 47a5 5 0 0 0 10 0M32 17v-6"/><circle cx="32" cy="9" r="2"/>`,
    },
  ],
  [
    'key',
    {
      price: 890,
      drawing: html`<circle cx="18" cy="32" r="10"/><circle cx="18" cy="32" r="4"/>
        <path d="M28 32h28M44 32v9h5v-5h2v5h5v-9"/>`,
    },
  ],
  [
    'horseshoe',
    {
      price: 1400,
      drawing: html`<path d="M15 54h10l-3-9c-7-14-2-26 10-26s17 12 10 26l-3 9h10c13-22 5-45-17-45S2 32 15 54z"/>
        <path d="M14.5 31v.1M17.5 21v.1M25 14.5v.1M39 14.5v.1M46.5 21v.1M49.5 31v.1"/>`,
    },
  ],
  [
    'anvil',
    {
      price: 18900,
      drawing: html`<path d="M21 17h36v9c-9 0-16 4-16 10 0 4 2 7 7 9v6H20v-6c5-2 7-5 7-9-10 0-18-6-20-15h14z"/>
        <path d="M21 17v4M16 51h36"/>`,
    },
  ],
])

module.exports = { catalogue }
