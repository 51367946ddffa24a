//! Redis and Valkey: one server, the master that sentinels name, or a cluster. Knows which commands a
//! call is made of; the modules beneath know how they are sent.
//!
//! A record is the session's JSON text as a string at `<prefix><sid>`, with the server's own expiry, as
//! connect-redis writes it: the two can share a place. So there are no versions: texts are compared.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use self::{address::Plan, command::Keys, failure::Failure, reply::Reply, servers::Servers};
use crate::{
    backend::{Answer, Backend, Count, Gauges, Listener, Page, Replaced, Touched, Written},
    error::{Error, Result},
    options::{Form, Options},
    record::{Draft, ExpiryRule, Millis, Record, Seen, Touch},
};

mod address;
mod batch;
mod cluster;
mod command;
mod connect;
mod connection;
mod failure;
mod frames;
mod lane;
mod link;
mod packed;
mod reply;
mod script;
mod servers;
mod tls;
mod topology;
mod transaction;
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
        pace: Arc::default(),
        identity: plan.identity.clone(),
        servers: Servers::open(plan),
    }))
}

struct Redis {
    servers: Arc<Servers>,
    keys: Arc<Keys>,
    pace: Arc<walk::Pace>,
    identity: String,
}

/// An answer that is still under way.
fn later<T>(answer: impl Future<Output = Result<T, Failure>> + Send + 'static) -> Answer<T> {
    Answer::Later(Box::pin(async move { Ok(answer.await?) }))
}

/// The answer to one command, read once it is there. Written by hand, since there is one for each
/// operation: an async block would be larger.
struct Read<A, R> {
    asked: A,
    read: R,
}

impl<T, E, A, R> Future for Read<A, R>
where
    A: Future<Output = Result<Reply, E>> + Unpin,
    Failure: From<E>,
    R: Fn(Reply) -> Result<T, Failure> + Unpin,
{
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let asked = ready!(Pin::new(&mut self.asked).poll(cx));
        Poll::Ready(asked.map_err(Failure::from).and_then(&self.read).map_err(Error::from))
    }
}

fn read<T, E>(
    asked: impl Future<Output = Result<Reply, E>> + Send + Unpin + 'static,
    read: impl Fn(Reply) -> Result<T, Failure> + Send + Unpin + 'static,
) -> Answer<T>
where
    Failure: From<E>,
{
    Answer::Later(Box::pin(Read { asked, read }))
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
        self.servers.flush();
    }

    fn late(&self) {
        self.servers.late();
    }

    fn listen(&self, listener: Listener) {
        self.servers.listen(listener);
    }

    fn close(&self) -> Answer<()> {
        let servers = self.servers.clone();
        later(async move {
            servers.close().await;
            Ok(())
        })
    }

    fn get(&self, sid: &[u8], _now: Millis) -> Answer<Option<Record>> {
        let asked = self.servers.ask(&self.keys.get(sid));
        read(asked, |reply| Ok(reply::text(reply)?.map(reply::untold)))
    }

    fn put(&self, sid: &[u8], draft: Draft<'_>, now: Millis) -> Answer<Written> {
        let asked = self.servers.ask(&self.keys.put(sid, &draft, now));
        read(asked, |_| Ok(Written::default()))
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
        let replaced = self.servers.replace(&script);
        read(replaced, move |reply| reply::replaced(reply, now))
    }

    fn touch(&self, sid: &[u8], touch: Touch, now: Millis) -> Answer<Touched> {
        if touch.rule == ExpiryRule::Keep {
            return Touched::Done.into();
        }
        let is_later = touch.rule == ExpiryRule::Later;
        if touch.slack > 0 || (is_later && self.servers.has_no_gt()) {
            let script = self.keys.touch_by_script(sid, &touch, now);
            return read(self.servers.touch_by_script(&script), |_| Ok(Touched::Done));
        }
        let touch = self.keys.touch(sid, &touch, now);
        match is_later {
            true => read(self.servers.touch_later(&touch), |_| Ok(Touched::Done)),
            false => read(self.servers.ask(&touch), |_| Ok(Touched::Done)),
        }
    }

    fn remove(&self, sid: &[u8]) -> Answer<()> {
        let asked = self.servers.ask(&self.keys.remove(sid));
        read(asked, |_| Ok(()))
    }

    fn page(&self, from: u64, _now: Millis) -> Answer<Page> {
        later(walk::page(self.servers.clone(), self.keys.clone(), self.pace.clone(), from))
    }

    fn count(&self, from: u64, _now: Millis) -> Answer<Count> {
        later(walk::count(self.servers.clone(), self.keys.clone(), from))
    }

    fn clear(&self) -> Answer<()> {
        later(walk::clear(self.servers.clone(), self.keys.clone()))
    }

    fn ping(&self) -> Answer<()> {
        later(walk::ping(self.servers.clone()))
    }

    fn gauges(&self) -> Gauges {
        Gauges::default()
    }
}
