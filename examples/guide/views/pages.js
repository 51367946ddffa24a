/**
 * The pages. Each is a function of the view (values that app.js has put together) and returns
 * its title and its body. Every change is a form with POST, so all of it works without script.
 */
'use strict'

const { catalogue } = require('../catalogue')
const { languages, translator } = require('../messages')
const { html } = require('./html')
const { drawing } = require('./layout')

function shop(view) {
  const { t, cart } = view
  const goods = [...catalogue].map(([sku, { price, drawing: shape }]) => {
    const item = t(`item.${sku}`)
    return html`<li class="card" id="${sku}">
<div class="picture">${drawing(shape)}${
      cart[sku] && html`<span class="tag">${t('shop.in-cart', { count: cart[sku] })}</span>`
    }</div>
<h2>${item}</h2>
<p class="price">${money(view, price)}</p>
<form method="post" action="/cart/${sku}/add">
<button aria-label="${t('shop.add')}: ${item}">${t('shop.add')}</button>
</form>
</li>`
  })

  return {
    title: t('shop.title'),
    body: html`<div class="lead"><h1>${t('shop.title')}</h1><p>${t('shop.intro')}</p></div>
<ul class="goods">${goods}</ul>
<section class="try" aria-labelledby="try">
<h2 id="try">${t('try.title')}</h2>
<ol>${['tabs', 'sign-in', 'sign-out'].map(
      (step) => html`<li><h3>${t(`try.${step}`)}</h3><p>${t(`try.${step}.text`)}</p></li>`,
    )}</ol>
</section>`,
  }
}

function cart(view) {
  const { t } = view
  // A sku that the shop no longer has is left out, not an error.
  const lines = Object.entries(view.cart).filter(([sku]) => catalogue.has(sku))
  const total = lines.reduce((sum, [sku, quantity]) => sum + quantity * catalogue.get(sku).price, 0)

  const rows = lines.map(([sku, quantity]) => {
    const item = t(`item.${sku}`)
    const { price, drawing: shape } = catalogue.get(sku)
    return html`<li class="line">
<div class="picture">${drawing(shape)}</div>
<div class="what"><h2>${item}</h2><p class="hint">${money(view, price)}</p></div>
<div class="stepper" role="group" aria-label="${t('cart.quantity', { item })}">
${act(sku, 'less', '−', t('cart.less', { item }))}
<output>${quantity}</output>
${act(sku, 'more', '+', t('cart.more', { item }))}
</div>
<p class="sum">${money(view, price * quantity)}</p>
${act(sku, 'remove', t('cart.remove'), t('cart.remove-item', { item }))}
</li>`
  })

  return {
    title: t('cart.title'),
    body: html`<div class="lead"><h1>${t('cart.title')}</h1></div>
${
  rows.length > 0
    ? html`<ul class="panel lines">${rows}</ul>
<p class="total"><span>${t('cart.total')}</span> <strong>${money(view, total)}</strong></p>`
    : html`<div class="panel empty"><p>${t('cart.empty')}</p><a class="button" href="/">${t('cart.to-shop')}</a></div>`
}
<p class="note">${t('cart.note')}</p>`,
  }
}

/** A form that is one button. Its label repeats the visible word, for those who speak to the page. */
function act(sku, action, text, label) {
  return html`<form method="post" action="/cart/${sku}/${action}">
<button class="quiet ${action}" aria-label="${label}">${text}</button>
</form>`
}

function preferences(view) {
  const { t, language, theme, THEMES } = view
  return {
    title: t('preferences.title'),
    body: html`<div class="lead"><h1>${t('preferences.title')}</h1><p>${t('preferences.intro')}</p></div>
<div class="panel stack">
${choice(
  'language',
  t('preferences.language'),
  language,
  languages.map((one) => ({ value: one, text: translator(one)('language.name'), lang: one })),
)}
${choice(
  'theme',
  t('preferences.theme'),
  theme,
  THEMES.map((one) => ({ value: one, text: t(`theme.${one}`) })),
)}
</div>`,
  }
}

