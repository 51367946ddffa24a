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
fn commands_that_were_renamed_away_are_done_without() {
    let server = Server::start(&["rename-command EVALSHA \"\"", "rename-command EVAL \"\""]);
    let client = Client::open(&server.url());
    check_rules(&server, &client);
    assert_eq!(client.events.lock().unwrap().len(), 1);
}

/// What docs/redis.md says that a user needs.
#[test]
fn the_documented_permissions_are_enough() {
    let server = Server::start(&[]);
    let common = "~sess:* +get +set +del +unlink +pexpire +pttl +scan +ping +select";
    server.ask(&format!("ACL SETUSER with on >secret {common} +evalsha +eval"));
    server.ask(&format!("ACL SETUSER less on >secret {common} +watch +multi +exec"));
    for user in ["with", "less"] {
        for db in [0, 1] {
            let client =
                Client::open(&format!("redis://{user}:secret@127.0.0.1:{}/{db}", server.port));
            client.put("a", "one", HOUR).unwrap();
            let written = client.replace("a", Some("one"), "two", 0, ExpiryRule::Keep).unwrap();
            assert!(matches!(written, Replaced::Written(_)));
            client.touch("a", HOUR, ExpiryRule::Later, 0).unwrap();
            client.touch("a", HOUR, ExpiryRule::Set, 5).unwrap();
            assert_eq!(client.sids(), ["a"]);
            assert_eq!(client.count(), 1);
            client.settle(client.backend.ping()).unwrap();
            client.settle(client.backend.clear()).unwrap();
            client.settle(client.backend.remove(b"a")).unwrap();
        }
    }
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
