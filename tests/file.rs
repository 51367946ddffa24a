//! What only the file backend does, seen from the engine: what is there after a restart, what this
//! process sees before that, and what it refuses. With several processes: `__test__/file.test.js`.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    pin::pin,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rust_session_store::{
    backends::REGISTRY,
    error::{Error, Kind},
    options::Options,
    record::{Draft, ExpiryRule, Record},
    store::{Base, Saved, Store},
};
use serde_json::json;

const HOUR: u64 = 3_600_000;

/// A folder that is gone when the test is over.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("session-file-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        Dir(std::env::temp_dir().join(name))
    }

    fn try_open(&self, options: serde_json::Value) -> Result<Store, Error> {
        let mut all = json!({ "url": format!("file:{}", self.0.display()) });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        Store::open(Options::parse(&all.to_string(), &REGISTRY).unwrap())
    }

    fn open(&self) -> Store {
        self.try_open(json!({})).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer, as the binding does: a poll inside the call, a flush, a poll at each wake.
fn settle<T>(store: &Store, future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        store.flush();
        thread::park();
    }
}

/// Asks for something, and does not wait.
fn ask<T>(future: impl Future<Output = T>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn draft(text: &str, expires: u64) -> Draft<'_> {
    Draft { payload: text.as_bytes(), expires, rule: ExpiryRule::Set, moved: false }
}

fn try_put(store: &Store, sid: &[u8], text: &str) -> Result<Saved, Error> {
    settle(store, store.save(sid, draft(text, now() + HOUR), None, now()))
}

fn put(store: &Store, sid: &str, text: &str) {
    try_put(store, sid.as_bytes(), text).unwrap();
}

fn get(store: &Store, sid: &str) -> Option<Record> {
    settle(store, store.get(sid.as_bytes(), now())).unwrap()
}

fn text(store: &Store, sid: &str) -> Option<Bytes> {
    get(store, sid).map(|record| record.payload)
}

fn close(store: &Store) {
    settle(store, store.close()).unwrap();
}

fn length(store: &Store, now: u64) -> u64 {
    settle(store, store.count(0, now)).unwrap().live
}

/// Saves `text` as a change of what was read.
fn save(store: &Store, sid: &str, text: &str, read: &Record) -> Saved {
    let payload = || read.payload.clone();
    let base = Base { version: read.version, text: &payload, cookie_only: false };
    let draft = Draft { rule: ExpiryRule::Later, ..draft(text, now() + HOUR) };
    settle(store, store.save(sid.as_bytes(), draft, Some(base), now())).unwrap()
}

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

#[test]
fn a_full_map_keeps_what_there_is_and_goes_on_once_there_is_room() {
    let dir = Dir::new();
    let store = dir.try_open(json!({ "mapSize": 1 << 20 })).unwrap();
    let big = format!("{{\"a\":\"{}\"}}", "x".repeat(10_000));
    let mut kept = 0;
    let refused = loop {
        match try_put(&store, format!("s{kept}").as_bytes(), &big) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(refused.message().contains("mapSize"), "{refused}");
    assert!((50..100).contains(&kept), "{kept} of 10 kB in 1 MiB");
    // What is there can be read, moved, made smaller, and removed.
    assert_eq!(length(&store, now()), kept);
    let later = now() + 2 * HOUR;
    settle(&store, store.touch(b"s0", later, ExpiryRule::Later, None, now())).unwrap();
    put(&store, "s1", "{}");
    assert!(try_put(&store, b"s1", &format!("{big}{big}")).is_err());
    assert_eq!(text(&store, "s1").unwrap(), "{}");
    for n in 2..10 {
        settle(&store, store.destroy(format!("s{n}").as_bytes())).unwrap();
    }
    put(&store, "new", &big);
    close(&store);
    let again = dir.try_open(json!({ "mapSize": 1 << 20 })).unwrap();
    assert_eq!(get(&again, "s0").unwrap().expires, later);
    assert_eq!(length(&again, now()), kept - 8 + 1);
}

#[test]
fn churn_leaves_the_file_as_large_as_it_was() {
    let dir = Dir::new();
    let store = dir.open();
    let round = |round: u32| {
        for n in 0..200 {
            let text = format!("{{\"{round}\":\"{}\"}}", "x".repeat(n * 10));
            ask(store.save(
                format!("r{round}s{n}").as_bytes(),
                draft(&text, now() + HOUR),
                None,
                now(),
            ));
            ask(store.destroy(format!("r{}s{n}", round.wrapping_sub(1)).as_bytes()));
        }
        settle(&store, store.ping()).unwrap();
    };
    let size = || fs::metadata(dir.0.join("data.mdb")).unwrap().len();
    (0..10).for_each(round);
    let before = size();
    (10..60).for_each(round);
    assert_eq!(length(&store, now()), 200);
    assert!(size() <= before * 5 / 4, "{before} bytes became {}", size());
}

#[test]
fn a_thread_that_ends_gives_its_place_as_a_reader_back() {
    let dir = Dir::new();
    let store = dir.open();
    put(&store, "a", "{}");
    // There are 4096.
    for _ in 0..5_000 {
        thread::scope(|scope| {
            scope.spawn(|| assert!(get(&store, "a").is_some()));
        });
    }
}

/// Set for the child process of the next test: the folder that it reads.
const READER: &str = "RUST_STORE_TEST_READER";

/// No test: what the child process does.
#[test]
fn a_reader_that_stays() {
    let Some(folder) = std::env::var_os(READER) else { return };
    // SAFETY: nobody writes to the folder's files but through LMDB.
    let env = unsafe { heed::EnvOpenOptions::new().map_size(1 << 30).open(folder).unwrap() };
    let _reading = env.read_txn().unwrap();
    println!("reading");
    loop {
        thread::park();
    }
}

#[test]
fn what_a_killed_reader_holds_is_used_again() {
    let dir = Dir::new();
    let store = dir.open();
    let mut next = 0;
    let mut churn = || {
        for _ in 0..20 {
            next += 1;
            for n in 0..20 {
                let text = format!("{{\"{next}\":\"{}\"}}", "x".repeat(1_000));
                let sid = format!("s{n}");
                ask(store.save(sid.as_bytes(), draft(&text, now() + HOUR), None, now()));
            }
            settle(&store, store.ping()).unwrap();
        }
        fs::metadata(dir.0.join("data.mdb")).unwrap().len()
    };
    let (_, before) = (churn(), churn());
    let mut reader = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_reader_that_stays", "--nocapture"])
        .env(READER, &dir.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("reading")));
    assert!(churn() > before, "the test would show nothing: a reader holds no page");
    reader.kill().unwrap();
    reader.wait().unwrap();
    let (started, mut size) = (Instant::now(), 0);
    while size != churn() {
        size = churn();
        assert!(started.elapsed() < Duration::from_secs(60), "it grows and grows");
    }
}

