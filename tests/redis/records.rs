//! What is stored, and how it is compared, moved and walked over.

use rust_session_store::{
    backend::Replaced,
    error::Kind,
    record::{ExpiryRule, NEVER, UNTOLD},
};

use crate::{
    client::{Client, now},
    server::Server,
};

const HOUR: u64 = 3_600_000;

fn ttl(server: &Server, key: &str) -> i64 {
    server.ask(&format!("PTTL {key}")).parse().unwrap()
}

#[track_caller]
fn assert_about(actual: i64, wanted: u64) {
    let wanted = wanted as i64;
    assert!((wanted - 20_000..=wanted).contains(&actual), "{actual} is about {wanted}");
}

#[test]
fn a_record_is_plain_text_under_the_prefix() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url());
    client.put("a", r#"{"n":1}"#, HOUR).unwrap();
    assert_eq!(server.ask("GET sess:a"), r#"{"n":1}"#);
    assert_about(ttl(&server, "sess:a"), HOUR);
    let record = client.get("a").unwrap().unwrap();
    assert_eq!(record.payload, r#"{"n":1}"#);
    assert_eq!(record.expires, UNTOLD);
    client.settle(client.backend.remove(b"a")).unwrap();
    assert_eq!(server.ask("EXISTS sess:a"), "0");
    assert!(client.get("a").unwrap().is_none());
}

#[test]
fn saves_and_touches_keep_the_rules() {
    let server = Server::start(&[]);
    check_rules(&server, &Client::open(&server.url()));
}

/// All of them, by whatever way the client takes to the server.
pub fn check_rules(server: &Server, client: &Client) {
    replacing_compares_the_text(server, client);
    the_rule_decides_about_the_expiry(server, client);
    a_touch_by_less_than_the_slack_is_left_out(server, client);
}

fn replacing_compares_the_text(server: &Server, client: &Client) {
    let gone = client.replace("a", Some("{}"), "{}", 1000, ExpiryRule::Later).unwrap();
    assert!(matches!(gone, Replaced::Gone));
    assert_eq!(server.ask("EXISTS sess:a"), "0");

    client.put("a", "one", HOUR).unwrap();
    let written = client.replace("a", Some("one"), "two", 2 * HOUR as i64, ExpiryRule::Later);
    assert!(matches!(written.unwrap(), Replaced::Written(_)));
    assert_about(ttl(server, "sess:a"), 2 * HOUR);

    match client.replace("a", Some("one"), "three", HOUR as i64, ExpiryRule::Set).unwrap() {
        Replaced::Changed(record) => {
            assert_eq!(record.payload, "two");
            assert_about((record.expires - now()) as i64, 2 * HOUR);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.text("a").unwrap(), "two");
    assert_about(ttl(server, "sess:a"), 2 * HOUR);

    // Without a text to compare with, whatever is there is replaced.
    let written = client.replace("a", None, "four", 0, ExpiryRule::Keep).unwrap();
    assert!(matches!(written, Replaced::Written(_)));
    assert_eq!(client.text("a").unwrap(), "four");
}

fn the_rule_decides_about_the_expiry(server: &Server, client: &Client) {
    let hours = |hours: i64| hours * HOUR as i64;
    for (rule, ms, wanted) in [
        (ExpiryRule::Keep, hours(5), 2 * HOUR),
        (ExpiryRule::Later, hours(1), 2 * HOUR),
        (ExpiryRule::Later, hours(-1), 2 * HOUR),
        (ExpiryRule::Later, hours(3), 3 * HOUR),
        (ExpiryRule::Set, hours(1), HOUR),
        (ExpiryRule::Always, hours(1), HOUR),
    ] {
        client.put("a", "one", 2 * HOUR).unwrap();
        let written = client.replace("a", Some("one"), "two", ms, rule).unwrap();
        assert!(matches!(written, Replaced::Written(_)), "{rule:?}");
        assert_about(ttl(server, "sess:a"), wanted);
        if ms < 0 {
            continue;
        }
        for slack in [0, 1000] {
            client.put("a", "one", 2 * HOUR).unwrap();
            client.touch("a", ms as u64, rule, slack).unwrap();
            assert_about(ttl(server, "sess:a"), wanted);
            assert_eq!(client.text("a").unwrap(), "one");
        }
    }
    // A record that another program has made to last.
    server.ask("SET sess:ever one");
    client.touch("ever", HOUR, ExpiryRule::Later, 0).unwrap();
    client.touch("ever", HOUR, ExpiryRule::Later, 1000).unwrap();
    client.replace("ever", Some("one"), "two", hours(1), ExpiryRule::Later).unwrap();
    assert_eq!(ttl(server, "sess:ever"), -1);
    match client.replace("ever", Some("one"), "two", hours(1), ExpiryRule::Later).unwrap() {
        Replaced::Changed(record) => assert_eq!(record.expires, NEVER),
        other => panic!("{other:?}"),
    }
}

fn a_touch_by_less_than_the_slack_is_left_out(server: &Server, client: &Client) {
    client.put("a", "one", HOUR).unwrap();
    for rule in [ExpiryRule::Later, ExpiryRule::Set] {
        client.touch("a", HOUR + 60_000, rule, 120_000).unwrap();
        assert_about(ttl(server, "sess:a"), HOUR);
    }
    client.touch("a", 2 * HOUR, ExpiryRule::Later, 120_000).unwrap();
    assert_about(ttl(server, "sess:a"), 2 * HOUR);
    client.touch("missing", HOUR, ExpiryRule::Later, 120_000).unwrap();
    assert_eq!(server.ask("EXISTS sess:missing"), "0");
}

#[test]
fn a_key_of_another_type_is_no_record() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url());
    client.put("a", "one", HOUR).unwrap();
    server.ask("RPUSH sess:list x");
    assert_eq!(client.get("list").unwrap_err().kind(), Kind::Decode);
    let replaced = client.replace("list", None, "two", HOUR as i64, ExpiryRule::Later);
    assert_eq!(replaced.unwrap_err().kind(), Kind::Decode);
    assert_eq!(client.sids(), ["a"]);
    assert_eq!(client.count(), 1);
    client.put("list", "one", HOUR).unwrap();
    assert_eq!(client.text("list").unwrap(), "one");
}

#[test]
fn a_walk_meets_every_record_of_the_prefix_and_no_other() {
    let server = Server::start(&[]);
    let client = Client::with(&format!(r#"{{"url":"{}","prefix":"a*"}}"#, server.url()));
    let other = Client::with(&format!(r#"{{"url":"{}","prefix":"ab"}}"#, server.url()));
    let sids: Vec<String> = (0..1500).map(|number| format!("s{number:04}")).collect();
    let puts = |client: &Client| {
        let now = now();
        let draft = rust_session_store::record::Draft {
            payload: b"{}",
            expires: now + HOUR,
            rule: ExpiryRule::Set,
            moved: false,
        };
        let puts = sids.iter().map(|sid| client.backend.put(sid.as_bytes(), draft, now)).collect();
        client.all(puts).into_iter().for_each(|put| drop(put.unwrap()));
    };
    puts(&client);
    puts(&other);
    assert_eq!(client.sids(), sids);
    assert!(client.count() >= 1500);
    client.settle(client.backend.clear()).unwrap();
    assert!(client.sids().is_empty());
    assert_eq!(other.sids(), sids);
    assert_eq!(server.ask("DBSIZE"), "1500");
}

#[test]
fn scripts_that_the_server_forgets_are_sent_again() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url());
    client.put("a", "0", HOUR).unwrap();
    for number in 0..5 {
        let (seen, text) = (number.to_string(), (number + 1).to_string());
        let written = client.replace("a", Some(&seen), &text, HOUR as i64, ExpiryRule::Later);
        assert!(matches!(written.unwrap(), Replaced::Written(_)));
        server.ask("SCRIPT FLUSH");
    }
    assert_eq!(client.text("a").unwrap(), "5");
}

#[test]
fn calls_of_one_turn_share_a_write_and_keep_their_answers_and_their_order() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url());
    server.ask("RPUSH sess:s7 x");
    let now = now();
    let sids: Vec<String> = (0..2000).map(|number| format!("s{number}")).collect();
    let draft = |text| rust_session_store::record::Draft {
        payload: text,
        expires: now + HOUR,
        rule: ExpiryRule::Set,
        moved: false,
    };
    let puts: Vec<_> = sids
        .iter()
        .filter(|sid| *sid != "s7")
        .map(|sid| client.backend.put(sid.as_bytes(), draft(sid.as_bytes()), now))
        .collect();
    let gets: Vec<_> = sids.iter().map(|sid| client.backend.get(sid.as_bytes(), now)).collect();
    let gets = client.all(gets);
    drop(puts);
    for (sid, get) in sids.iter().zip(gets) {
        match sid.as_str() {
            "s7" => assert_eq!(get.unwrap_err().kind(), Kind::Decode),
            sid => assert_eq!(get.unwrap().unwrap().payload, sid),
        }
    }
}
