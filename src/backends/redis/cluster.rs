//! A cluster: one link for each master, and the table that says which of them has a key. Knows how the
//! table is kept up to date and how redirections are followed; not what a command means.
//!
//! Not the crate's own cluster client: it has a task of its own for each command where a link shares one
//! write among many, sends writes again by itself, and holds all nodes up while it connects to a dead one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::RwLock;
use redis::Value;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    address::{Node, Place, Plan},
    batch::Call,
    command::Command,
    connect::{ask_one, connect},
    connection::silent,
    failure::Failure,
    link::Link,
    reply::{Reply, misunderstood},
    topology::{self, Topology},
    transaction::Change,
};
use crate::{
    backend::{Event, Listener},
    error::Kind,
    runtime,
};

/// The table is read again at most this often.
const PAUSE: Duration = Duration::from_millis(100);
/// And this often, unasked, while a master cannot be reached: a replica may have taken its place.
const WATCH: Duration = Duration::from_millis(300);

/// More would be a cluster that does not know itself.
pub const MOST_REDIRECTIONS: u32 = 5;

pub struct Cluster {
    plan: Arc<Plan>,
    seeds: Vec<Node>,
    nodes: RwLock<Nodes>,
    reading: watch::Sender<Reading>,
    outdated: Arc<Notify>,
    is_down: AtomicBool,
    listener: Listener,
    closed: CancellationToken,
}

/// How reading the table has gone.
enum Reading {
    /// It was not read yet.
    Begun,
    Failed(Failure),
    /// It was read once: what is known may be used also while reading it again fails.
    Done,
}

/// The table, and the links it is used with: before the first reading, those to the seeds.
#[derive(Default)]
struct Nodes {
    topology: Topology,
    masters: Vec<Arc<Link>>,
    links: HashMap<Node, Arc<Link>>,
}

impl Nodes {
    /// The link to the node that has a key. Before the table is known any node will do: it says where
    /// the key is.
    fn owner(&self, key: &[u8]) -> Option<&Arc<Link>> {
        if self.masters.is_empty() {
            return self
                .links
                .values()
                .min_by_key(|link| (link.obstacle().is_some(), !link.is_up()));
        }
        self.masters.get(self.topology.owner(topology::slot(key))?)
    }
}

impl Cluster {
    /// Begins to connect, and does not wait for it.
    pub fn open(plan: Arc<Plan>, seeds: Vec<Node>, listener: Listener) -> Arc<Cluster> {
        let cluster = Arc::new(Cluster {
            plan,
            nodes: RwLock::default(),
            reading: watch::Sender::new(Reading::Begun),
            outdated: Arc::default(),
            is_down: AtomicBool::new(false),
            listener,
            closed: CancellationToken::new(),
            seeds: seeds.clone(),
        });
        for seed in seeds {
            cluster.with_link(&seed, |_| ());
        }
        runtime::handle().spawn(keep_current(Arc::downgrade(&cluster), cluster.closed.clone()));
        cluster
    }

    /// Asks for a command to be sent to the node that has its key.
    pub fn call(&self, command: &Command<'_>) -> Call {
        // Under the lock, so that no link is given up while a command is added to it.
        let nodes = self.nodes.read();
        match nodes.owner(&command.key()) {
            Some(link) => link.call(command),
            None => self.nobody().into(),
        }
    }

    /// Makes a change on the node that has its key.
    pub async fn change(self: &Arc<Self>, change: Change) -> Result<Value, Failure> {
        let owner = self.nodes.read().owner(change.key()).map(|link| link.change(change.clone()));
        let Some(mut made) = owner else { return Err(self.nobody()) };
        for _ in 0..MOST_REDIRECTIONS {
            let made_of_it = made.await;
            if made_of_it.as_ref().is_err_and(tells_of_the_node) {
                self.outdated.notify_one();
            }
            let failure = match made_of_it {
                Err(failure) if matches!(failure.code(), "MOVED" | "ASK") => failure,
                answer => return answer,
            };
            let asked = self.asked(change.key());
            let node = asked.and_then(|asked| topology::redirection(failure.detail(), &asked));
            // Half of a transaction cannot be asked for.
            let Some(node) = node.filter(|_| failure.code() == "MOVED") else { break };
            made = self.with_link(&node, |link| link.change(change.clone()));
        }
        Err(moving())
    }

