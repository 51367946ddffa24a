//! The backend as the boundary uses it: calls, then a flush, then polls wherever a waker asks for them.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rust_session_store::{
    backend::{Answer, Backend, Event, Replaced},
    backends::REGISTRY,
    error::Result,
    options::Options,
    record::{Draft, ExpiryRule, Record, Seen, Touch},
};

pub struct Client {
    pub backend: Arc<dyn Backend>,
    pub events: Arc<Mutex<Vec<String>>>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

pub fn try_open(json: &str) -> Result<Arc<dyn Backend>> {
    let options = Options::parse(json, &REGISTRY)?;
    (options.backend.open)(&options)
}

impl Client {
    pub fn open(url: &str) -> Client {
        Client::with(&format!(r#"{{"url":"{url}"}}"#))
    }

    pub fn with(json: &str) -> Client {
        let backend = try_open(json).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = events.clone();
        backend.listen(Arc::new(move |event| {
            heard.lock().unwrap().push(match event {
                Event::Down(error) => format!("down {}", error.kind().code()),
                Event::Up => "up".into(),
                Event::Warning(text) => format!("warning {text}"),
                Event::Late => "late".into(),
            });
        }));
        Client { backend, events }
    }

    pub fn settle<T: Unpin + 'static>(&self, answer: Answer<T>) -> Result<T> {
        self.all(vec![answer]).pop().unwrap()
    }

    /// Waits for all of the answers.
    pub fn all<T: Unpin + 'static>(&self, answers: Vec<Answer<T>>) -> Vec<Result<T>> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        let mut waiting: Vec<Pin<Box<dyn Future<Output = Result<T>>>>> =
            answers.into_iter().map(|answer| Box::pin(answer) as _).collect();
        let mut results: Vec<Option<Result<T>>> = waiting.iter().map(|_| None).collect();
        loop {
            for (future, result) in waiting.iter_mut().zip(&mut results) {
                if result.is_none()
                    && let Poll::Ready(answer) = pin!(future).poll(&mut cx)
                {
                    *result = Some(answer);
                }
            }
            self.backend.flush();
            if results.iter().all(Option::is_some) {
                return results.into_iter().flatten().collect();
            }
            thread::park_timeout(Duration::from_secs(20));
        }
    }

    pub fn put(&self, sid: &str, text: &str, ms: u64) -> Result<()> {
        let now = now();
        let draft = draft(text, now + ms, ExpiryRule::Set);
        self.settle(self.backend.put(sid.as_bytes(), draft, now)).map(drop)
    }

    pub fn get(&self, sid: &str) -> Result<Option<Record>> {
        self.settle(self.backend.get(sid.as_bytes(), now()))
    }

    pub fn text(&self, sid: &str) -> Option<String> {
        let record = self.get(sid).unwrap()?;
        Some(String::from_utf8(record.payload.to_vec()).unwrap())
    }

    pub fn replace(
        &self,
        sid: &str,
        seen: Option<&str>,
        text: &str,
        ms: i64,
        rule: ExpiryRule,
    ) -> Result<Replaced> {
        let payload = || Bytes::copy_from_slice(seen.unwrap().as_bytes());
        let seen = seen.map(|_| Seen { version: 0, payload: &payload });
        let now = now();
        let draft = draft(text, now.saturating_add_signed(ms), rule);
        self.settle(self.backend.replace(sid.as_bytes(), seen.as_ref(), draft, now))
    }

    pub fn touch(&self, sid: &str, ms: u64, rule: ExpiryRule, slack: u64) -> Result<()> {
        let now = now();
        let touch = Touch { expires: now + ms, rule, slack, seen: Some(0) };
        self.settle(self.backend.touch(sid.as_bytes(), touch, now)).map(drop)
    }

    pub fn sids(&self) -> Vec<String> {
        let (mut sids, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            let page = self.settle(self.backend.page(at, now())).unwrap();
            sids.extend(page.records.iter().map(|(sid, _)| String::from_utf8_lossy(sid).into()));
            from = page.next;
        }
        sids.sort();
        sids.dedup();
        sids
    }

    pub fn count(&self) -> u64 {
        let (mut live, mut from) = (0, Some(0));
        while let Some(at) = from {
            let count = self.settle(self.backend.count(at, now())).unwrap();
            live += count.live;
            from = count.next;
        }
        live
    }

    /// Waits until the last event is this one.
    pub fn wait_for(&self, event: &str) {
        self.wait_until(event, |client| {
            client.events.lock().unwrap().last().is_some_and(|last| last == event)
        });
    }

    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Client) -> bool) {
        crate::server::wait_until(what, || is_so(self));
    }
}

fn draft(text: &str, expires: u64, rule: ExpiryRule) -> Draft<'_> {
    Draft { payload: text.as_bytes(), expires, rule, moved: false }
}
