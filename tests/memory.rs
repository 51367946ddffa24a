//! What only the memory backend does, seen from the engine: whose clock it goes by, and what
//! threads and odd names may not do to it.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use rust_session_store::{
    backends::REGISTRY,
    options::Options,
    record::{Draft, ExpiryRule, Record},
    store::Store,
};

/// A memory backend answers inside the call.
fn settle<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("answered later"),
    }
}

fn open(options: serde_json::Value) -> Store {
    Store::open(Options::parse(&options.to_string(), &REGISTRY).unwrap()).unwrap()
}

fn put(store: &Store, sid: &str, expires: u64, now: u64) {
    let draft = Draft { payload: b"{}", expires, rule: ExpiryRule::Set, moved: false };
    settle(store.save(sid.as_bytes(), draft, None, now)).unwrap();
}

fn get(store: &Store, sid: &str, now: u64) -> Option<Record> {
    settle(store.get(sid.as_bytes(), now)).unwrap()
}

fn touch(store: &Store, sid: &str, expires: u64, now: u64) {
    settle(store.touch(sid.as_bytes(), expires, ExpiryRule::Later, None, now)).unwrap();
}

/// Waits until the pruning thread, which has no event, has removed this many.
fn pruned(store: &Store, expired: u64) {
    for _ in 0..1000 {
        if store.gauges().expired >= Some(expired) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?} of {expired} were pruned", store.gauges().expired);
}

#[test]
fn pruning_goes_by_the_time_that_callers_name_and_by_no_other() {
    let (stopped, other) = (open(serde_json::json!({})), open(serde_json::json!({})));
    put(&stopped, "a", 1_000_100, 1_000_000);
    // More rounds of pruning than the session would have lasted by the machine's clock.
    for round in 1..=3 {
        put(&other, "b", round * 1000, 0);
        get(&other, "b", round * 1000);
        pruned(&other, round);
    }
    assert!(get(&stopped, "a", 1_000_000).is_some());
    assert!(get(&stopped, "a", 1_001_000).is_none());
    pruned(&stopped, 1);
}

#[test]
fn a_clock_past_2106_does_not_stop_anything() {
    let now = 7_000_000_000_000;
    let (late, other) = (open(serde_json::json!({ "max": 5 })), open(serde_json::json!({})));
    for n in 0..20 {
        put(&late, &format!("s{n}"), now + 1000, now);
    }
    // Both are pruned by one thread, which must come past the first.
    for round in 1..=2 {
        put(&other, "b", round * 1000, 0);
        get(&other, "b", round * 1000);
        pruned(&other, round);
    }
    assert_eq!(settle(store_length(&late, now)), 5);
    assert_eq!(settle(store_length(&late, now + 1000)), 0);
}

async fn store_length(store: &Store, now: u64) -> u64 {
    let (mut live, mut from) = (0, Some(0));
    while let Some(at) = from {
        let count = store.count(at, now).await.unwrap();
        live += count.live;
        from = count.next;
    }
    live
}

#[test]
fn touches_of_several_threads_never_move_an_expiry_back() {
    let store = open(serde_json::json!({}));
    put(&store, "a", 1_000, 0);
    thread::scope(|scope| {
        for worker in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for step in 0..50_000 {
                    let expires = 1_000 + step * 4 + worker;
                    touch(store, "a", expires, 0);
                    assert!(get(store, "a", 0).unwrap().expires >= expires);
                }
            });
        }
    });
}

#[test]
fn a_name_and_a_prefix_are_never_taken_for_another_pair() {
    let named = open(serde_json::json!({ "url": "memory:a\0b" }));
    let prefixed = open(serde_json::json!({ "url": "memory:a", "prefix": "b\0" }));
    put(&named, "sid", 1_000, 0);
    assert_ne!(named.identity(), prefixed.identity());
    assert!(get(&prefixed, "sid", 0).is_none());
    assert!(get(&open(serde_json::json!({ "url": "memory:a\0b" })), "sid", 0).is_some());
}

#[test]
fn a_bound_lets_those_that_are_over_leave_first() {
    let store = open(serde_json::json!({ "max": 50 }));
    for n in 0..25 {
        put(&store, &format!("over{n}"), 1_500, 1_000);
        put(&store, &format!("live{n}"), 1_990, 1_000);
    }
    for n in 0..25 {
        put(&store, &format!("new{n}"), 9_000, 1_600);
    }
    let gauges = store.gauges();
    assert_eq!((gauges.expired, gauges.evicted), (Some(25), Some(0)));
    for n in 0..25 {
        assert!(get(&store, &format!("live{n}"), 1_600).is_some());
    }
}

#[test]
fn a_walk_after_a_flood_is_as_short_as_what_is_left() {
    let store = open(serde_json::json!({}));
    for n in 0..200_000 {
        put(&store, &format!("s{n}"), if n % 4_000 == 0 { 9_000 } else { 1_000 }, 0);
    }
    get(&store, "s0", 1_000);
    pruned(&store, 199_950);
    let (mut pages, mut met, mut from) = (0, 0, Some(0));
    while let Some(at) = from {
        let page = settle(store.page(at, 1_000)).unwrap();
        (pages, met) = (pages + 1, met + page.records.len());
        from = page.next;
    }
    assert_eq!(met, 50);
    assert!(pages <= 50, "{pages} pages");
}
