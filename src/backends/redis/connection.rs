//! One connection after the other to a server: made, watched, and replaced when it ends, goes silent or
//! leads to a replica. Knows how things stand with the server; not who asks what of it.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use redis::{Pipeline, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    address::{Place, Plan},
    connect::{Connected, connect},
    failure::Failure,
};
use crate::{
    backend::{Event, Listener},
    error::{Error, Kind},
};

/// A connection that was lost sooner than this is no sign that the next will last.
const STEADY: Duration = Duration::from_secs(1);
/// Jitter doubles a delay at most, so that a server that is back is found within a second.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_millis(500);

/// How things stand with the place.
#[derive(Clone)]
pub enum Health {
    /// It is being connected to; commands wait.
    Connecting,
    Up(Arc<Connection>),
    /// It cannot be reached; commands fail at once.
    Down(Failure),
    Closed,
}

pub struct Connection {
    commands: redis::aio::MultiplexedConnection,
    /// Batches that were answered.
    answered: AtomicU64,
    since: Instant,
    /// Asks for another connection in place of this one.
    replace: Notify,
}

/// Connects, again and again, for as long as it is polled.
pub async fn keep_connected(
    plan: &Plan,
    place: &Place,
    health: &watch::Sender<Health>,
    listener: &Listener,
) {
    let delays = ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .without_max_times()
        .with_jitter();
    let mut delay = delays.build();
    let mut is_down = false;
    loop {
        let attempt = connect(plan, place);
        let connected = match timeout(plan.connect_timeout, attempt).await {
            Ok(connected) => connected,
            Err(_) => Err(Failure::new(
                Kind::Unavailable,
                "the server did not answer within \"connectTimeout\"; it is tried again",
            )),
        };
        match connected {
            Ok(Connected { commands, mut driver }) => {
                let since = Instant::now();
                let connection = Arc::new(Connection {
                    commands,
                    answered: AtomicU64::new(0),
                    since,
                    replace: Notify::new(),
                });
                set(health, Health::Up(connection.clone()));
                if std::mem::take(&mut is_down) {
                    listener(Event::Up);
                }
                tokio::select! {
                    _ = &mut driver.0 => {}
                    () = connection.replace.notified() => {}
                }
                drop(driver);
                set(health, Health::Connecting);
                if since.elapsed() >= STEADY {
                    delay = delays.build();
                    continue;
                }
            }
            Err(failure) => {
                set(health, Health::Down(failure.clone()));
                if !std::mem::replace(&mut is_down, true) {
                    listener(Event::Down(Error::from(failure)));
                }
            }
        }
        sleep(delay.next().unwrap_or(LONGEST_DELAY)).await;
    }
}

/// Changes how things stand, unless the store was closed meanwhile.
fn set(health: &watch::Sender<Health>, to: Health) {
    health.send_if_modified(|health| {
        let is_open = !matches!(health, Health::Closed);
        if is_open {
            *health = to;
        }
        is_open
    });
}

impl Connection {
    /// Sends commands and waits for their answers; one of them is as good as the other at this level.
    pub async fn exchange(
        &self,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let answered = self.answered.load(Relaxed);
        let mut connection = self.commands.clone();
        let sent = pin!(connection.send_packed_commands(commands, 0, commands.len()));
        match timeout_at(until, sent).await {
            Ok(Ok(replies)) => {
                self.answered.fetch_add(1, Relaxed);
                if replies.iter().any(is_from_replica) && self.since.elapsed() >= STEADY {
                    self.replace.notify_one();
                }
                Ok(replies)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                // Nothing at all came: silent, not slow.
                if self.answered.load(Relaxed) == answered {
                    self.replace.notify_one();
                }
                Err(silent())
            }
        }
    }
}

/// A master that became a replica has to be left.
fn is_from_replica(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "READONLY")
}

pub fn silent() -> Failure {
    Failure::new(
        Kind::Timeout,
        "the server did not answer in time; whether it did what was asked is not known",
    )
}
