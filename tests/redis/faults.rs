//! Servers that die, hang, are not there yet or come back: every call is answered, and in time.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use rust_session_store::error::Kind;

use crate::{
    client::{Client, now},
    server::{Server, free_port},
};

const HOUR: u64 = 3_600_000;

#[test]
fn a_server_that_is_not_there_yet() {
    let port = free_port();
    let client = Client::open(&format!("redis://127.0.0.1:{port}"));
    assert_eq!(client.get("a").unwrap_err().kind(), Kind::Unavailable);
    client.wait_for("down ERR_STORE_UNAVAILABLE");
    let server = Server::start_on(port, &[]);
    client.wait_for("up");
    client.put("a", "one", HOUR).unwrap();
    assert_eq!(client.events.lock().unwrap().len(), 2);
    drop(server);
}

#[test]
fn calls_that_come_before_the_connection_wait_for_it() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let client = Client::open(&server.url());
        client.put("a", "one", HOUR).unwrap();
        assert!(client.events.lock().unwrap().is_empty());
    }
}

#[test]
fn a_server_that_is_killed_under_load() {
    let mut server = Server::start(&[]);
    let client = Client::open(&server.url());
    let sids: Vec<String> = (0..64).map(|number| format!("s{number}")).collect();
    let round = |client: &Client| {
        let gets = sids.iter().map(|sid| client.backend.get(sid.as_bytes(), now())).collect();
        client.all(gets)
    };
    for _ in 0..50 {
        assert!(round(&client).iter().all(Result::is_ok));
    }
    server.kill();
    let mut failed = 0;
    while failed < 10 {
        for answer in round(&client) {
            if let Err(error) = answer {
                assert_eq!(error.kind(), Kind::Unavailable, "{error}");
                failed += 1;
            }
        }
    }
    client.wait_for("down ERR_STORE_UNAVAILABLE");
    // Down is known: thousands of calls fail without waiting for anything.
    let started = Instant::now();
    for _ in 0..100 {
        assert!(round(&client).iter().all(Result::is_err));
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    server.restart();
    client.wait_for("up");
    assert!(round(&client).iter().all(Result::is_ok));
}

fn signal(server: &Server, signal: &str) {
    let status = Command::new("kill").args([signal, &server.process_id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// Stopped, a server's kernel still takes what is sent, and nothing comes back.
#[test]
fn a_server_that_goes_silent() {
    let server = Server::start(&[]);
    let url = server.url();
    let client =
        Client::with(&format!(r#"{{"url":"{url}","commandTimeout":500,"connectTimeout":500}}"#));
    client.put("a", "one", HOUR).unwrap();
    signal(&server, "-STOP");
    let started = Instant::now();
    let error = client.get("a").unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
    client.wait_for("down ERR_STORE_UNAVAILABLE");
    let started = Instant::now();
    for _ in 0..1000 {
        assert_eq!(client.get("a").unwrap_err().kind(), Kind::Unavailable);
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    signal(&server, "-CONT");
    client.wait_for("up");
    assert_eq!(client.text("a").unwrap(), "one");
}

#[test]
fn a_connection_that_the_server_ends_is_made_anew() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url());
    client.put("a", "one", HOUR).unwrap();
    for _ in 0..4 {
        server.ask("CLIENT KILL TYPE normal SKIPME yes");
        client
            .wait_until("the record", |client| client.get("a").is_ok_and(|found| found.is_some()));
    }
    assert!(client.events.lock().unwrap().is_empty());
}

#[test]
fn closing_lets_what_is_under_way_end() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url());
    let puts: Vec<_> = (0..3000)
        .map(|number| {
            let sid = format!("s{number}");
            let draft = rust_session_store::record::Draft {
                payload: b"{}",
                expires: now() + HOUR,
                rule: rust_session_store::record::ExpiryRule::Set,
                moved: false,
            };
            client.backend.put(sid.as_bytes(), draft, now())
        })
        .collect();
    client.settle(client.backend.close()).unwrap();
    assert_eq!(server.ask("DBSIZE"), "3000");
    assert!(client.all(puts).iter().all(Result::is_ok));
    assert_eq!(client.get("s1").unwrap_err().kind(), Kind::Closed);
    // No connection is left but the one that asks.
    client.wait_until("the end of the connection", |_| {
        server.ask("INFO clients").contains("connected_clients:1")
    });
}
