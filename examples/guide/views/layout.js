/**
 * The frame of every page: head, navigation, messages, footer. Also the small parts pages share.
 * A view gets plain values and gives markup; it changes nothing and asks nobody.
 */
'use strict'

const { html } = require('./html')

function layout(view, page) {
  const { t, language, theme } = view
  const title = view.path === '/' && view.status === 200 ? 'Oxide' : `${page.title} · Oxide`
  return html`<!doctype html>
<html lang="${language}" data-theme="${theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="${theme === 'system' ? 'light dark' : theme}">
<title>${title}</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<a class="skip" href="#content">${t('skip')}</a>
${header(view)}
<main id="content" tabindex="-1">
<div class="flashes" role="status">${view.flash.map((one) => message(view, one))}</div>
${page.body}
</main>
<footer><p>${t('footer')}</p></footer>
</body>
</html>
`
}

function header(view) {
  const { t, user, cart } = view
  const count = Object.values(cart).reduce((sum, quantity) => sum + quantity, 0)
  return html`<header>
<div class="bar">
<a class="brand" href="/">${nut()}<span>Oxide</span></a>
<nav class="main" aria-label="${t('nav.main')}">
${link(view, '/', t('nav.shop'))}
${link(view, '/cart', html`${t('nav.cart')}${count > 0 && html` <span class="count">${count}</span>`}`)}
${link(view, '/preferences', t('nav.preferences'))}
${link(view, '/session', t('nav.session'))}
</nav>
<nav class="account" aria-label="${t('nav.account')}">
${
  user
    ? html`<bdi class="who">${user.name}</bdi>
<form method="post" action="/sign-out"><button class="quiet">${t('nav.sign-out')}</button></form>`
    : html`<a class="button quiet" href="/sign-in"${here(view, '/sign-in')}>${t('nav.sign-in')}</a>`
}
</nav>
</div>
</header>`
}

function link(view, href, text) {
  return html`<a href="${href}"${here(view, href)}>${text}</a>`
}

function here(view, href) {
  return view.path === href && html` aria-current="page"`
}

/** A stored message becomes words only here, in the language of the page that shows it. */
function message({ t }, { text, values = {} }) {
  const item = values.item && t(`item.${values.item}`)
  return html`<p class="flash">${t(`flash.${text}`, { ...values, item })}</p>`
}

/** A drawing beside a text that says the same: hidden from screen readers. */
function drawing(shape) {
  return html`<svg viewBox="0 0 64 64" aria-hidden="true">${shape}</svg>`
}

function nut() {
  return drawing(
    html`<path d="M32 5 56 18.5v27L32 59 8 45.5v-27z"/><circle cx="32" cy="32" r="11"/>`,
  )
}

module.exports = { layout, drawing }
