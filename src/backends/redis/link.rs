//! The link to the servers: gathers commands, sends them, and keeps a connection to send them on. Knows
//! whether the place can be reached, and how long a command may take; nothing of what they mean.
//!
//! Two tasks do it. One connects, again and again until it works, and says in [`Health`] how things
//! stand. The other takes one batch after the other and hands it to the connection, so that commands
//! arrive in the order they were asked for. While the place is down, calls fail at once.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use parking_lot::Mutex;
use redis::{Cmd, Pipeline, Value};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{
    address::Plan,
    batch::{Batch, Call},
    connect::{Connected, connect},
    failure::Failure,
};
use crate::{
    backend::{Event, Listener},
    error::{Error, Kind},
    runtime,
};

/// A batch is sent at this length without waiting for the end of the turn.
const LONGEST_BATCH: usize = 512;
/// The part of a deadline after which the server counts as silent: less than all of it, so that the
/// caller is told why.
const PATIENCE: f64 = 0.9;
/// A connection that was lost sooner than this is no sign that the next will last.
const STEADY: Duration = Duration::from_secs(1);
/// Jitter doubles a delay at most, so that a server that is back is found within 2 s.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_millis(700);

/// How things stand with the place.
#[derive(Clone)]
enum Health {
    /// It is being connected to; commands wait.
    Connecting,
    Up(Arc<Connection>),
    /// It cannot be reached; commands fail at once.
    Down(Failure),
    Closed,
}

struct Connection {
    commands: redis::aio::MultiplexedConnection,
    /// Batches that were answered.
    answered: AtomicU64,
    since: Instant,
    /// Asks for another connection in place of this one.
    replace: Notify,
}

/// A batch, and the mark that it is under way.
type Sent = (Batch, TaskTrackerToken);

/// The link of one store.
pub struct Link {
    shared: Arc<Shared>,
}

pub struct Shared {
    pub plan: Plan,
    health: watch::Sender<Health>,
    gathered: Mutex<Option<Batch>>,
    sender: mpsc::UnboundedSender<Sent>,
    under_way: TaskTracker,
    announcer: Mutex<Announcer>,
}

#[derive(Default)]
struct Announcer {
    listener: Option<Listener>,
    unheard: Vec<Event>,
}

impl Link {
    /// Begins to connect, and does not wait for it.
    pub fn open(plan: Plan) -> Link {
        let (sender, batches) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            plan,
            health: watch::Sender::new(Health::Connecting),
            gathered: Mutex::default(),
            sender,
            under_way: TaskTracker::new(),
            announcer: Mutex::default(),
        });
        runtime::handle().spawn(supervise(shared.clone()));
        runtime::handle().spawn(send_all(shared.clone(), batches));
        Link { shared }
    }

    /// What calls that take several steps hold on to.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub fn listen(&self, listener: Listener) {
        let mut announcer = self.shared.announcer.lock();
        announcer.unheard.drain(..).for_each(|event| listener(event));
        announcer.listener = Some(listener);
    }

    /// Ends when everything that is under way has ended, and the connection with it.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.flush();
        self.shared.under_way.close();
        let shared = self.shared.clone();
        async move {
            shared.under_way.wait().await;
            shared.health.send_replace(Health::Closed);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.health.send_replace(Health::Closed);
    }
}

impl Shared {
    /// Asks for a command to be sent with the others of this turn. A call is sent at the next flush.
    pub fn call(&self, command: Cmd) -> Call {
        if let Some(failure) = self.obstacle() {
            return Call::Failed(failure);
        }
        let mut gathered = self.gathered.lock();
        let batch = gathered.get_or_insert_with(|| Batch::new(16));
        let call = batch.add(command);
        if batch.commands.len() >= LONGEST_BATCH {
            self.send(gathered.take());
        }
        call
    }

    /// Sends what was gathered.
    pub fn flush(&self) {
        let mut gathered = self.gathered.lock();
        // Under the lock, so that batches are handed over in their order.
        self.send(gathered.take());
    }

    fn send(&self, batch: Option<Batch>) {
        let Some(batch) = batch else { return };
        if let Err(refused) = self.sender.send((batch, self.token())) {
            refused.0.0.answers.fail(closed());
        }
    }

    /// While it is held, the store is not closed.
    pub fn token(&self) -> TaskTrackerToken {
        self.under_way.token()
    }

