//! The link to a server: gathers commands and sends them, on whatever connection there is. Knows how long
//! a command may take; nothing of what they mean.
//!
//! Two tasks help. One keeps a connection, and says in [`Health`] how things stand. The other takes the
//! batches that have to wait for a connection, or that another task writes, and hands over one after the
//! other, so that commands arrive in the order they were asked for. While the server is down, calls fail at once.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{AcqRel, Acquire},
        },
    },
    task::Poll,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    task::unconstrained,
    time::{Instant, timeout_at},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

mod spare;

use super::{
    address::{Place, Plan},
    batch::{Batch, Call},
    command::Command,
    connect::Connected,
    connection::{Connection, Health, keep_connected},
    failure::Failure,
};
use crate::{backend::Listener, error::Kind, runtime};

/// A batch is sent at this length without waiting for the end of the turn.
const LONGEST_BATCH: usize = 512;
/// Bytes of room that a batch begins with at most.
const MOST_ROOM: usize = 64 << 10;
/// What was asked for since the last flush.
#[derive(Default)]
struct Gathered {
    batch: Option<Batch>,
    /// How many commands and bytes the last one had: the next is likely to have as many.
    usual: (usize, usize),
}

/// A batch, and the mark that it is under way.
type Sent = (Batch, TaskTrackerToken);

/// The link to one server, or to whichever is the master.
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    plan: Arc<Plan>,
    place: Place,
    health: watch::Sender<Health>,
    gathered: Mutex<Gathered>,
    sender: mpsc::UnboundedSender<Sent>,
    /// How many batches [`send_all`] has not sent yet.
    handed_over: AtomicUsize,
    under_way: TaskTracker,
    listener: Listener,
    /// For what needs a connection of its own.
    spare: tokio::sync::Mutex<Option<Connected>>,
}

impl Link {
    /// Begins to connect, and does not wait for it. The listener hears of the server going down and
    /// coming back.
    pub fn open(plan: Arc<Plan>, place: Place, listener: Listener) -> Link {
        let (sender, batches) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            plan,
            place,
            health: watch::Sender::new(Health::Connecting),
            gathered: Mutex::default(),
            sender,
            handed_over: AtomicUsize::new(0),
            under_way: TaskTracker::new(),
            listener,
            spare: Default::default(),
        });
        runtime::handle().spawn(supervise(shared.clone()));
        runtime::handle().spawn(send_all(shared.clone(), batches));
        Link { shared }
    }

    /// Ends when everything that is under way has ended, and the connection with it.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.flush();
        self.shared.under_way.close();
        let shared = self.shared.clone();
        async move {
            shared.under_way.wait().await;
            shared.health.send_replace(Health::Closed);
        }
    }

    /// Asks for a command to be sent with the others of this turn, at the next flush.
    pub fn call(&self, command: &Command<'_>) -> Call {
        self.shared.gather(|batch| batch.add(command))
    }

    /// A command for a node that is about to get its slot: the permission goes right before it.
    pub fn call_asking(&self, command: &Command<'_>) -> Call {
        self.shared.gather(|batch| {
            batch.add(&Command::new("ASKING"));
            batch.add(command)
        })
    }

    /// Sends what was gathered.
    pub fn flush(&self) {
        self.shared.flush();
    }

    /// See [`crate::backend::Backend::late`].
    pub fn late(&self) {
        if let Health::Up(connection) = &*self.shared.health.borrow()
            && let Connection::Lane(lane) = &**connection
        {
            lane.late(self.shared.plan.patience());
        }
    }

    /// While it is held, the link is not closed.
    pub fn token(&self) -> TaskTrackerToken {
        self.shared.under_way.token()
    }

    /// Why a command would fail at once, if it would.
    pub fn obstacle(&self) -> Option<Failure> {
        self.shared.obstacle()
    }

    /// Whether a command would be sent at once.
    pub fn is_up(&self) -> bool {
        matches!(&*self.shared.health.borrow(), Health::Up(_))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.health.send_replace(Health::Closed);
    }
}

