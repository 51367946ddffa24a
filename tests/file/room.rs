//! The room that there is: a full map, pages that are used again, readers, a queue that is full.

use std::{
    fs,
    io::{BufRead, BufReader},
    pin::pin,
    process::{Command, Stdio},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use rust_session_store::{error::Kind, record::ExpiryRule};
use serde_json::json;

use super::folder::{Dir, HOUR, ask, close, draft, get, length, now, put, settle, text, try_put};

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
        .args(["--exact", "room::a_reader_that_stays", "--nocapture"])
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
