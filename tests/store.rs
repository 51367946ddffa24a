//! The engine without Node: what a save means, over the memory backend, from several threads at
//! once. The rules one by one are in `__test__/conformance`, which runs over every backend.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll, Waker},
    thread,
};

use bytes::Bytes;
use rust_session_store::{
    backends::REGISTRY,
    options::Options,
    record::{Draft, ExpiryRule, Record},
    store::{Base, Saved, Store},
};

const NOW: u64 = 1_000_000;
const END: u64 = 2_000_000;

/// A memory backend answers inside the call.
fn settle<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("answered later"),
    }
}

fn open(json: &str) -> Store {
    Store::open(Options::parse(json, &REGISTRY).unwrap()).unwrap()
}

fn draft(text: &str) -> Draft<'_> {
    Draft { payload: text.as_bytes(), expires: END, rule: ExpiryRule::Later, moved: false }
}

fn put(store: &Store, sid: &str, text: &str) {
    settle(store.save(sid.as_bytes(), draft(text), None, NOW)).unwrap();
}

fn get(store: &Store, sid: &str) -> Option<Record> {
    settle(store.get(sid.as_bytes(), NOW)).unwrap()
}

/// Saves `text` as a change of what was read.
fn save(store: &Store, sid: &str, text: &str, read: &Record) -> Saved {
    let payload = || read.payload.clone();
    let base = Base { version: read.version, text: &payload, cookie_only: false };
    settle(store.save(sid.as_bytes(), draft(text), Some(base), NOW)).unwrap()
}

fn length(store: &Store, now: u64) -> u64 {
    let (mut live, mut from) = (0, Some(0));
    while let Some(at) = from {
        let count = settle(store.count(at, now)).unwrap();
        live += count.live;
        from = count.next;
    }
    live
}

#[test]
fn threads_that_change_keys_of_their_own_lose_none() {
    let store = open("{}");
    put(&store, "a", "{}");
    let merged = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..8 {
            let (store, merged) = (&store, &merged);
            scope.spawn(move || {
                for step in 0..200 {
                    let read = get(store, "a").unwrap();
                    let text = std::str::from_utf8(&read.payload).unwrap();
                    let comma = if text == "{}" { "" } else { "," };
                    let body = &text[..text.len() - 1];
                    let text = format!("{body}{comma}\"w{worker}s{step}\":{step}}}");
                    match save(store, "a", &text, &read) {
                        Saved::Written(_) => {}
                        Saved::Merged { conflicts, .. } => {
                            assert_eq!(conflicts, "", "no two threads change one key");
                            merged.fetch_add(1, Relaxed);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    let all: serde_json::Value =
        serde_json::from_slice(&get(&store, "a").unwrap().payload).unwrap();
    assert_eq!(all.as_object().unwrap().len(), 8 * 200);
    assert_eq!(store.counters().merges.load(Relaxed), merged.load(Relaxed));
}

#[test]
fn a_session_that_is_destroyed_while_threads_save_it_stays_gone() {
    for _ in 0..200 {
        let store = open("{}");
        put(&store, "a", "{\"n\":0}");
        let read = get(&store, "a").unwrap();
        thread::scope(|scope| {
            for worker in 0..3 {
                let (store, read) = (&store, &read);
                scope.spawn(move || {
                    for _ in 0..20 {
                        save(store, "a", &format!("{{\"n\":0,\"w\":{worker}}}"), read);
                    }
                });
            }
            settle(store.destroy(b"a")).unwrap();
        });
        assert!(get(&store, "a").is_none());
        assert_eq!((length(&store, NOW), store.gauges().bytes), (0, Some(0)));
    }
}

#[test]
fn the_books_balance_after_threads_have_done_everything_at_once() {
    let store = open("{\"max\":500}");
    thread::scope(|scope| {
        for worker in 0..6u64 {
            let store = &store;
            scope.spawn(move || {
                let mut seed = worker + 1;
                for _ in 0..5_000 {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let sid = format!("s{}", (seed >> 33) % 800);
                    match (seed >> 50) % 6 {
                        0 | 1 => put(store, &sid, "{\"a\":1}"),
                        2 => {
                            if let Some(read) = get(store, &sid) {
                                save(store, &sid, "{\"a\":1,\"b\":2}", &read);
                            }
                        }
                        3 => {
                            let expires = NOW + (seed >> 40) % 5_000;
                            let touched =
                                store.touch(sid.as_bytes(), expires, ExpiryRule::Set, None, NOW);
                            settle(touched).unwrap();
                        }
                        4 => settle(store.destroy(sid.as_bytes())).unwrap(),
                        _ if seed >> 56 == 7 => settle(store.clear()).unwrap(),
                        _ => drop(get(store, &sid)),
                    }
                }
            });
        }
    });
    let (mut sids, mut bytes, mut from) = (Vec::new(), 0, Some(0));
    while let Some(at) = from {
        let page = settle(store.page(at, 0)).unwrap();
        for (sid, record) in page.records {
            bytes += sid.len() + record.payload.len() + 40;
            sids.push(sid);
        }
        from = page.next;
    }
    let found = sids.len() as u64;
    sids.sort();
    sids.dedup();
    assert_eq!(found, sids.len() as u64, "a walk meets each once");
    assert_eq!(found, length(&store, 0));
    assert_eq!(Some(bytes as u64), store.gauges().bytes);
    assert!(found <= 500);
    assert_eq!(length(&store, END), 0, "all of them end");
}

#[test]
fn text_that_is_not_json_is_one_unit() {
    let store = open("{}");
    put(&store, "a", "one");
    let read = get(&store, "a").unwrap();
    save(&store, "a", "two", &read);
    let Saved::Merged { conflicts, .. } = save(&store, "a", "three", &read) else { panic!() };
    assert_eq!(conflicts, "[[]]");
    assert_eq!(get(&store, "a").unwrap().payload, Bytes::from("three"));
    // An unchanged one undoes nothing.
    save(&store, "a", "one", &read);
    assert_eq!(get(&store, "a").unwrap().payload, Bytes::from("three"));
}
