//! Redis and Valkey: one server, the master that sentinels name, or a cluster. Knows which commands a
//! call is made of; the modules beneath know how they are sent.
//!
//! A record is the session's JSON text as a string at `<prefix><sid>`, with the server's own expiry, as
//! connect-redis writes it: the two can share a place. So there are no versions: texts are compared.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use redis::Value;

use self::{
    address::Plan,
    command::Keys,
    failure::Failure,
    link::{Link, Shared},
};
use crate::{
    backend::{Answer, Backend, Count, Gauges, Listener, Page, Replaced, Touched, Written},
    error::Result,
    options::{Form, Options},
    record::{Draft, ExpiryRule, Millis, Record, Seen, Touch},
};

mod address;
mod batch;
mod command;
mod connect;
mod failure;
mod link;
mod reply;
mod script;
mod tls;
mod walk;

/// The schemes of its URLs.
pub const SCHEMES: &[&str] = &[
    "redis",
    "rediss",
    "redis+unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
    "valkey",
    "valkeys",
];

/// The options that it takes.
pub const OPTIONS: &[(&str, Form)] = &[
    ("username", Form::Text),
    ("password", Form::Text),
    ("db", Form::Index),
    ("connectTimeout", Form::Millis),
    ("commandTimeout", Form::Millis),
    ("tlsCa", Form::Text),
    ("tlsCert", Form::Text),
    ("tlsKey", Form::Text),
    ("sentinelUsername", Form::Text),
    ("sentinelPassword", Form::Text),
    ("passThrough", Form::Switch),
];

/// Redis takes longer keys, but nobody means one.
const MAX_SID_BYTES: usize = 65_535;
const MAX_PAYLOAD_BYTES: usize = 512 << 20;

/// Opens the place; whether a server is there shows later.
pub fn open(options: &Options) -> Result<Arc<dyn Backend>> {
    let plan = Plan::read(options)?;
    Ok(Arc::new(Redis {
        keys: Arc::new(Keys::new(&plan.prefix)),
        identity: plan.identity.clone(),
        knows_gt: Arc::new(AtomicBool::new(true)),
        link: Link::open(plan),
    }))
}

struct Redis {
    link: Link,
    keys: Arc<Keys>,
    identity: String,
    /// Whether `PEXPIRE` takes `GT`: since Redis 7.
    knows_gt: Arc<AtomicBool>,
}

impl Redis {
    fn shared(&self) -> &Arc<Shared> {
        self.link.shared()
    }
}

/// An answer that is still under way.
fn later<T>(answer: impl Future<Output = Result<T, Failure>> + Send + 'static) -> Answer<T> {
    Answer::Later(Box::pin(async move { Ok(answer.await?) }))
}

/// Calls a script by its hash, and with its text where the server does not know it.
async fn run(link: &Shared, script: redis::Cmd) -> Result<Value, Failure> {
    let mut call = link.call(script);
    match (&mut call).await {
        Err(failure) if failure.code() == "NOSCRIPT" => match call.command() {
            Some(command) => {
                link.call(script::with_text(&command).ok_or_else(reply::misunderstood)?).await
            }
            None => Err(failure),
        },
        answer => answer,
    }
}

impl Backend for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn max_sid_bytes(&self) -> usize {
        MAX_SID_BYTES
    }

    fn max_payload_bytes(&self) -> usize {
        MAX_PAYLOAD_BYTES
    }

    fn flush(&self) {
        self.shared().flush();
    }

    fn listen(&self, listener: Listener) {
        self.link.listen(listener);
    }

    fn close(&self) -> Answer<()> {
        let closed = self.link.close();
        later(async move {
            closed.await;
            Ok(())
        })
    }

    fn get(&self, sid: &[u8], _now: Millis) -> Answer<Option<Record>> {
        let call = self.shared().call(self.keys.get(sid));
        later(async move { Ok(reply::text(call.await?)?.map(reply::untold)) })
    }

    fn put(&self, sid: &[u8], draft: Draft<'_>, now: Millis) -> Answer<Written> {
        let call = self.shared().call(self.keys.put(sid, &draft, now));
        later(async move { call.await.map(|_| Written::default()) })
    }

    fn replace(
        &self,
        sid: &[u8],
        seen: Option<&Seen<'_>>,
        draft: Draft<'_>,
        now: Millis,
    ) -> Answer<Replaced> {
        let seen = seen.map(|seen| (seen.payload)());
        let script = self.keys.replace(sid, seen.as_deref(), &draft, now);
        let link = self.shared().clone();
        later(async move { reply::replaced(run(&link, script).await?, now) })
    }

    fn touch(&self, sid: &[u8], touch: Touch, now: Millis) -> Answer<Touched> {
        if touch.rule == ExpiryRule::Keep {
            return Touched::Done.into();
        }
        let link = self.shared().clone();
        let is_plain = touch.rule != ExpiryRule::Later || self.knows_gt.load(Relaxed);
        if touch.slack > 0 || !is_plain {
            let script = self.keys.touch_by_script(sid, &touch, now);
            return later(async move { run(&link, script).await.map(|_| Touched::Done) });
        }
        let call = link.call(self.keys.touch(sid, &touch, now));
        later(async move { call.await.map(|_| Touched::Done) })
    }

    fn remove(&self, sid: &[u8]) -> Answer<()> {
        let call = self.shared().call(self.keys.remove(sid));
        later(async move { call.await.map(drop) })
    }

    fn page(&self, from: u64, _now: Millis) -> Answer<Page> {
        later(walk::page(self.shared().clone(), self.keys.clone(), from))
    }

    fn count(&self, from: u64, _now: Millis) -> Answer<Count> {
        later(walk::count(self.shared().clone(), self.keys.clone(), from))
    }

    fn clear(&self) -> Answer<()> {
        later(walk::clear(self.shared().clone(), self.keys.clone()))
    }

    fn ping(&self) -> Answer<()> {
        let call = self.shared().call(command::ping());
        later(async move { call.await.map(drop) })
    }

    fn gauges(&self) -> Gauges {
        Gauges::default()
    }
}
