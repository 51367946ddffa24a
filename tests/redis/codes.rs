//! What the server may refuse, each with the code that the caller reads.

use std::thread;

use rust_session_store::error::Kind;

use crate::{client::Client, server::Server};

const HOUR: u64 = 3_600_000;

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(
    result: rust_session_store::error::Result<T>,
    kind: Kind,
    says: &str,
) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().contains(says), "{error}");
}

#[test]
fn a_full_server_keeps_what_it_has() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url());
    client.put("a", "one", HOUR).unwrap();
    server.ask("CONFIG SET maxmemory 1");
    assert_kind(client.put("a", "two", HOUR), Kind::Unavailable, "maxmemory");
    let replaced =
        client.replace("a", None, "two", 1000, rust_session_store::record::ExpiryRule::Set);
    assert_kind(replaced, Kind::Unavailable, "maxmemory");
    assert_eq!(client.text("a").unwrap(), "one");
}

#[test]
fn a_replica_takes_no_writes() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url());
    client.put("a", "one", HOUR).unwrap();
    server.ask("REPLICAOF 127.0.0.1 1");
    assert_kind(client.put("a", "two", HOUR), Kind::Unavailable, "replica");
    server.ask("REPLICAOF NO ONE");
    client.put("a", "two", HOUR).unwrap();
}

#[test]
fn a_server_that_loads_is_tried_again() {
    let mut server =
        Server::start(&["key-load-delay 2000", "loading-process-events-interval-bytes 1024"]);
    server.ask("CONFIG SET key-load-delay 0");
    let client = Client::open(&server.url());
    for number in 0..1000 {
        client.put(&format!("s{number}"), &"x".repeat(100), HOUR).unwrap();
    }
    server.ask("SAVE");
    server.kill();
    server.restart();
    client.wait_until("LOADING", |client| {
        client.get("s1").is_err_and(|error| {
            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
            error.message().contains("loading")
        })
    });
    client.wait_until("the data", |client| client.get("s1").is_ok_and(|found| found.is_some()));
}

#[test]
fn a_server_that_is_busy_with_a_script_is_tried_again() {
    let server = Server::start(&["lua-time-limit 10"]);
    let client = Client::open(&server.url());
    client.put("a", "one", HOUR).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| server.ask("EVAL \"while true do end\" 0"));
        client.wait_until("BUSY", |client| {
            client.get("a").is_err_and(|error| {
                assert_eq!(error.kind(), Kind::Unavailable, "{error}");
                error.message().contains("busy")
            })
        });
        server.ask("SCRIPT KILL");
    });
    assert_eq!(client.text("a").unwrap(), "one");
}

#[test]
fn a_password_that_is_missing_or_wrong() {
    let server = Server::start(&["requirepass sesame"]);
    let without = Client::open(&server.url());
    assert_kind(without.get("a"), Kind::Auth, "password");
    let wrong = Client::open(&format!("redis://:open@127.0.0.1:{}", server.port));
    wrong.wait_for("down ERR_STORE_AUTH");
    assert_kind(wrong.get("a"), Kind::Auth, "password");
    let right = Client::open(&format!("redis://:sesame@127.0.0.1:{}", server.port));
    right.put("a", "one", HOUR).unwrap();
    // As soon as the server takes it, it works.
    server.ask_all(&["AUTH sesame", "CONFIG SET requirepass open"]);
    wrong.wait_for("up");
    assert_eq!(wrong.text("a").unwrap(), "one");
}

#[test]
fn what_the_acl_forbids() {
    let server = Server::start(&[]);
    server.ask("ACL SETUSER reader on >s:e@/ ~sess:* +get");
    let url = format!("redis://reader:s%3Ae%40%2F@127.0.0.1:{}", server.port);
    let client = Client::open(&url);
    assert!(client.get("a").unwrap().is_none());
    assert_kind(client.put("a", "one", HOUR), Kind::Auth, "ACL");
    let other = Client::with(&format!(r#"{{"url":"{url}","prefix":"other:"}}"#));
    assert_kind(other.get("a"), Kind::Auth, "ACL");
}

#[test]
fn a_cluster_that_is_down() {
    let server = Server::start(&["cluster-enabled yes"]);
    let client = Client::open(&server.url());
    assert_kind(client.get("a"), Kind::Unavailable, "cluster");
}

#[test]
fn a_database_that_is_not_there() {
    let server = Server::start(&["databases 4"]);
    let client = Client::open(&format!("{}/3", server.url()));
    client.put("a", "one", HOUR).unwrap();
    assert_eq!(server.ask("DBSIZE"), "0");
    let wrong = Client::open(&format!("{}/4", server.url()));
    wrong.wait_for("down ERR_STORE_CONFIG");
    assert_kind(wrong.get("a"), Kind::Config, "db");
}
