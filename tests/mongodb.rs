//! The MongoDB backend against a real server: what can only be seen from beneath. The rules of every
//! backend are in `__test__/conformance`, and what is MongoDB's own in `__test__/mongodb.test.js`.

#![cfg(feature = "mongodb")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mongodb::{
    Client, Collection,
    bson::{DateTime, Document, doc},
};
use rust_session_store::{
    backend::{Answer, Backend, Event, Replaced},
    backends::REGISTRY,
    error::Kind,
    options::Options,
    record::{Draft, ExpiryRule, Record, Seen, Touch, UNTOLD},
    runtime,
};

/// The server of all tests here. It ends with its standard input, which ends with this process.
static SERVER: LazyLock<Option<(Child, String)>> = LazyLock::new(|| {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/__test__/servers/mongodb.js");
    let mut node = Command::new("node");
    let mut server = node.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut url = String::new();
    BufReader::new(server.stdout.take()?).read_line(&mut url).ok()?;
    (!url.is_empty()).then(|| (server, url.trim().to_owned()))
});

/// A collection for one test.
struct Place {
    url: String,
    documents: Collection<Document>,
}

impl Place {
    /// `None` where no server can be had, which is said; in CI that is a failure.
    fn new() -> Option<Place> {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let Some((_, base)) = &*SERVER else {
            assert!(std::env::var_os("CI").is_none(), "in CI there has to be a server");
            eprintln!("not tried: there is no MongoDB server; see above");
            return None;
        };
        let (hosts, query) = base.split_once('?').unwrap_or((base, ""));
        let name = format!("engine-{}-{}", std::process::id(), OPENED.fetch_add(1, Relaxed));
        let url = format!("{}/rust-session-store?{query}", hosts.trim_end_matches('/'));
        let documents = wait(async {
            let client = Client::with_uri_str(&url).await.unwrap();
            let database = client.default_database().unwrap();
            // See createCollection in __test__/servers/mongodb.js.
            database.create_collection(&name).await.unwrap();
            database.collection(&name)
        });
        Some(Place { url: format!("{url}&collection={name}"), documents })
    }

    fn open(&self, mut options: serde_json::Value) -> Arc<dyn Backend> {
        // No machine is too busy for these tests.
        options["commandTimeout"] = 60_000.into();
        open(&self.url, options)
    }

    fn document(&self, id: &str) -> Document {
        wait(self.documents.find_one(doc! { "_id": id }).into_future()).unwrap().unwrap()
    }

    fn insert(&self, document: Document) {
        wait(self.documents.insert_one(document).into_future()).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = wait(self.documents.drop().into_future());
    }
}

fn open(url: &str, mut options: serde_json::Value) -> Arc<dyn Backend> {
    options["url"] = url.into();
    let options = Options::parse(&options.to_string(), &REGISTRY).unwrap();
    (options.backend.open)(&options).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime::handle().block_on(future)
}

/// Sends some calls as one turn of the event loop does, and waits for their answers.
fn turn<T: Unpin + 'static>(backend: &Arc<dyn Backend>, answers: Vec<Answer<T>>) -> Vec<T> {
    backend.flush();
    answers.into_iter().map(|answer| wait(answer).unwrap()).collect()
}

fn one<T: Unpin + 'static>(backend: &Arc<dyn Backend>, answer: Answer<T>) -> T {
    turn(backend, vec![answer]).remove(0)
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

const LIFE: u64 = 3_600_000;

fn draft(payload: &str, expires: u64, rule: ExpiryRule) -> Draft<'_> {
    Draft { payload: payload.as_bytes(), expires, rule, moved: false }
}

fn put(backend: &Arc<dyn Backend>, sid: &str, payload: &str, expires: u64) {
    one(backend, backend.put(sid.as_bytes(), draft(payload, expires, ExpiryRule::Set), now()));
}

fn get(backend: &Arc<dyn Backend>, sid: &str) -> Option<Record> {
    one(backend, backend.get(sid.as_bytes(), now()))
}

/// Asks for a compare-and-set.
fn replace(
    backend: &Arc<dyn Backend>,
    sid: &str,
    seen: &str,
    draft: Draft<'_>,
) -> Answer<Replaced> {
    let payload = || Bytes::copy_from_slice(seen.as_bytes());
    let seen = Seen { version: 0, payload: &payload };
    backend.replace(sid.as_bytes(), Some(&seen), draft, now())
}

