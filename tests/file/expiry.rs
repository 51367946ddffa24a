//! Touches, which are gathered, and what is pruned.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rust_session_store::{
    record::{Draft, ExpiryRule},
    store::Base,
};

use super::folder::{Dir, HOUR, ask, close, draft, get, length, now, put, settle};

#[test]
fn a_touch_is_seen_here_at_once_and_written_within_a_second_or_so() {
    let dir = Dir::new();
    let store = dir.open();
    put(&store, "a", "{}");
    let later = now() + 2 * HOUR;
    settle(&store, store.touch(b"a", later, ExpiryRule::Later, None, now())).unwrap();
    let read = get(&store, "a").unwrap();
    assert_eq!((read.expires, read.moved), (later, true));
    // Nobody flushes, and it is written all the same: what is on the disk changes.
    let data = dir.0.join("data.mdb");
    let before = fs::metadata(&data).unwrap().modified().unwrap();
    let started = Instant::now();
    while fs::metadata(&data).unwrap().modified().unwrap() == before {
        assert!(started.elapsed() < Duration::from_secs(30), "it was never written");
        thread::sleep(Duration::from_millis(20));
    }
    // One that is not written yet is written at the end.
    let last = now() + 3 * HOUR;
    settle(&store, store.touch(b"a", last, ExpiryRule::Later, None, now())).unwrap();
    close(&store);
    assert_eq!(get(&dir.open(), "a").unwrap().expires, last);
}

#[test]
fn a_gathered_touch_minds_what_comes_after_it() {
    let dir = Dir::new();
    let store = dir.open();
    for sid in ["kept", "removed", "replaced"] {
        put(&store, sid, "{}");
    }
    let read = get(&store, "kept").unwrap();
    let later = now() + 2 * HOUR;
    for sid in ["kept", "removed", "replaced"] {
        settle(&store, store.touch(sid.as_bytes(), later, ExpiryRule::Later, None, now())).unwrap();
    }
    // A save that leaves the expiry alone keeps the one that the touch gave.
    let payload = || read.payload.clone();
    let base = Base { version: read.version, text: &payload, cookie_only: false };
    let change = Draft { rule: ExpiryRule::Keep, ..draft("{\"n\":1}", 0) };
    settle(&store, store.save(b"kept", change, Some(base), now())).unwrap();
    settle(&store, store.destroy(b"removed")).unwrap();
    let sooner = now() + HOUR / 2;
    settle(&store, store.save(b"replaced", draft("{}", sooner), None, now())).unwrap();
    for store in [store, dir.open()] {
        assert_eq!(get(&store, "kept").unwrap().expires, later);
        assert!(get(&store, "removed").is_none());
        assert_eq!(get(&store, "replaced").unwrap().expires, sooner);
        close(&store);
    }
}

#[test]
fn what_is_over_is_pruned_and_what_was_touched_is_not() {
    let dir = Dir::new();
    let store = dir.open();
    // Over by the machine's clock from the next second on.
    let soon = now() + 200;
    for n in 0..600 {
        let sid = format!("s{n}");
        ask(store.save(sid.as_bytes(), draft("{}", soon), None, now()));
    }
    settle(&store, store.ping()).unwrap();
    for n in 0..5 {
        let sid = format!("s{n}");
        let touch = store.touch(sid.as_bytes(), now() + HOUR, ExpiryRule::Later, None, soon - 100);
        settle(&store, touch).unwrap();
    }
    let started = Instant::now();
    while store.gauges().expired != Some(595) {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", store.gauges());
        // A clock goes on only if somebody names the time.
        get(&store, "s0");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(length(&store, now()), 5);
    // Sid and payload of each.
    assert_eq!(store.gauges().bytes, Some(5 * 4));
}

#[test]
fn nothing_is_pruned_that_a_stopped_clock_still_shows() {
    let dir = Dir::new();
    let (store, other) = (dir.open(), Dir::new());
    let other = other.open();
    settle(&store, store.save(b"a", draft("{}", 2_000), None, 1_000)).unwrap();
    // As long as others take to be pruned.
    put(&other, "b", "{}");
    settle(&other, other.save(b"b", draft("{}", now() + 10), None, now())).unwrap();
    while other.gauges().expired != Some(1) {
        get(&other, "b");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(settle(&store, store.get(b"a", 1_999)).unwrap().is_some());
    assert!(settle(&store, store.get(b"a", 2_000)).unwrap().is_none());
}
