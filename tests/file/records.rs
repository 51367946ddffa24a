//! What is saved, read and walked over: at once, by every store of the process, and after a restart.

use std::thread;

use rust_session_store::{
    error::Kind,
    record::{Draft, ExpiryRule},
    store::{Base, Saved},
};
use serde_json::json;

use super::folder::{
    Dir, HOUR, ask, close, draft, get, length, now, put, save, settle, text, try_put,
};

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let dir = Dir::new();
    let store = dir.open();
    put(&store, "a", "{\"n\":1}");
    put(&store, "b", "{}");
    settle(&store, store.destroy(b"b")).unwrap();
    close(&store);
    let again = dir.open();
    assert_eq!(text(&again, "a").unwrap(), "{\"n\":1}");
    assert!(get(&again, "b").is_none());
    assert_eq!(length(&again, now()), 1);
    // A base outlives the restart.
    let read = get(&again, "a").unwrap();
    close(&again);
    assert!(matches!(save(&dir.open(), "a", "{\"n\":2}", &read), Saved::Written(_)));
}

#[test]
fn what_is_asked_for_is_seen_at_once_and_by_every_store_of_the_process() {
    let dir = Dir::new();
    let (store, other) = (dir.open(), dir.open());
    ask(store.save(b"a", draft("{\"n\":1}", now() + HOUR), None, now()));
    let read = get(&other, "a").expect("a save that is not even sent is seen");
    assert_eq!(read.payload, "{\"n\":1}");
    let payload = || read.payload.clone();
    let base = Base { version: read.version, text: &payload, cookie_only: false };
    let change = Draft { rule: ExpiryRule::Keep, ..draft("{\"n\":2}", 0) };
    ask(other.save(b"a", change, Some(base), now()));
    assert_eq!(text(&store, "a").unwrap(), "{\"n\":2}");
    assert_eq!(length(&store, now()), 1, "a count waits for what was asked for");
    ask(store.destroy(b"a"));
    assert!(get(&other, "a").is_none());
    assert!(matches!(save(&other, "a", "{\"n\":3}", &read), Saved::Gone));
    put(&store, "b", "{}");
    ask(store.clear());
    assert!(get(&other, "b").is_none());
    ask(store.save(b"b", draft("{}", now() + HOUR), None, now()));
    assert!(get(&other, "b").is_some());
    assert_eq!(length(&store, now()), 1);
}

#[test]
fn changes_of_two_requests_are_merged() {
    let dir = Dir::new();
    let store = dir.open();
    put(&store, "a", "{}");
    let read = get(&store, "a").unwrap();
    save(&store, "a", "{\"one\":1}", &read);
    assert!(matches!(save(&store, "a", "{\"two\":2}", &read), Saved::Merged { .. }));
    assert_eq!(text(&store, "a").unwrap(), "{\"one\":1,\"two\":2}");
}

#[test]
fn any_sid_and_any_prefix_is_kept_apart() {
    let dir = Dir::new();
    let open = |prefix: &str| dir.try_open(json!({ "prefix": prefix })).unwrap();
    let long = "x".repeat(65_534);
    let sids = [&format!("{long}1"), &format!("{long}2"), "\0", "", "__proto__", "a"];
    let prefixes = ["", "a", "ab", "\0", &long];
    for prefix in prefixes {
        let store = open(prefix);
        for (index, sid) in sids.iter().enumerate() {
            put(&store, sid, &format!("{{\"{index}\":\"{}\"}}", prefix.len()));
        }
        close(&store);
    }
    for prefix in prefixes {
        let store = open(prefix);
        for (index, sid) in sids.iter().enumerate() {
            let expected = format!("{{\"{index}\":\"{}\"}}", prefix.len());
            assert_eq!(text(&store, sid).unwrap(), expected);
        }
        assert_eq!(length(&store, now()), sids.len() as u64);
    }
    let store = open("a");
    settle(&store, store.clear()).unwrap();
    assert_eq!(length(&store, now()), 0);
    assert_eq!(length(&open("ab"), now()), sids.len() as u64);
    let too_long = try_put(&store, &[b'x'; 65_536], "{}").unwrap_err();
    assert_eq!(too_long.kind(), Kind::TooLarge);
}

#[test]
fn a_walk_meets_each_once_and_a_count_knows_those_that_are_over() {
    let dir = Dir::new();
    let store = dir.open();
    let end = now() + HOUR;
    for n in 0..1500 {
        let expires = if n % 3 == 0 { end } else { end + HOUR };
        ask(store.save(format!("s{n}").as_bytes(), draft("{}", expires), None, now()));
    }
    for (at, expected) in [(now(), 1500), (end - 1, 1500), (end, 1000), (end + HOUR, 0)] {
        assert_eq!(length(&store, at), expected);
        let (mut sids, mut from) = (Vec::new(), Some(0));
        while let Some(step) = from {
            let page = settle(&store, store.page(step, at)).unwrap();
            sids.extend(page.records.into_iter().map(|(sid, _)| sid));
            from = page.next;
            assert!(from.is_none_or(|next| next > step && next < 1 << 53));
        }
        let met = sids.len();
        sids.sort();
        sids.dedup();
        assert_eq!((met, sids.len()), (expected as usize, expected as usize));
    }
}

#[test]
fn threads_that_change_keys_of_their_own_lose_none() {
    let dir = Dir::new();
    let store = dir.try_open(json!({ "durability": "normal" })).unwrap();
    put(&store, "a", "{}");
    thread::scope(|scope| {
        for worker in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for step in 0..25 {
                    let read = get(store, "a").unwrap();
                    let text = std::str::from_utf8(&read.payload).unwrap();
                    let comma = if text == "{}" { "" } else { "," };
                    let body = &text[..text.len() - 1];
                    let text = format!("{body}{comma}\"w{worker}s{step}\":{step}}}");
                    match save(store, "a", &text, &read) {
                        Saved::Written(_) => {}
                        Saved::Merged { conflicts, .. } => assert_eq!(conflicts, ""),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    let all: serde_json::Value = serde_json::from_slice(&text(&store, "a").unwrap()).unwrap();
    assert_eq!(all.as_object().unwrap().len(), 4 * 25);
}