    fn nobody(&self) -> Failure {
        self.outdated.notify_one();
        Failure::new(
            Kind::Unavailable,
            "no node of the cluster has this session's slot at the moment; try again",
        )
    }

    /// Asks for a command to be sent to a master, by its place among them.
    pub fn call_master(&self, master: usize, command: &Command<'_>) -> Call {
        match self.nodes.read().masters.get(master) {
            Some(link) => link.call(command),
            None => Failure::new(
                Kind::Unavailable,
                "the cluster has fewer masters than when this walk began; begin it again",
            )
            .into(),
        }
    }

    /// How many masters there are, once that is known.
    pub async fn masters(&self) -> Result<usize, Failure> {
        let mut reading = self.reading.subscribe();
        let begun = reading.wait_for(|reading| !matches!(reading, Reading::Begun));
        // Whoever waits may be no thread of the runtime's.
        let begun = {
            let _runtime = runtime::handle().enter();
            timeout(self.plan.patience(), begun)
        };
        let Ok(read) = begun.await else {
            return Err(self.obstacle().unwrap_or_else(silent));
        };
        match read.as_deref() {
            Ok(Reading::Failed(failure)) => Err(self.obstacle().unwrap_or_else(|| failure.clone())),
            Ok(Reading::Begun) | Err(_) => Err(unreachable()),
            Ok(Reading::Done) => Ok(self.nodes.read().masters.len()),
        }
    }

    /// The call again, where it is to be made instead, after it has failed.
    pub fn redirected(self: &Arc<Self>, call: &Call, failure: &Failure) -> Option<Call> {
        if tells_of_the_node(failure) {
            self.outdated.notify_one();
        }
        let code = failure.code();
        if !matches!(code, "MOVED" | "ASK") {
            return None;
        }
        let command = call.command()?;
        let command = command.command();
        let node = topology::redirection(failure.detail(), &self.asked(&command.key())?)?;
        Some(self.with_link(&node, |link| match code {
            "ASK" => link.call_asking(&command),
            _ => link.call(&command),
        }))
    }

    /// Whom a command was sent to that had this key.
    fn asked(&self, key: &[u8]) -> Option<Node> {
        let topology = &self.nodes.read().topology;
        let owner = topology.owner(topology::slot(key));
        owner.and_then(|index| topology.masters.get(index)).or(self.seeds.first()).cloned()
    }

    /// Uses the link to a node, which is made where there is none.
    fn with_link<T>(self: &Arc<Self>, node: &Node, with: impl FnOnce(&Link) -> T) -> T {
        if let Some(link) = self.nodes.read().links.get(node) {
            return with(link);
        }
        let mut nodes = self.nodes.write();
        with(nodes.links.entry(node.clone()).or_insert_with(|| self.connect(node)))
    }

    fn connect(self: &Arc<Self>, node: &Node) -> Arc<Link> {
        let cluster = Arc::downgrade(self);
        let listener = move |event| {
            if let Some(cluster) = cluster.upgrade() {
                cluster.outdated.notify_one();
                cluster.review(event);
            }
        };
        let place = Place::Single(node.clone());
        Arc::new(Link::open(self.plan.clone(), place, Arc::new(listener)))
    }

    /// The cluster is down when no node of it can be reached.
    fn review(&self, event: Event) {
        match event {
            Event::Down(error) => {
                if self.obstacle().is_some() && !self.is_down.swap(true, Relaxed) {
                    (self.listener)(Event::Down(error));
                }
            }
            Event::Up => {
                if self.is_down.swap(false, Relaxed) {
                    (self.listener)(Event::Up);
                }
            }
            Event::Warning(_) | Event::Late => (self.listener)(event),
        }
    }

    /// Why every command would fail at once, if it would.
    pub fn obstacle(&self) -> Option<Failure> {
        let nodes = self.nodes.read();
        let mut obstacle = Some(unreachable());
        for link in nodes.links.values() {
            obstacle = Some(link.obstacle()?);
        }
        obstacle
    }

    pub fn flush(&self) {
        self.nodes.read().links.values().for_each(|link| link.flush());
    }