#[test]
fn a_queue_that_is_full_pushes_back() {
    let dir = Dir::new();
    let store = dir.open();
    // Many at once, so that the writer, which looks in once a second, cannot keep up.
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(20_000));
    for n in 0..1_000_000 {
        let sid = format!("s{}", n % 100);
        let mut save = pin!(store.save(sid.as_bytes(), draft(&text, now() + HOUR), None, now()));
        if let Poll::Ready(refused) = save.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), Kind::Unavailable);
            assert!(refused.message().contains("wait to be written"), "{refused}");
            settle(&store, store.ping()).unwrap();
            put(&store, "after", "{}");
            return;
        }
    }
    panic!("it took everything");
}

#[test]
fn only_the_owner_can_read_what_is_made() {
    let dir = Dir::new();
    let store = dir.open();
    put(&store, "a", "{}");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.0.clone()), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&dir.0).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()) & 0o077, 0, "{}", path.display());
        files += 1;
    }
    assert!(files >= 3);
}

#[test]
fn what_cannot_work_is_refused() {
    let refused = |dir: &Dir, options| {
        let error = dir.try_open(options).err().expect("refused");
        assert_eq!(error.backend(), "file");
        (error.kind(), error.message().to_owned())
    };
    let foreign = Dir::new();
    fs::create_dir(&foreign.0).unwrap();
    fs::write(foreign.0.join("data.mdb"), "somebody's").unwrap();
    let (kind, message) = refused(&foreign, json!({}));
    assert_eq!(kind, Kind::Config);
    assert!(message.contains("holds other files"), "{message}");

    let file = Dir::new();
    fs::write(&file.0, "a file").unwrap();
    let (kind, message) = refused(&file, json!({}));
    assert_eq!(kind, Kind::Config);
    assert!(message.contains("is a file"), "{message}");
    fs::remove_file(&file.0).unwrap();

    let dir = Dir::new();
    let store = dir.open();
    let (kind, message) = refused(&dir, json!({ "durability": "normal" }));
    assert_eq!(kind, Kind::Config);
    assert!(message.contains("already open in this process"), "{message}");
    assert_eq!(refused(&dir, json!({ "mapSize": 5 })).0, Kind::Config);
    close(&store);
    close(&dir.try_open(json!({ "durability": "normal" })).unwrap());

    fs::write(dir.0.join("data.mdb"), vec![7; 20_000]).unwrap();
    let (kind, message) = refused(&dir, json!({}));
    assert_eq!(kind, Kind::Unavailable);
    assert!(message.contains("not an LMDB file") || message.contains("INVALID"), "{message}");
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