#[test]
fn each_call_of_a_turn_has_its_own_answer() {
    let Some(place) = Place::new() else { return };
    let backend = place.open(serde_json::json!({}));
    let end = now() + LIFE;
    let sids: Vec<String> = (0..300).map(|n| format!("s{n}")).collect();
    let puts = sids.iter().map(|sid| {
        let text = format!("{{\"of\":\"{sid}\"}}");
        backend.put(sid.as_bytes(), draft(&text, end, ExpiryRule::Set), now())
    });
    turn(&backend, puts.collect());
    let gets = sids.iter().chain(&sids).map(|sid| backend.get(sid.as_bytes(), now()));
    let gets = gets.chain([backend.get(b"missing", now())]).collect();
    let mut found = turn(&backend, gets);
    assert!(found.pop().unwrap().is_none());
    for (found, sid) in found.iter().zip(sids.iter().chain(&sids)) {
        assert_eq!(*found.as_ref().unwrap().payload, *format!("{{\"of\":\"{sid}\"}}").as_bytes());
    }
    // Every third as expected, every third changed by now, every third gone.
    let removed = sids.iter().skip(2).step_by(3);
    turn(&backend, removed.map(|sid| backend.remove(sid.as_bytes())).collect());
    let saves = sids.iter().enumerate().map(|(n, sid)| {
        let seen = if n % 3 == 0 { format!("{{\"of\":\"{sid}\"}}") } else { "{}".into() };
        replace(&backend, sid, &seen, draft("{\"new\":1}", end, ExpiryRule::Keep))
    });
    for (n, outcome) in turn(&backend, saves.collect()).into_iter().enumerate() {
        match (n % 3, outcome) {
            (0, Replaced::Written(_)) | (2, Replaced::Gone) => {}
            (1, Replaced::Changed(record)) => {
                assert_eq!(*record.payload, *format!("{{\"of\":\"s{n}\"}}").as_bytes());
            }
            (_, outcome) => panic!("s{n}: {outcome:?}"),
        }
    }
    for (n, sid) in sids.iter().enumerate().take(3) {
        let text = get(&backend, sid).map(|record| record.payload);
        let expected = [Some("{\"new\":1}"), Some("{\"of\":\"s1\"}"), None][n];
        assert_eq!(text.as_deref(), expected.map(str::as_bytes));
    }
}

#[test]
fn the_server_settles_the_expiry_when_it_writes() {
    let Some(place) = Place::new() else { return };
    let backend = place.open(serde_json::json!({}));
    let end = now() + LIFE;
    let save = |payload: &str, seen: &str, expires, rule| {
        let saved = one(&backend, replace(&backend, "a", seen, draft(payload, expires, rule)));
        assert!(matches!(saved, Replaced::Written(_)), "{saved:?}");
        get(&backend, "a").unwrap().expires
    };
    put(&backend, "a", "0", end);
    assert_eq!(save("1", "0", end + 500, ExpiryRule::Keep), end);
    assert_eq!(save("2", "1", end - 500, ExpiryRule::Later), end);
    assert_eq!(save("$3", "2", end + 500, ExpiryRule::Later), end + 500);
    assert_eq!(save("4", "$3", end - 700, ExpiryRule::Set), end - 700);

    let touch = |expires, rule, slack| {
        let touch = Touch { expires, rule, slack, seen: None };
        one(&backend, backend.touch(b"a", touch, now()));
        get(&backend, "a").unwrap().expires
    };
    put(&backend, "a", "0", end);
    assert_eq!(touch(end - 1, ExpiryRule::Later, 0), end);
    assert_eq!(touch(end + 1, ExpiryRule::Later, 2), end);
    assert_eq!(touch(end + 2, ExpiryRule::Later, 2), end + 2);
    assert_eq!(touch(end, ExpiryRule::Set, 3), end + 2);
    assert_eq!(touch(end - 5, ExpiryRule::Set, 3), end - 5);
    assert_eq!(touch(end + 5, ExpiryRule::Keep, 0), end - 5);
    let touch = Touch { expires: end, rule: ExpiryRule::Set, slack: 0, seen: None };
    one(&backend, backend.touch(b"missing", touch, now()));
    assert!(get(&backend, "missing").is_none());
}