impl Shared {
    fn gather(&self, add: impl FnOnce(&mut Batch) -> Call) -> Call {
        let mut gathered = self.gathered.lock();
        let Gathered { batch, usual } = &mut *gathered;
        // What has been gathered already would not be let through either.
        if batch.is_none()
            && let Some(failure) = self.obstacle()
        {
            return failure.into();
        }
        let batch = batch.get_or_insert_with(|| Batch::new(*usual));
        let call = add(batch);
        if batch.commands.len() >= LONGEST_BATCH {
            self.send(&mut gathered);
        }
        call
    }

    /// Sends what was gathered.
    fn flush(&self) {
        let mut gathered = self.gathered.lock();
        // Under the lock, so that batches are handed over in their order.
        self.send(&mut gathered);
    }

    fn send(&self, gathered: &mut Gathered) {
        let Some(batch) = gathered.batch.take() else { return };
        gathered.usual = (batch.commands.len(), batch.commands.bytes().len().min(MOST_ROOM));
        let token = self.under_way.token();
        // Unless others wait for a connection, which come first.
        if self.handed_over.load(Acquire) == 0
            && let Health::Up(connection) = &*self.health.borrow()
            && let Connection::Lane(lane) = &**connection
        {
            lane.send(batch, token);
            return;
        }
        self.handed_over.fetch_add(1, AcqRel);
        if let Err(refused) = self.sender.send((batch, token)) {
            refused.0.0.answers.fail(closed());
        }
    }

    fn obstacle(&self) -> Option<Failure> {
        match &*self.health.borrow() {
            Health::Down(failure) => Some(failure.clone()),
            Health::Closed => Some(closed()),
            Health::Connecting | Health::Up(_) => None,
        }
    }

    /// The connection, waited for while it is being made.
    async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        if let Health::Up(connection) = &*self.health.borrow() {
            return Ok(connection.clone());
        }
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
}

fn closed() -> Failure {
    Failure::new(Kind::Closed, "the store was closed")
}

/// Connects for as long as the store is open.
async fn supervise(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.is_closed() => {}
        () = keep_connected(&shared.plan, &shared.place, &shared.health, &shared.listener) => {}
    }
}

/// Sends the batches that had to wait for a connection, or that a task writes, in their order.
async fn send_all(shared: Arc<Shared>, mut batches: mpsc::UnboundedReceiver<Sent>) {
    let mut is_closed = pin!(shared.is_closed());
    loop {
        let (batch, token) = tokio::select! {
            biased;
            Some(sent) = batches.recv() => sent,
            () = &mut is_closed => return,
        };
        let until = batch.since + shared.plan.patience();
        let latest = until.min(batch.since + shared.plan.connect_timeout);
        match timeout_at(latest, shared.connection()).await {
            Ok(Ok(connection)) => match &*connection {
                Connection::Lane(lane) => lane.send(batch, token),
                Connection::Task(_) => exchange(connection, batch, until, token).await,
            },
            Ok(Err(failure)) => batch.answers.fail(failure),
            Err(_) => batch
                .answers
                .fail(Failure::new(Kind::Unavailable, "there is no connection to the server yet")),
        }
        shared.handed_over.fetch_sub(1, AcqRel);
    }
}

/// Hands a batch to the connection's task, and leaves it to another to wait for the answers.
async fn exchange(
    connection: Arc<Connection>,
    batch: Batch,
    until: Instant,
    token: TaskTrackerToken,
) {
    let Batch { commands, answers, .. } = batch;
    let exchange = async move {
        let Connection::Task(task) = &*connection else { return };
        match task.exchange(&commands, until).await {
            Ok(replies) => answers.deliver(replies, commands),
            Err(failure) => answers.fail(failure),
        }
        drop(token);
    };
    // The first poll hands the batch to the connection: here, for the order, and without the budget
    // by which tokio would have a busy task take a break before that.
    let mut exchange = Box::pin(exchange);
    let mut first = pin!(unconstrained(exchange.as_mut()));
    let is_done = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_ready())).await;
    if !is_done {
        tokio::spawn(exchange);
    }
}
