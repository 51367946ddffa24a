//! The ways to a server: addresses, TLS, sockets; and what is wrong with a URL.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rust_session_store::error::Kind;

use crate::{
    client::{Client, try_open},
    server::{Server, free_port},
};

const HOUR: u64 = 3_600_000;

#[track_caller]
fn refusal(json: &str) -> String {
    let error = try_open(json).err().expect(json);
    assert_eq!(error.kind(), Kind::Config, "{error}");
    for secret in ["hunter2", "s3cret"] {
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
    error.message().to_owned()
}

#[test]
fn what_is_wrong_with_an_address_is_said_without_its_secrets() {
    for (json, says) in [
        (r#"{"url":"redis://hunter2@host"}"#, "no password"),
        (r#"{"url":"redis://:hunter2/s3cret@host"}"#, "percent-encoded"),
        (r#"{"url":"redis://u:hunter2@h","password":"s3cret"}"#, "given twice"),
        (r#"{"url":"redis://u:hunter2@h:port"}"#, "host:port"),
        (r#"{"url":"redis://h1,h2"}"#, "redis+cluster:"),
        (r#"{"url":"redis://host/one"}"#, "number of a database"),
        (r#"{"url":"redis://host/1","db":1}"#, "given twice"),
        (r#"{"url":"redis+cluster://host/1"}"#, "one database"),
        (r#"{"url":"redis+sentinel://h1,h2"}"#, "which master"),
        (r#"{"url":"redis+unix://host/a.sock"}"#, "whole path"),
        (r#"{"url":"redis://host","sentinelPassword":"s3cret"}"#, "redis+sentinel:"),
        (r#"{"url":"redis://host","tlsCa":"s3cret"}"#, "TLS"),
        (r#"{"url":"rediss://host","tlsKey":"s3cret"}"#, "neither PEM text nor a file"),
        (r#"{"url":"rediss://host","tlsCa":"-----BEGIN s3cret"}"#, "no certificate"),
        (r#"{"url":"redis://host?passsword=hunter2"}"#, "did you mean \"password\"?"),
    ] {
        let message = refusal(json);
        assert!(message.contains(says), "{json}: {message}");
    }
}

#[test]
fn one_place_has_one_identity() {
    let identity =
        |url: &str| try_open(&format!(r#"{{"url":"{url}"}}"#)).unwrap().identity().to_owned();
    assert_eq!(identity("redis://HOST"), identity("redis://u:p@host:6379/0?commandTimeout=5"));
    assert_ne!(identity("redis://host"), identity("redis://host/1"));
    assert_ne!(identity("redis://host"), identity("redis://host?prefix=a"));
    assert_eq!(identity("redis+sentinel://a,b/m"), identity("redis+sentinel://b,a:26379/m/0"));
    assert!(!identity("redis://u:hunter2@host").contains("hunter2"));
}

#[cfg(unix)]
#[test]
fn a_socket() {
    let server = Server::start(&["unixsocket the.sock"]);
    let path = server.folder().join("the.sock");
    let client = Client::open(&format!("redis+unix://{}?db=2", path.display()));
    client.put("a", "one", HOUR).unwrap();
    assert_eq!(server.ask("INFO keyspace").matches("db2:keys=1").count(), 1);
}

struct Certificates {
    ca: String,
    server: (String, String),
    client: (String, String),
}

fn certificates() -> Certificates {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the tests' own authority");
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let issue = || {
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    Certificates { ca, server: issue(), client: issue() }
}

#[test]
fn tls_with_certificates_on_both_sides() {
    let folder = std::env::temp_dir().join(format!("rust-store-tls-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let Certificates { ca, server: (cert, key), client: (own_cert, own_key) } = certificates();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca_file, cert_file) = (file("ca.pem", &ca), file("server.pem", &cert));
    let key_file = file("server.key", &key);
    let port = free_port().to_string();
    let _server = Server::start(&[
        &format!("tls-port {port}"),
        &format!("tls-ca-cert-file {ca_file}"),
        &format!("tls-cert-file {cert_file}"),
        &format!("tls-key-file {key_file}"),
    ]);
    let options = |more: &str| format!(r#"{{"url":"rediss://localhost:{port}",{more}}}"#);
    let text = |text: &str| serde_json::Value::from(text).to_string();

    let both = format!(r#""tlsCert":{},"tlsKey":{}"#, text(&own_cert), text(&own_key));
    let client = Client::with(&options(&format!(r#""tlsCa":{},{both}"#, text(&ca))));
    client.put("a", "one", HOUR).unwrap();
    assert_eq!(client.text("a").unwrap(), "one");

    // The same from files, as parameters of the URL.
    let (own_cert_file, own_key_file) = (file("own.pem", &own_cert), file("own.key", &own_key));
    let client = Client::open(&format!(
        "rediss://127.0.0.1:{port}?tlsCa={ca_file}&tlsCert={own_cert_file}&tlsKey={own_key_file}"
    ));
    assert_eq!(client.text("a").unwrap(), "one");

    // Without a certificate of its own, and without trust in the server's.
    for more in [format!(r#""tlsCa":{}"#, text(&ca)), both] {
        let client = Client::with(&options(&more));
        client.wait_for("down ERR_STORE_UNAVAILABLE");
        assert_eq!(client.get("a").unwrap_err().kind(), Kind::Unavailable);
    }
    fs::remove_dir_all(&folder).unwrap();
}
