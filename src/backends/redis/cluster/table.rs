//! The table of a cluster, kept up to date: where it is read, when it is read again, and what becomes of the
//! links to nodes that are masters no longer. Knows nothing of what is asked of them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        address::{Node, Place},
        command::Command,
        connect::{ask_one, connect},
        connection::silent,
        failure::Failure,
        link::Link,
        reply::{Reply, misunderstood},
        topology::Topology,
    },
    Cluster, unreachable,
};
use crate::{error::Kind, runtime};

/// The table is read again at most this often.
const PAUSE: Duration = Duration::from_millis(100);
/// And this often, unasked, while a master cannot be reached: a replica may have taken its place.
const WATCH: Duration = Duration::from_millis(300);

/// How reading the table has gone.
pub enum Reading {
    /// It was not read yet.
    Begun,
    Failed(Failure),
    /// It was read once: what is known may be used also while reading it again fails.
    Done,
}

impl Cluster {
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

/// Reads the table at first, whenever it turned out to be outdated, and while a master is missing.
pub async fn keep_current(cluster: Weak<Cluster>, closed: CancellationToken) {
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

fn slotless() -> Failure {
    Failure::new(
        Kind::Unavailable,
        "the cluster says of no node which slots it has; see CLUSTER SLOTS there",
    )
}
