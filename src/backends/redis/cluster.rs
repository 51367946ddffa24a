//! A cluster: one link for each master, and the table that says which of them has a key. Knows how
//! redirections are followed; not what a command means, or how the table is kept up to date.
//!
//! Not the crate's own cluster client: it has a task of its own for each command where a link shares one
//! write among many, sends writes again by itself, and holds all nodes up while it connects to a dead one.

mod table;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::RwLock;
use redis::Value;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::table::Reading;
use super::{
    address::{Node, Place, Plan},
    batch::Call,
    command::Command,
    failure::Failure,
    link::Link,
    topology::{self, Topology},
    transaction::Change,
};
use crate::{
    backend::{Event, Listener},
    error::Kind,
    runtime,
};

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
        runtime::handle()
            .spawn(table::keep_current(Arc::downgrade(&cluster), cluster.closed.clone()));
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
            let Some(node) = node else { break };
            let elsewhere = change.clone().elsewhere(failure.code() == "ASK");
            made = self.with_link(&node, |link| link.change(elsewhere));
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
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.closed.cancel();
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

fn unreachable() -> Failure {
    Failure::new(Kind::Unavailable, "no node of the cluster can be reached; it is tried again")
}
