//! The servers of a store, one or many, as one: asks, follows a cluster's redirections, and goes without
//! scripts where they are forbidden. Knows not what is asked.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use redis::{Cmd, Value};

use super::{
    address::{Place, Plan},
    batch::Call,
    cluster::{Cluster, MOST_REDIRECTIONS, moving},
    failure::Failure,
    link::Link,
    reply, script,
    transaction::{self, Change},
};
use crate::backend::{Event, Listener};

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

    /// See [`crate::backend::Backend::late`].
    pub fn late(&self) {
        match &self.setup {
            Setup::One(link) => link.late(),
            Setup::Cluster(cluster) => cluster.late(),
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
    pub fn ask(self: &Arc<Self>, command: Cmd) -> Asked {
        let call = match &self.setup {
            Setup::One(link) => link.call(command),
            Setup::Cluster(cluster) => cluster.call(command),
        };
        Asked { servers: self.clone(), call, redirections: 0 }
    }

    /// As [`Servers::ask`], of one master, by its place among [`Servers::masters`].
    pub fn ask_master(self: &Arc<Self>, master: usize, command: Cmd) -> Asked {
        let call = match &self.setup {
            Setup::One(link) => link.call(command),
            Setup::Cluster(cluster) => cluster.call_master(master, command),
        };
        Asked { servers: self.clone(), call, redirections: 0 }
    }

    /// How many masters there are: each has some of the keys.
    pub async fn masters(&self) -> Result<usize, Failure> {
        match &self.setup {
            Setup::One(_) => Ok(1),
            Setup::Cluster(cluster) => cluster.masters().await,
        }
    }

    /// Calls the script of `replace`, or does the same without it. What is seldom needed is boxed, here and
    /// below: connecting alone takes a large future, and there is one of these for each save.
    pub async fn replace(self: Arc<Self>, script: Cmd) -> Result<Value, Failure> {
        if self.scripts_forbidden.load(Relaxed) {
            return Box::pin(self.change(script)).await;
        }
        match self.ask(script).await {
            Ok(value) => Ok(value),
            Err(refused) => {
                Box::pin(async move {
                    match self.run_again(refused).await? {
                        Ran::Answered(value) => Ok(value),
                        Ran::Forbidden(script) => self.change(script).await,
                    }
                })
                .await
            }
        }
    }

    /// Calls the script of `touch`, or does the same without it.
    pub async fn touch(self: Arc<Self>, script: Cmd) -> Result<(), Failure> {
        if self.scripts_forbidden.load(Relaxed) {
            return Box::pin(self.touch_by_looking(script)).await;
        }
        match self.ask(script).await {
            Ok(_) => Ok(()),
            Err(refused) => {
                Box::pin(async move {
                    match self.run_again(refused).await? {
                        Ran::Answered(_) => Ok(()),
                        Ran::Forbidden(script) => self.touch_by_looking(script).await,
                    }
                })
                .await
            }
        }
    }

    async fn touch_by_looking(self: Arc<Self>, script: Cmd) -> Result<(), Failure> {
        let Value::Int(theirs) = self.ask(transaction::left(&script)).await? else {
            return Err(reply::misunderstood());
        };
        match transaction::touch(&script, theirs) {
            Some(touch) => Ok(self.ask(touch).await.map(drop)?),
            None => Ok(()),
        }
    }

    /// After a script was refused that was called by its hash: with its text, where the server does not
    /// know it.
    async fn run_again(self: &Arc<Self>, mut refused: Refused) -> Result<Ran, Failure> {
        if refused.failure.code() == "NOSCRIPT"
            && let Some(with_text) = refused.command.as_ref().and_then(script::with_text)
        {
            match self.ask(with_text).await {
                Ok(value) => return Ok(Ran::Answered(value)),
                Err(again) => refused = again,
            }
        }
        let Refused { failure, command } = refused;
        match command {
            Some(command) if ["evalsha", "eval"].iter().any(|name| failure.is_forbidden(name)) => {
                self.without_scripts();
                Ok(Ran::Forbidden(command))
            }
            _ => Err(failure),
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

/// The answer to a command, wherever in a cluster it comes from. Written by hand, since there is one for
/// each operation: an async block would be many times as large.
pub struct Asked {
    servers: Arc<Servers>,
    call: Call,
    redirections: u32,
}

impl Future for Asked {
    type Output = Result<Value, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let failure = match ready!(Pin::new(&mut self.call).poll(cx)) {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(failure) => failure,
            };
            let redirected = match &self.servers.setup {
                Setup::One(_) => None,
                Setup::Cluster(cluster) => cluster.redirected(&self.call, &failure),
            };
            let Some(redirected) = redirected else {
                return Poll::Ready(Err(Refused { command: self.call.command(), failure }));
            };
            self.redirections += 1;
            if self.redirections > MOST_REDIRECTIONS {
                return Poll::Ready(Err(Refused { failure: moving(), command: None }));
            }
            self.call = redirected;
        }
    }
}

enum Ran {
    Answered(Value),
    /// The call, which the server did not let through.
    Forbidden(Cmd),
}
