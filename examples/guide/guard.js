/**
 * What stands before the session: headers that tell the browser how little the pages need,
 * and the check that a form was sent from a page of this app. No state, and nothing of the shop.
 */
'use strict'

/** No script, no foreign content, no frame; and no page kept after sign out. */
function headers(_req, res, next) {
  res.set({
    'Content-Security-Policy':
      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'Cache-Control': 'no-store',
    // Not 'no-referrer': with it browsers send `Origin: null` along with our own forms.
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  })
  next()
}

/**
 * Against forged forms (CSRF), next to `sameSite: 'lax'`, which lets a sibling subdomain through.
 * Browsers say themselves where a request comes from, and no page can change that. Sec-Fetch-Site is
 * sent over HTTPS and to localhost, Origin always. Who sends neither is no browser and brings
 * no cookie that a stranger could misuse.
 */
function sameOrigin(req, _res, next) {
  if (req.method === 'GET' || req.method === 'HEAD') return next()
  const site = req.get('Sec-Fetch-Site')
  const origin = req.get('Origin')
  const own = site
    ? site === 'same-origin' || site === 'none'
    : // `req.host` is the host that the browser asked, also behind a trusted proxy.
      origin === undefined || hostOf(origin) === req.host
  next(own ? undefined : refusal(403, 'form from another origin'))
}

/** Without this, a forgotten TRUST_PROXY looks like a sign-in that does nothing. */
function httpsForForms(req, _res, next) {
  const fine = req.method === 'GET' || req.method === 'HEAD' || req.secure
  next(
    fine ? undefined : refusal(400, 'a form over plain HTTP, or TRUST_PROXY is not set', 'https'),
  )
}

function hostOf(origin) {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** `text` names the words of the error page where those of the status say too little. */
function refusal(status, message, text) {
  return Object.assign(new Error(message), { status, text })
}

module.exports = { headers, sameOrigin, httpsForForms }
