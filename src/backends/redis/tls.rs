//! TLS as the options want it: whom to trust, and the client's own certificate. Knows no address. A key
//! is in here, and never in a message.

use std::{fs, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    error::{Error, Kind, Result},
    options::Options,
};

fn wrong(message: String) -> Error {
    Error::new(Kind::Config, message)
}

/// The configuration for `secure` connections, else none.
pub fn config(options: &Options, secure: bool) -> Result<Option<Arc<ClientConfig>>> {
    if !secure {
        for name in ["tlsCa", "tlsCert", "tlsKey"] {
            if options.text(name).is_some() {
                return Err(wrong(format!("\"{name}\" needs a URL with TLS, such as rediss:")));
            }
        }
        return Ok(None);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Internal, "TLS cannot be set up").because(error))?
        .with_root_certificates(roots(options)?);
    let config = match (pem(options, "tlsCert")?, pem(options, "tlsKey")?) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let key = PrivateKeyDer::from_pem_slice(&key)
                .map_err(|_| wrong("\"tlsKey\" holds no private key in PEM form".into()))?;
            builder.with_client_auth_cert(certificates("tlsCert", &cert)?, key).map_err(|_| {
                wrong("\"tlsKey\" is not the key of the certificate in \"tlsCert\"".into())
            })?
        }
        _ => return Err(wrong("\"tlsCert\" and \"tlsKey\" need each other".into())),
    };
    Ok(Some(Arc::new(config)))
}

fn roots(options: &Options) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match pem(options, "tlsCa")? {
        Some(pem) => {
            for certificate in certificates("tlsCa", &pem)? {
                roots.add(certificate).map_err(|_| {
                    wrong("\"tlsCa\" holds a certificate that cannot be trusted as one".into())
                })?;
            }
        }
        // Some of the system's may be unreadable; the others do.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(wrong(format!("\"{name}\" holds no certificate in PEM form"))),
    }
}

/// An option that is PEM text, or the path of a file that holds it.
fn pem(options: &Options, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(value) = options.text(name) else { return Ok(None) };
    if value.contains("-----BEGIN") {
        return Ok(Some(value.as_bytes().to_vec()));
    }
    // The value is not repeated: it may be a key whose first line was lost.
    fs::read(value).map(Some).map_err(|error| {
        wrong(format!(
            "\"{name}\" is neither PEM text nor a file that can be read: {}",
            error.kind()
        ))
    })
}
