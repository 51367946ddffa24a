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
use redis::Value;

use super::{
    address::{Place, Plan},
    batch::Call,
    cluster::{Cluster, MOST_REDIRECTIONS, moving},
    command::{Command, touch_instead},
    failure::Failure,
    link::Link,
    packed::Kept,
    reply::{self, Reply},
    script,
    transaction::{self, Change},
};
use crate::backend::{Event, Listener};

pub struct Servers {
    setup: Setup,
    announcer: Arc<Announcer>,
    scripts_forbidden: AtomicBool,
    /// `PEXPIRE` does not take `GT`: before Redis 7.
    no_gt: AtomicBool,
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
    pub command: Option<Kept>,
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
        Arc::new(Servers {
            setup,
            announcer,
            scripts_forbidden: AtomicBool::new(false),
            no_gt: AtomicBool::new(false),
        })
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
    pub fn ask(self: &Arc<Self>, command: &Command<'_>) -> Asked {
        self.asked(match &self.setup {
            Setup::One(link) => link.call(command),
            Setup::Cluster(cluster) => cluster.call(command),
        })
    }

    /// As [`Servers::ask`], of one master, by its place among [`Servers::masters`].
    pub fn ask_master(self: &Arc<Self>, master: usize, command: &Command<'_>) -> Asked {
        self.asked(match &self.setup {
            Setup::One(link) => link.call(command),
            Setup::Cluster(cluster) => cluster.call_master(master, command),
        })
    }

    fn asked(self: &Arc<Self>, call: Call) -> Asked {
        Asked { servers: self.clone(), call, redirections: 0 }
    }

    /// Whether a touch that moves the expiry to a later time only needs the script.
    pub fn has_no_gt(&self) -> bool {
        self.no_gt.load(Relaxed)
    }

    /// How many masters there are: each has some of the keys.
    pub async fn masters(&self) -> Result<usize, Failure> {
        match &self.setup {
            Setup::One(_) => Ok(1),
            Setup::Cluster(cluster) => cluster.masters().await,
        }
    }

    /// Calls the script of `replace`, or does the same without it.
    pub fn replace(self: &Arc<Self>, script: &Command<'_>) -> Attempt {
        match self.scripts_forbidden.load(Relaxed) {
            true => Attempt::Again(Box::pin(self.clone().change(Kept::of(script)))),
            false => Attempt::First(self.ask(script), |servers, refused| {
                Box::pin(async move {
                    match servers.run_again(refused).await? {
                        Ran::Answered(reply) => Ok(reply),
                        Ran::Forbidden(script) => servers.change(script).await,
                    }
                })
            }),
        }
    }

    /// Calls the script of `touch`, or does the same without it.
    pub fn touch_by_script(self: &Arc<Self>, script: &Command<'_>) -> Attempt {
        match self.scripts_forbidden.load(Relaxed) {
            true => Attempt::Again(Box::pin(self.clone().touch_by_looking(Kept::of(script)))),
            false => Attempt::First(self.ask(script), |servers, refused| {
                Box::pin(async move {
                    match servers.run_again(refused).await? {
                        Ran::Answered(reply) => Ok(reply),
                        Ran::Forbidden(script) => servers.touch_by_looking(script).await,
                    }
                })
            }),
        }
    }

    /// Sends the command of a touch that moves the expiry to a later time only, or calls the script, where
    /// the server does not understand that.
    pub fn touch_later(self: &Arc<Self>, touch: &Command<'_>) -> Attempt {
        Attempt::First(self.ask(touch), |servers, Refused { failure, command }| {
            Box::pin(async move {
                if failure.code() != "ERR" {
                    return Err(failure);
                }
                let Some(script) = command.as_ref().and_then(touch_instead) else {
                    return Err(failure);
                };
                let reply = servers.touch_by_script(&script).await?;
                servers.no_gt.store(true, Relaxed);
                Ok(reply)
            })
        })
    }

    async fn touch_by_looking(self: Arc<Self>, script: Kept) -> Result<Reply, Failure> {
        let Reply::Other(Value::Int(theirs)) = self.ask(&transaction::left(&script)).await? else {
            return Err(reply::misunderstood());
        };
        let gt = !self.has_no_gt();
        let Some(touch) = transaction::touch(&script, theirs, gt) else {
            return Ok(Reply::default());
        };
        match self.ask(&touch).await {
            Err(refused) if gt && refused.failure.code() == "ERR" => {}
            answer => return Ok(answer?),
        }
        let Some(touch) = transaction::touch(&script, theirs, false) else {
            return Ok(Reply::default());
        };
        let reply = self.ask(&touch).await?;
        self.no_gt.store(true, Relaxed);
        Ok(reply)
    }

    /// After a script was refused that was called by its hash: with its text, where the server does not
    /// know it.
    async fn run_again(self: &Arc<Self>, mut refused: Refused) -> Result<Ran, Failure> {
        if refused.failure.code() == "NOSCRIPT"
            && let Some(with_text) = refused.command.as_ref().and_then(script::with_text)
        {
            let asked = self.ask(&with_text);
            match asked.await {
                Ok(reply) => return Ok(Ran::Answered(reply)),
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

    async fn change(self: Arc<Self>, script: Kept) -> Result<Reply, Failure> {
        let change = Change::of(script);
        let made = match &self.setup {
            Setup::One(link) => link.change(change).await,
            Setup::Cluster(cluster) => cluster.change(change).await,
        };
        made.map(Reply::from)
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
    type Output = Result<Reply, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let failure = match ready!(Pin::new(&mut self.call).poll(cx)) {
                Ok(reply) => return Poll::Ready(Ok(reply)),
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

/// What is done after a command was refused: seldom needed, so it is boxed, and there is one of these for
/// each save.
type Again = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// A command, and what is done where it is refused.
pub enum Attempt {
    First(Asked, fn(Arc<Servers>, Refused) -> Again),
    Again(Again),
}

impl Future for Attempt {
    type Output = Result<Reply, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut *self {
                Attempt::First(asked, again) => match ready!(Pin::new(&mut *asked).poll(cx)) {
                    Ok(reply) => return Poll::Ready(Ok(reply)),
                    Err(refused) => *self = Attempt::Again(again(asked.servers.clone(), refused)),
                },
                Attempt::Again(again) => return again.as_mut().poll(cx),
            }
        }
    }
}

enum Ran {
    Answered(Reply),
    /// The call, which the server did not let through.
    Forbidden(Kept),
}
