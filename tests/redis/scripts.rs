//! Saves that compare, where the user may not run scripts.

use rust_session_store::{backend::Replaced, error::Kind, record::ExpiryRule};

use crate::{client::Client, records::check_rules, server::Server};

const HOUR: u64 = 3_600_000;

/// A server and a user that may do everything but run scripts.
fn start() -> (Server, Client) {
    let server = Server::start(&[]);
    server.ask("ACL SETUSER app on >secret ~* +@all -@scripting");
    let client = open(&server);
    (server, client)
}

fn open(server: &Server) -> Client {
    Client::open(&format!("redis://app:secret@127.0.0.1:{}", server.port))
}

#[test]
fn the_rules_are_the_same_and_one_warning_says_what_it_costs() {
    let (server, client) = start();
    check_rules(&server, &client);
    let events = client.events.lock().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].starts_with("warning this user may not run scripts"), "{events:?}");
}

#[test]
fn a_save_between_look_and_write_is_seen() {
    let (server, client) = start();
    client.put("a", "0", HOUR).unwrap();
    let others: Vec<Client> = (0..4).map(|_| open(&server)).collect();
    std::thread::scope(|scope| {
        for other in &others {
            scope.spawn(move || {
                for _ in 0..50 {
                    let mut seen = other.text("a").unwrap();
                    loop {
                        let next = (seen.parse::<u32>().unwrap() + 1).to_string();
                        match other.replace("a", Some(&seen), &next, HOUR as i64, ExpiryRule::Later)
                        {
                            Ok(Replaced::Written(_)) => break,
                            Ok(Replaced::Changed(record)) => {
                                seen = String::from_utf8(record.payload.to_vec()).unwrap();
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(client.text("a").unwrap(), "200");
}

#[test]
fn other_types_are_told_from_records() {
    let (server, client) = start();
    server.ask("RPUSH sess:list x");
    for _ in 0..2 {
        let replaced = client.replace("list", None, "two", HOUR as i64, ExpiryRule::Later);
        assert_eq!(replaced.unwrap_err().kind(), Kind::Decode);
    }
}
