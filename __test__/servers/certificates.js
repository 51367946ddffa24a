// Certificates for servers of the tests, made anew for each run. Knows no server.
'use strict'

const { mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { generate } = require('selfsigned')

const named = (value) => [{ name: 'commonName', value }]
const kind = { keyType: 'ec', algorithm: 'sha256' }

/**
 * A certificate for 127.0.0.1, and for these host names, and the authority that vouches for it:
 * `{ ca, cert, key, both, end }`, paths of PEM files, and what removes them. rustls takes no certificate
 * that is its own authority.
 */
async function certificates(...hosts) {
  const authority = await generate(named('the authority of these tests'), {
    ...kind,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  })
  const server = await generate(named('localhost'), {
    ...kind,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      {
        name: 'subjectAltName',
        altNames: [{ type: 7, ip: '127.0.0.1' }, ...hosts.map((value) => ({ type: 2, value }))],
      },
    ],
  })
  const folder = mkdtempSync(join(tmpdir(), 'rust-session-store-tls-'))
  const file = (name, text) => {
    const path = join(folder, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  return {
    ca: file('ca.pem', authority.cert),
    cert: file('cert.pem', server.cert),
    key: file('key.pem', server.private),
    both: file('both.pem', `${server.cert}\n${server.private}`),
    end: () => rmSync(folder, { recursive: true, force: true }),
  }
}

module.exports = { certificates }