    /// Why a command would fail at once, if it would.
    pub fn obstacle(&self) -> Option<Failure> {
        match &*self.health.borrow() {
            Health::Down(failure) => Some(failure.clone()),
            Health::Closed => Some(closed()),
            Health::Connecting | Health::Up(_) => None,
        }
    }

    /// When a call that begins now has to have an answer.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.plan.command_timeout.mul_f64(PATIENCE)
    }

    pub fn announce(&self, event: Event) {
        let mut announcer = self.announcer.lock();
        match &announcer.listener {
            Some(listener) => listener(event),
            None => announcer.unheard.push(event),
        }
    }

    /// The connection, waited for while it is being made.
    async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        let mut health = self.health.subscribe();
        let settled = health.wait_for(|health| !matches!(health, Health::Connecting)).await;
        match settled.as_deref() {
            Ok(Health::Up(connection)) => Ok(connection.clone()),
            Ok(Health::Down(failure)) => Err(failure.clone()),
            Ok(Health::Connecting | Health::Closed) | Err(_) => Err(closed()),
        }
    }

    async fn is_closed(&self) {
        let mut health = self.health.subscribe();
        let _ = health.wait_for(|health| matches!(health, Health::Closed)).await;
    }

    /// Changes how things stand, unless the store was closed meanwhile.
    fn set(&self, to: Health) {
        self.health.send_if_modified(|health| {
            let is_open = !matches!(health, Health::Closed);
            if is_open {
                *health = to;
            }
            is_open
        });
    }
}

fn closed() -> Failure {
    Failure::new(Kind::Closed, "the store was closed")
}

/// Connects for as long as the store is open.
async fn supervise(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.is_closed() => {}
        () = keep_connected(&shared) => {}
    }
}

async fn keep_connected(shared: &Shared) {
    let delays = ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .without_max_times()
        .with_jitter();
    let mut delay = delays.build();
    let mut is_down = false;
    loop {
        let connected = match timeout(shared.plan.connect_timeout, connect(&shared.plan)).await {
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
                shared.set(Health::Up(connection.clone()));
                if std::mem::take(&mut is_down) {
                    shared.announce(Event::Up);
                }
                tokio::select! {
                    _ = &mut driver.0 => {}
                    () = connection.replace.notified() => {}
                }
                drop(driver);
                shared.set(Health::Connecting);
                if since.elapsed() >= STEADY {
                    delay = delays.build();
                    continue;
                }
            }
            Err(failure) => {
                shared.set(Health::Down(failure.clone()));
                if !std::mem::replace(&mut is_down, true) {
                    shared.announce(Event::Down(Error::from(failure)));
                }
            }
        }
        sleep(delay.next().unwrap_or(LONGEST_DELAY)).await;
    }
}

/// Hands over the batches of a store, in their order.
async fn send_all(shared: Arc<Shared>, mut batches: mpsc::UnboundedReceiver<Sent>) {
    let mut is_closed = pin!(shared.is_closed());
    loop {
        let (Batch { commands, answers, since }, token) = tokio::select! {
            biased;
            Some(sent) = batches.recv() => sent,
            () = &mut is_closed => return,
        };
        let until = since + shared.plan.command_timeout.mul_f64(PATIENCE);
        let latest = until.min(since + shared.plan.connect_timeout);
        let connection = match timeout_at(latest, shared.connection()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(failure)) => {
                answers.fail(failure);
                continue;
            }
            Err(_) => {
                answers.fail(Failure::new(
                    Kind::Unavailable,
                    "there is no connection to the server yet",
                ));
                continue;
            }
        };
        let exchange = async move {
            match connection.exchange(&commands, until).await {
                Ok(replies) => answers.deliver(replies, commands),
                Err(failure) => answers.fail(failure),
            }
            drop(token);
        };
        // The first poll hands the batch to the connection: here, for the order.
        let mut exchange = Box::pin(exchange);
        let is_done = poll_fn(|cx| Poll::Ready(exchange.as_mut().poll(cx).is_ready())).await;
        if !is_done {
            tokio::spawn(exchange);
        }
    }
}

impl Connection {
    /// Sends commands and waits for their answers; one of them is as good as the other at this level.
    async fn exchange(&self, commands: &Pipeline, until: Instant) -> Result<Vec<Value>, Failure> {
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
                Err(Failure::new(
                    Kind::Timeout,
                    "the server did not answer in time; whether it did what was asked is not known",
                ))
            }
        }
    }
}

/// A master that became a replica has to be left.
fn is_from_replica(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "READONLY")
}
