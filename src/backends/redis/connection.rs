//! One connection after the other to a server: made, watched, and replaced when it ends, goes silent or
//! leads to a replica. Knows how things stand with the server; not who asks what of it.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use redis::Value;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    address::{Place, Plan},
    batch::is_from_replica,
    connect::{Connected, Driver, connect},
    failure::Failure,
    lane::Lane,
    packed::Packed,
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
/// How long calls wait for a connection in place of one that was silent. The server is likely to be so
/// still, and what was asked of it has waited for a whole deadline already.
const GRACE: Duration = Duration::from_millis(250);

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

pub enum Connection {
    /// A task of the crate's reads and writes.
    Task(Task),
    /// The caller's event loop does.
    Lane(Arc<Lane>),
}

pub struct Task {
    commands: redis::aio::MultiplexedConnection,
    /// Batches that were answered.
    answered: AtomicU64,
    since: Instant,
    /// Asks for another connection in place of this one.
    replace: Notify,
    was_silent: AtomicBool,
}

/// Ends the connection that it stands for when dropped.
enum End {
    Task(Driver),
    Lane(Arc<Lane>),
}

impl Drop for End {
    fn drop(&mut self) {
        if let End::Lane(lane) = self {
            lane.end();
        }
    }
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
    let mut was_silent = false;
    let down = |is_down: &mut bool, failure: Failure| {
        set(health, Health::Down(failure.clone()));
        if !std::mem::replace(is_down, true) {
            listener(Event::Down(Error::from(failure)));
        }
    };
    loop {
        let mut attempt = pin!(timeout(plan.connect_timeout, connect(plan, place)));
        let attempted = match was_silent {
            true => match timeout(GRACE, attempt.as_mut()).await {
                Ok(attempted) => attempted,
                Err(_) => {
                    down(&mut is_down, no_answer());
                    attempt.await
                }
            },
            false => attempt.await,
        };
        was_silent = false;
        match attempted.unwrap_or_else(|_| Err(no_answer_in_time(plan.tls.is_some()))) {
            Ok(connected) => {
                let since = Instant::now();
                let (connection, mut end) = open(plan, connected).await;
                let connection = Arc::new(connection);
                set(health, Health::Up(connection.clone()));
                if std::mem::take(&mut is_down) {
                    listener(Event::Up);
                }
                was_silent = connection.over(&mut end).await;
                drop(end);
                set(health, Health::Connecting);
                if is_steady(since) {
                    delay = delays.build();
                    continue;
                }
            }
            Err(failure) => down(&mut is_down, failure),
        }
        sleep(delay.next().unwrap_or(LONGEST_DELAY)).await;
    }
}

/// Has the event loop carry a connection, where it can.
#[cfg_attr(not(unix), allow(unused_mut, unused_variables))]
async fn open(plan: &Plan, connected: Connected) -> (Connection, End) {
    let Connected { commands, mut driver, socket } = connected;
    #[cfg(unix)]
    if let (Some(transport), Some(Ok(socket))) = (&plan.transport, socket)
        && let Ok(carried) = socket.try_clone()
    {
        // The task first: without its connection it would shut the socket down.
        driver.0.abort();
        let _ = (&mut driver.0).await;
        drop(commands);
        let lane = Arc::new(Lane::new(socket, transport.clone()));
        transport.carry(carried.into(), lane.clone());
        return (Connection::Lane(lane.clone()), End::Lane(lane));
    }
    let task = Task {
        commands,
        answered: AtomicU64::new(0),
        since: Instant::now(),
        replace: Notify::new(),
        was_silent: AtomicBool::new(false),
    };
    (Connection::Task(task), End::Task(driver))
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
    /// Resolves when it has ended, or is to be replaced, to whether the server was silent.
    async fn over(&self, end: &mut End) -> bool {
        match (self, end) {
            (Connection::Task(task), End::Task(driver)) => {
                tokio::select! {
                    _ = &mut driver.0 => {}
                    () = task.replace.notified() => {}
                }
                task.was_silent.load(Relaxed)
            }
            (_, End::Lane(lane)) => lane.ended().await,
            (Connection::Lane(lane), _) => lane.ended().await,
        }
    }
}

impl Task {
    /// Sends commands and waits for their answers; one of them is as good as the other at this level.
    pub async fn exchange(&self, commands: &Packed, until: Instant) -> Result<Vec<Value>, Failure> {
        let answered = self.answered.load(Relaxed);
        let mut connection = self.commands.clone();
        let pipeline = commands.pipeline();
        let sent = pin!(connection.send_packed_commands(&pipeline, 0, commands.len()));
        match timeout_at(until, sent).await {
            Ok(Ok(replies)) => {
                self.answered.fetch_add(1, Relaxed);
                let says_so = |reply: &Value| matches!(reply, Value::ServerError(error) if is_from_replica(error));
                if replies.iter().any(says_so) && is_steady(self.since) {
                    self.replace.notify_one();
                }
                Ok(replies)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                // Nothing at all came: silent, not slow.
                if self.answered.load(Relaxed) == answered {
                    self.was_silent.store(true, Relaxed);
                    self.replace.notify_one();
                }
                Err(silent())
            }
        }
    }
}

/// Whether a connection has lasted long enough to expect the same of the next.
pub fn is_steady(since: Instant) -> bool {
    since.elapsed() >= STEADY
}

fn no_answer() -> Failure {
    Failure::new(Kind::Unavailable, "the server does not answer any more; it is tried again")
}

fn no_answer_in_time(tls: bool) -> Failure {
    Failure::new(
        Kind::Unavailable,
        match tls {
            true => {
                "the server did not answer within \"connectTimeout\"; does it speak TLS on this port?"
            }
            false => "the server did not answer within \"connectTimeout\"; it is tried again",
        },
    )
}

pub fn silent() -> Failure {
    Failure::new(
        Kind::Timeout,
        "the server did not answer in time; whether it did what was asked is not known",
    )
}