#[test]
fn what_others_keep_in_a_document_stays() {
    let Some(place) = Place::new() else { return };
    let backend = place.open(serde_json::json!({ "prefix": "p:" }));
    let end = now() + LIFE;
    let date = DateTime::from_millis(end as i64);
    place.insert(doc! { "_id": "p:never", "session": "{}", "createdAt": date, "own": { "x": 1 } });
    assert_eq!(get(&backend, "never").unwrap().expires, UNTOLD);
    let touch = Touch { expires: end, rule: ExpiryRule::Later, slack: 0, seen: None };
    one(&backend, backend.touch(b"never", touch, now()));
    one(&backend, replace(&backend, "never", "{}", draft("[1]", end, ExpiryRule::Later)));
    let expected =
        doc! { "_id": "p:never", "session": "[1]", "createdAt": date, "own": { "x": 1 } };
    assert_eq!(place.document("p:never"), expected, "and it still never ends");
    put(&backend, "never", "[2]", end);
    let expected = doc! {
        "_id": "p:never", "session": "[2]", "createdAt": date, "own": { "x": 1 }, "expires": date,
    };
    assert_eq!(place.document("p:never"), expected);
}

#[test]
fn a_session_kept_as_a_document_becomes_text_with_its_first_save() {
    let Some(place) = Place::new() else { return };
    let backend = place.open(serde_json::json!({}));
    let end = now() + LIFE;
    let session = doc! { "cookie": { "expires": DateTime::from_millis(0) }, "n": 1 };
    place.insert(
        doc! { "_id": "a", "session": session, "expires": DateTime::from_millis(end as i64) },
    );
    let text = get(&backend, "a").unwrap().payload;
    assert_eq!(*text, *br#"{"cookie":{"expires":"1970-01-01T00:00:00.000Z"},"n":1}"#);
    let text = String::from_utf8(text.to_vec()).unwrap();
    let saves = ["{\"other\":1}", &text].map(|seen| {
        let draft = draft("{\"n\":2}", end, ExpiryRule::Keep);
        one(&backend, replace(&backend, "a", seen, draft))
    });
    assert!(matches!(saves, [Replaced::Changed(_), Replaced::Written(_)]), "{saves:?}");
    assert_eq!(place.document("a").get_str("session").unwrap(), "{\"n\":2}");
}

#[test]
fn walks_meet_every_live_record_of_the_prefix_once() {
    let Some(place) = Place::new() else { return };
    let backend = place.open(serde_json::json!({ "prefix": "p:" }));
    let other = place.open(serde_json::json!({ "prefix": "q:" }));
    let end = now() + LIFE;
    let mut sids: Vec<Vec<u8>> = (0..250).map(|n| format!("s{n:03}").into_bytes()).collect();
    // No UTF-8: what a lone surrogate is to the engine.
    sids.extend((0..120).map(|n| [&[0xED, 0xA0, 0x80], format!("{n:03}").as_bytes()].concat()));
    let puts = |backend: &Arc<dyn Backend>| {
        let put = |sid: &Vec<u8>| backend.put(sid, draft("{}", end, ExpiryRule::Set), now());
        turn(backend, sids.iter().map(put).collect());
    };
    puts(&backend);
    puts(&other);
    let dead = draft("{}", now() + 1, ExpiryRule::Set);
    one(&backend, backend.put(b"s000-dead", dead, now()));

    let walk = |backend: &Arc<dyn Backend>| {
        let (mut met, mut from) = (Vec::new(), 0);
        loop {
            let page = one(backend, backend.page(from, now() + 5));
            met.extend(page.records.into_iter().map(|(sid, _)| sid.into_vec()));
            match page.next {
                Some(next) => from = next,
                None => return met,
            }
        }
    };
    let mut met = walk(&backend);
    met.sort_unstable();
    sids.sort_unstable();
    assert_eq!(met, sids);
    let count = one(&backend, backend.count(0, now() + 5));
    assert_eq!((count.live, count.next), (370, None));
    one(&backend, backend.clear());
    assert_eq!(walk(&backend).len(), 0);
    assert_eq!(one(&backend, backend.count(0, now())).live, 0);
    assert_eq!(walk(&other).len(), 370);
}

#[test]
fn a_place_that_is_not_there_is_told_once_and_fails_at_once() {
    // Nobody listens on port 1.
    let backend = open(
        "mongodb://user:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=300",
        serde_json::json!({}),
    );
    let (said, heard) = mpsc::channel();
    backend.listen(Arc::new(move |event| said.send(event).unwrap()));
    let first = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    let Event::Down(error) = first else { panic!("{first:?}") };
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(!format!("{error:?}").contains("hunter2"));
    let Answer::Ready(Err(error)) = backend.get(b"a", now()) else { panic!("it waits") };
    assert_eq!(error.kind(), Kind::Unavailable);
    wait(backend.close()).unwrap();
    assert!(heard.try_recv().is_err(), "said once");
}