/** A button per answer: one click, and the form sends this field only. */
function choice(name, label, current, answers) {
  return html`<form method="post" action="/preferences" class="choice">
<fieldset><legend>${label}</legend>
<div class="answers">${answers.map(
    ({ value, text, lang }) =>
      html`<button name="${name}" value="${value}" aria-pressed="${value === current}"${
        lang && html` lang="${lang}"`
      }>${text}</button>`,
  )}</div>
</fieldset>
</form>`
}

function signIn(view) {
  const { t, name = '', invalid = false } = view
  return {
    title: t('sign-in.title'),
    body: html`<div class="narrow">
<div class="lead"><h1>${t('sign-in.title')}</h1><p>${t('sign-in.intro')}</p></div>
<form method="post" action="/sign-in" class="panel stack">
<div class="field">
<label for="name">${t('sign-in.name')}</label>
<input id="name" name="name" value="${name}" maxlength="60" autocomplete="nickname" required${
      invalid && html` aria-invalid="true" aria-describedby="name-error" autofocus`
    }>
${invalid && html`<p class="error" id="name-error">${t('sign-in.error')}</p>`}
</div>
<button>${t('sign-in.title')}</button>
</form>
</div>`,
  }
}

function session(view) {
  const { t, stats } = view
  const { id, cookie } = view.session
  // express-session gives every request a session object; one that holds nothing was never stored.
  const stored = Object.keys(view.session).some((key) => key !== 'cookie')

  return {
    title: t('session.title'),
    body: html`<div class="lead"><h1>${t('session.title')}</h1>${!stored && html`<p>${t('session.none')}</p>`}</div>
<div class="columns">
<section class="panel">
<dl class="facts">
${
  stored &&
  html`<div><dt>${t('session.id')}</dt><dd><code>${id.slice(0, 6)}…</code><p class="hint">${t('session.id.note')}</p></dd></div>
<div><dt>${t('session.expires')}</dt><dd>${moment(view, cookie.expires)}<p class="hint">${t('session.expires.note')}</p></dd></div>`
}
<div><dt>${t('session.backend')}</dt><dd><code>${stats.backend}</code></dd></div>
</dl>
</section>
${
  stored &&
  html`<section class="panel wide" aria-labelledby="content-title">
<h2 id="content-title">${t('session.content')}</h2>
<pre tabindex="0" aria-labelledby="content-title" role="region"><code>${JSON.stringify(view.session, null, 2)}</code></pre>
</section>`
}
<section class="panel" aria-labelledby="store-title">
<h2 id="store-title">${t('session.store')}</h2>
<dl class="counters">${COUNTERS.map(
      (key) => html`<div><dt>${t(`stats.${key}`)}</dt><dd>${number(view, stats[key])}</dd></div>`,
    )}</dl>
</section>
</div>`,
  }
}

const COUNTERS = ['sessions', 'bytes', 'hits', 'misses', 'saves', 'merges', 'conflicts', 'refused']
const ERRORS = [400, 403, 404, 500, 503]

function error(view) {
  const { t, status } = view
  const text = view.text ?? (ERRORS.includes(status) ? status : status < 500 ? 400 : 500)
  return {
    title: t(`error.${text}`),
    body: html`<div class="lead problem">
<p class="status">${status}</p>
<h1>${t(`error.${text}`)}</h1>
<p>${t(`error.${text}.text`)}</p>
<p><a class="button" href="/">${t('cart.to-shop')}</a></p>
</div>`,
  }
}

function money({ language }, cents) {
  return new Intl.NumberFormat(language, { style: 'currency', currency: 'EUR' }).format(cents / 100)
}

function number({ language }, value) {
  // Some backends do not tell.
  return value === null ? '–' : new Intl.NumberFormat(language).format(value)
}

/** In UTC: without script the server cannot know the visitor's time zone. */
function moment({ language }, date) {
  const text = new Intl.DateTimeFormat(language, {
    dateStyle: 'long',
    timeStyle: 'short',
    timeZone: 'UTC',
  }).format(date)
  return html`<time datetime="${date.toISOString()}">${text} UTC</time>`
}

module.exports = { shop, cart, preferences, signIn, session, error }
