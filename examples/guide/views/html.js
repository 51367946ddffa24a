/**
 * The template tag of the guide. Whatever is put into html`...` is escaped, unless html`...` made it.
 * So a page cannot forget to escape: text is the rule, markup the exception.
 */
'use strict'

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

class Markup {
  constructor(text) {
    this.text = text
  }

  toString() {
    return this.text
  }
}

function render(value) {
  if (value instanceof Markup) return value.text
  if (Array.isArray(value)) return value.map(render).join('')
  if (value === undefined || value === null || value === false) return ''
  return String(value).replace(/[&<>"']/g, (char) => ENTITIES[char])
}

/** Safe between tags and inside quoted attributes, which is where this app uses it. */
function html(strings, ...values) {
  return new Markup(String.raw({ raw: strings }, ...values.map(render)))
}

module.exports = { html }
