//! The servers of a store, one or many, as one: asks, follows a cluster's redirections, and goes without
//! scripts where they are forbidden. Knows not what is asked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;
use redis::{Cmd, Value};

use super::{
    address::{Place, Plan},
    batch::Call,
    cluster::Cluster,
    failure::Failure,
    link::Link,
    reply, script,
    transaction::{self, Change},
};
use crate::{
    backend::{Event, Listener},
    error::Kind,
};

/// More would be a cluster that does not know itself.
const MOST_REDIRECTIONS: u32 = 5;

pub struct Servers {
    setup: Setup,
    announcer: Arc<Announcer>,
    scripts_forbidden: AtomicBool,
}

enum Setup {
    One(Link),
    Cluster(Arc<Cluster>),
}

/// Keeps events until somebody listens.
#[derive(Default)]
struct Announcer(Mutex<(Option<Listener>, Vec<Event>)>);

impl Announcer {
    fn announce(&self, event: Event) {
        let mut state = self.0.lock();
        match &state.0 {
            Some(listener) => listener(event),
            None => state.1.push(event),
        }
    }
}

/// A command that failed, and why.
pub struct Refused {
    pub failure: Failure,
    /// The command, if the server answered it.
    pub command: Option<Cmd>,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        refused.failure
    }
}

impl Servers {
    pub fn open(plan: Plan) -> Arc<Servers> {
        let announcer = Arc::new(Announcer::default());
        let heard = announcer.clone();
        let listener: Listener = Arc::new(move |event| heard.announce(event));
        let plan = Arc::new(plan);
        let setup = match plan.place.clone() {
            Place::Cluster(seeds) => Setup::Cluster(Cluster::open(plan, seeds, listener)),
            place => Setup::One(Link::open(plan, place, listener)),
        };
        Arc::new(Servers { setup, announcer, scripts_forbidden: AtomicBool::new(false) })
    }

    pub fn listen(&self, listener: Listener) {
        let mut state = self.announcer.0.lock();
        state.1.drain(..).for_each(|event| listener(event));
        state.0 = Some(listener);
    }

    pub fn flush(&self) {
        match &self.setup {
            Setup::One(link) => link.flush(),
            Setup::Cluster(cluster) => cluster.flush(),
        }
    }

    pub async fn close(self: Arc<Self>) {
        match &self.setup {
            Setup::One(link) => link.close().await,
            Setup::Cluster(cluster) => cluster.close().await,
        }
    }

    /// Sends a command with the others of this turn, and answers what the server does. It is asked for
    /// here, not when the answer is first waited for.
    pub fn ask(
        self: &Arc<Self>,
        command: Cmd,
    ) -> impl Future<Output = Result<Value, Refused>> + Send + use<> {
        let call = match &self.setup {
            Setup::One(link) => link.call(command),
            Setup::Cluster(cluster) => cluster.call(command),
        };
        self.clone().follow(call)
    }

    /// As [`Servers::ask`], of one master, by its place among [`Servers::masters`].
    pub fn ask_master(
        self: &Arc<Self>,
        master: usize,
        command: Cmd,
    ) -> impl Future<Output = Result<Value, Refused>> + Send + use<> {
        let call = match &self.setup {
            Setup::One(link) => link.call(command),
            Setup::Cluster(cluster) => cluster.call_master(master, command),
        };
        self.clone().follow(call)
    }

    async fn follow(self: Arc<Self>, mut call: Call) -> Result<Value, Refused> {
        let mut redirections = 0;
        loop {
            let failure = match (&mut call).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if let Setup::Cluster(cluster) = &self.setup
                && let Some(redirected) = cluster.redirected(&call, &failure)
            {
                redirections += 1;
                if redirections <= MOST_REDIRECTIONS {
                    call = redirected;
                    continue;
                }
                let failure = Failure::new(
                    Kind::Unavailable,
                    "the cluster's nodes do not agree who has this session; try again",
                );
                return Err(Refused { failure, command: None });
            }
            return Err(Refused { command: call.command(), failure });
        }
    }

    /// How many masters there are: each has some of the keys.
    pub async fn masters(&self) -> Result<usize, Failure> {
        match &self.setup {
            Setup::One(_) => Ok(1),
            Setup::Cluster(cluster) => cluster.masters().await,
        }
    }

    /// Calls the script of `replace`, or does the same without it.
    pub async fn replace(self: Arc<Self>, script: Cmd) -> Result<Value, Failure> {
        if self.scripts_forbidden.load(Relaxed) {
            return self.change(script).await;
        }
        match self.run(script).await? {
            Ran::Answered(value) => Ok(value),
            Ran::Forbidden(script) => self.change(script).await,
        }
    }

    /// Calls the script of `touch`, or does the same without it.
    pub async fn touch(self: Arc<Self>, script: Cmd) -> Result<(), Failure> {
        let script = match self.scripts_forbidden.load(Relaxed) {
            true => script,
            false => match self.run(script).await? {
                Ran::Answered(_) => return Ok(()),
                Ran::Forbidden(script) => script,
            },
        };
        let Value::Int(theirs) = self.ask(transaction::left(&script)).await? else {
            return Err(reply::misunderstood());
        };
        match transaction::touch(&script, theirs) {
            Some(touch) => Ok(self.ask(touch).await.map(drop)?),
            None => Ok(()),
        }
    }

    /// Calls a script by its hash, and with its text where the server does not know it.
    async fn run(self: &Arc<Self>, script: Cmd) -> Result<Ran, Failure> {
        let mut asked = self.ask(script).await;
        if let Err(Refused { failure, command: Some(command) }) = &asked
            && failure.code() == "NOSCRIPT"
            && let Some(with_text) = script::with_text(command)
        {
            asked = self.ask(with_text).await;
        }
        match asked {
            Ok(value) => Ok(Ran::Answered(value)),
            Err(Refused { failure, command: Some(command) })
                if ["evalsha", "eval"].iter().any(|name| failure.is_forbidden(name)) =>
            {
                self.without_scripts();
                Ok(Ran::Forbidden(command))
            }
            Err(refused) => Err(refused.failure),
        }
    }

    fn without_scripts(&self) {
        if !self.scripts_forbidden.swap(true, Relaxed) {
            self.announcer.announce(Event::Warning(
                "this user may not run scripts, so each save that compares takes two round trips \
                 on a connection of its own (WATCH); allow the user EVALSHA and EVAL"
                    .into(),
            ));
        }
    }

    async fn change(&self, script: Cmd) -> Result<Value, Failure> {
        let change = Change::of(script);
        match &self.setup {
            Setup::One(link) => link.change(change).await,
            Setup::Cluster(cluster) => cluster.change(change).await,
        }
    }
}

enum Ran {
    Answered(Value),
    /// The call, which the server did not let through.
    Forbidden(Cmd),
}
