//! The ways to a server: addresses, TLS, sockets; and what is wrong with a URL.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rust_session_store::error::Kind;

use crate::{
    client::{Client, try_open},
    server::{Server, free_port, wait_until},
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
        (r#"{"url":"redis://u:hunter2#h@host:x"}"#, "percent-encoded"),
        (r#"{"url":"redis://u:s3cret?hunter2@host"}"#, "percent-encoded"),
        (r#"{"url":"redis://[::1]7000"}"#, "host:port"),
        (r#"{"url":"redis://host/one"}"#, "number of a database"),
        (r#"{"url":"redis://host/2147483648"}"#, "number of a database"),
        (r#"{"url":"redis://host","db":1e15}"#, "2147483647 or less"),
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

#[test]
fn an_empty_password_without_a_user_is_none() {
    let server = Server::start(&[]);
    for json in [
        format!(r#"{{"url":"redis://:@127.0.0.1:{}"}}"#, server.port),
        format!(r#"{{"url":"redis://127.0.0.1:{}","password":""}}"#, server.port),
    ] {
        Client::with(&json).put("a", "one", HOUR).unwrap();
    }
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

/// A folder with the server's certificates, which is gone afterwards, and the lines that use them.
struct Secured {
    folder: PathBuf,
    certificates: Certificates,
}

impl Secured {
    fn new(name: &str) -> Secured {
        let folder = format!("rust-store-tls-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let certificates = certificates();
        let (cert, key) = &certificates.server;
        for (name, text) in
            [("ca.pem", &certificates.ca), ("server.pem", cert), ("server.key", key)]
        {
            fs::write(folder.join(name), text).unwrap();
        }
        Secured { folder, certificates }
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.join(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn lines(&self, port: u16) -> Vec<String> {
        vec![
            format!("tls-port {port}"),
            format!("tls-ca-cert-file {}", self.path("ca.pem")),
            format!("tls-cert-file {}", self.path("server.pem")),
            format!("tls-key-file {}", self.path("server.key")),
        ]
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn strs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

#[test]
fn tls_with_certificates_on_both_sides() {
    let secured = Secured::new("both");
    let port = free_port();
    let _server = Server::start(&strs(&secured.lines(port)));
    let Certificates { ca, client: (own_cert, own_key), .. } = &secured.certificates;
    let options = |more: &str| format!(r#"{{"url":"rediss://localhost:{port}",{more}}}"#);
    let text = |text: &str| serde_json::Value::from(text).to_string();

    let both = format!(r#""tlsCert":{},"tlsKey":{}"#, text(own_cert), text(own_key));
    let client = Client::with(&options(&format!(r#""tlsCa":{},{both}"#, text(ca))));
    client.put("a", "one", HOUR).unwrap();
    assert_eq!(client.text("a").unwrap(), "one");

    // The same from files, as parameters of the URL.
    let client = Client::open(&format!(
        "rediss://127.0.0.1:{port}?tlsCa={}&tlsCert={}&tlsKey={}",
        secured.path("ca.pem"),
        secured.file("own.pem", own_cert),
        secured.file("own.key", own_key),
    ));
    assert_eq!(client.text("a").unwrap(), "one");

    // Without a certificate of its own, and without trust in the server's.
    for more in [format!(r#""tlsCa":{}"#, text(ca)), both] {
        let client = Client::with(&options(&more));
        client.wait_for("down ERR_STORE_UNAVAILABLE");
        let error = client.get("a").unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().starts_with("TLS:"), "{error}");
    }
}

#[test]
fn tls_in_a_cluster_and_behind_a_sentinel() {
    let secured = Secured::new("many");
    let (node, master, sentinel) = (free_port(), free_port(), free_port());
    let no_client = "tls-auth-clients no".to_owned();
    let parameter = format!("tlsCa={}", secured.path("ca.pem"));

    let cluster = ["cluster-enabled yes".into(), "tls-cluster yes".into(), no_client.clone()];
    let server = Server::start(&strs(&[&cluster[..], &secured.lines(node)].concat()));
    server.ask("CLUSTER ADDSLOTSRANGE 0 16383");
    wait_until("the cluster", || server.ask("CLUSTER INFO").contains("cluster_state:ok"));
    let client = Client::open(&format!("rediss+cluster://127.0.0.1:{node}?{parameter}"));
    client.put("a", "one", HOUR).unwrap();
    assert_eq!(client.sids(), ["a"]);

    let mut lines = secured.lines(master);
    lines.push(no_client.clone());
    let _master = Server::start(&strs(&lines));
    let mut lines = secured.lines(sentinel);
    lines.extend([no_client, "tls-replication yes".into()]);
    let _sentinel = Server::sentinel(master, &strs(&lines));
    let url = format!("rediss+sentinel://127.0.0.1:{sentinel}/mymaster?{parameter}");
    Client::open(&url).put("a", "one", HOUR).unwrap();
}