    pub fn late(&self) {
        self.nodes.read().links.values().for_each(|link| link.late());
    }

    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.closed.cancel();
        let links: Vec<_> = self.nodes.read().links.values().map(|link| link.close()).collect();
        async move {
            for link in links {
                link.await;
            }
        }
    }

    /// Reads the table from the first node that gives one; else tells why the last that answered gave none.
    async fn read(&self) -> Result<Topology, Failure> {
        let mut why = unreachable();
        let up: Vec<(Node, Arc<Link>)> = {
            let nodes = self.nodes.read();
            let up = nodes.links.iter().filter(|(_, link)| link.is_up());
            up.map(|(node, link)| (node.clone(), link.clone())).collect()
        };
        for (node, link) in up {
            let call = link.call(&Command::on_key("CLUSTER", b"SLOTS"));
            link.flush();
            match timeout(self.plan.connect_timeout / 2, call).await {
                Ok(Ok(Reply::Other(answer))) => match Topology::read(&answer, &node) {
                    Some(topology) => return Ok(topology),
                    None => why = slotless(),
                },
                Ok(Ok(_)) => why = misunderstood(),
                Ok(Err(refused)) => why = refused,
                Err(_) => {}
            }
        }
        for seed in &self.seeds {
            let place = Place::Single(seed.clone());
            let answer = timeout(self.plan.connect_timeout / 2, async {
                let mut connected = connect(&self.plan, &place).await?;
                ask_one(&mut connected, redis::cmd("CLUSTER").arg("SLOTS")).await
            });
            match answer.await {
                Ok(Ok(answer)) => match Topology::read(&answer, seed) {
                    Some(topology) => return Ok(topology),
                    None => why = slotless(),
                },
                Ok(Err(failure)) => why = failure,
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// Takes a table: links to masters that are new, and gives up links to others.
    fn adopt(self: &Arc<Self>, topology: Topology) {
        let mut nodes = self.nodes.write();
        let mut former = std::mem::take(&mut nodes.links);
        for master in &topology.masters {
            let link = former.remove(master).unwrap_or_else(|| self.connect(master));
            nodes.links.insert(master.clone(), link);
        }
        nodes.masters = topology.masters.iter().map(|master| nodes.links[master].clone()).collect();
        nodes.topology = topology;
        drop(nodes);
        for (_, link) in former {
            // What is under way on it ends first.
            let (closed, longest) = (link.close(), self.plan.command_timeout);
            tokio::spawn(async move {
                // Nobody waits any longer; a node that is silent would never end it.
                let _ = timeout(longest, closed).await;
                drop(link);
            });
        }
        self.reading.send_replace(Reading::Done);
    }

    fn failed(&self, failure: Failure) {
        self.reading.send_if_modified(|reading| {
            let is_unknown = !matches!(reading, Reading::Done);
            if is_unknown {
                *reading = Reading::Failed(failure);
            }
            is_unknown
        });
    }

    fn is_whole(&self) -> bool {
        self.nodes.read().masters.iter().all(|link| link.is_up())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// Reads the table at first, whenever it turned out to be outdated, and while a master is missing.
async fn keep_current(cluster: Weak<Cluster>, closed: CancellationToken) {
    let work = async {
        loop {
            let Some(open) = cluster.upgrade() else { return };
            let outdated = open.outdated.clone();
            let read = open.read().await;
            let is_known = read.is_ok();
            match read {
                Ok(topology) => open.adopt(topology),
                Err(failure) => open.failed(failure),
            }
            let is_whole = is_known && open.is_whole();
            drop(open);
            sleep(PAUSE).await;
            match is_whole {
                true => outdated.notified().await,
                false => _ = timeout(WATCH, outdated.notified()).await,
            }
        }
    };
    tokio::select! {
        () = closed.cancelled() => {}
        () = work => {}
    }
}

/// Whether it may be that another node has the slot by now.
fn tells_of_the_node(failure: &Failure) -> bool {
    matches!(failure.kind(), Kind::Unavailable | Kind::Timeout) || failure.code() == "MOVED"
}

/// What is said after too many redirections.
pub fn moving() -> Failure {
    Failure::new(Kind::Unavailable, "the cluster is moving this session between nodes; try again")
}

fn slotless() -> Failure {
    Failure::new(
        Kind::Unavailable,
        "the cluster says of no node which slots it has; see CLUSTER SLOTS there",
    )
}

fn unreachable() -> Failure {
    Failure::new(Kind::Unavailable, "no node of the cluster can be reached; it is tried again")
}
