//! The client of one store, and whether its place can be reached. Watches over it in the background:
//! while no server answers, calls fail at once instead of each waiting in vain, and one ping after the
//! other finds out when that is over. Knows nothing of records.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use mongodb::{
    Client, Collection, Database,
    bson::{RawDocumentBuf, doc},
    options::{CollectionOptions, ReadPreference, SelectionCriteria},
};
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{failure, place::Place};
use crate::{
    backend::{Event, Listener},
    error::{Error, Kind, Result},
    runtime,
};

/// The wait between two pings of a place that cannot be reached. Jitter doubles it at most, so that a
/// server that is back is found within 2 s: the driver asks it again after half a second at the earliest.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_millis(500);
/// The part of a call's deadline after which the server counts as silent: less than all of it, so that the
/// caller is told why.
const PATIENCE: f64 = 0.9;
/// How long DNS may take to name the servers.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the index may take to be made: on a large collection, long.
const INDEX_TIMEOUT: Duration = Duration::from_secs(600);

/// See the file's top.
pub struct Link {
    pub place: Place,
    client: watch::Sender<Option<Client>>,
    /// Why calls fail at once, while they do.
    down: RwLock<Option<Error>>,
    is_down: AtomicBool,
    suspected: Notify,
    listener: OnceLock<Listener>,
    /// What was to be said before anybody listened.
    unheard: Mutex<Vec<Event>>,
}

/// Whom what decides about a write is asked of: a secondary may not have heard of what is to be compared, or
/// removed.
pub fn primary() -> SelectionCriteria {
    SelectionCriteria::ReadPreference(ReadPreference::Primary)
}

impl Link {
    /// Begins to connect. What is returned with it ends the watch.
    pub fn open(place: Place) -> (Arc<Link>, AbortHandle) {
        let link = Arc::new(Link {
            place,
            client: watch::Sender::new(None),
            down: RwLock::new(None),
            is_down: AtomicBool::new(false),
            suspected: Notify::new(),
            listener: OnceLock::new(),
            unheard: Mutex::new(Vec::new()),
        });
        let watch = runtime::handle().spawn(watch_over(link.clone()));
        (link, watch.abort_handle())
    }

    /// Sets who hears of events.
    pub fn listen(&self, listener: Listener) {
        let mut unheard = self.unheard.lock();
        for event in unheard.drain(..) {
            listener(event);
        }
        let _ = self.listener.set(listener);
    }

    fn say(&self, event: Event) {
        let mut unheard = self.unheard.lock();
        match self.listener.get() {
            Some(listener) => {
                drop(unheard);
                listener(event);
            }
            None => unheard.push(event),
        }
    }

    /// Fails at once while the place cannot be reached.
    pub fn check(&self) -> Result<()> {
        if !self.is_down.load(Relaxed) {
            return Ok(());
        }
        match &*self.down.read() {
            Some(error) => Err(failure::again(error)),
            None => Ok(()),
        }
    }

    /// The client, waited for where its servers have yet to be found.
    async fn client(&self) -> Result<Client> {
        let mut made = self.client.subscribe();
        let client = made.wait_for(Option::is_some).await;
        client.ok().and_then(|client| client.clone()).ok_or_else(closed)
    }

    /// The database that sessions are in.
    pub async fn database(&self) -> Result<Database> {
        Ok(self.client().await?.database(&self.place.database))
    }

    /// The collection that sessions are in.
    pub async fn collection(&self) -> Result<Collection<RawDocumentBuf>> {
        let options =
            CollectionOptions::builder().write_concern(self.place.write_concern()).build();
        let database = self.database().await?;
        Ok(database.collection_with_options(&self.place.collection, options))
    }

    /// Runs something that a call waits for, inside the call's deadline. A failure that may mean that the
    /// place is gone has it looked after.
    pub async fn within<T>(&self, run: impl Future<Output = Result<T>>) -> Result<T> {
        self.within_time(self.place.command_timeout.mul_f64(PATIENCE), run).await
    }

    /// As [`Link::within`], with another deadline.
    pub async fn within_time<T>(
        &self,
        time: Duration,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = timeout(time, run).await.unwrap_or_else(|_| Err(failure::timed_out()));
        if let Err(error) = &result
            && matches!(error.kind(), Kind::Unavailable | Kind::Timeout | Kind::Auth)
        {
            self.suspected.notify_one();
        }
        result
    }

    /// Gives the client up: its connections end once no call uses them any more.
    pub fn close(&self) {
        // A client says goodbye to its servers in a task of its own.
        let _runtime = runtime::handle().enter();
        self.client.send_replace(None);
    }

    /// Makes a client, or does nothing if there is one.
    async fn connect(&self) -> Result<()> {
        if self.client.borrow().is_some() {
            return Ok(());
        }
        let options = self.place.resolve().await.map_err(failure::told)?;
        let client = Client::with_options(options).map_err(failure::told)?;
        self.client.send_replace(Some(client));
        Ok(())
    }

    /// Whether a server answers.
    async fn ping(&self) -> Result<()> {
        timeout(RESOLVE_TIMEOUT, self.connect())
            .await
            .unwrap_or_else(|_| Err(failure::timed_out()))?;
        let answer = async {
            let database = self.database().await?;
            database.run_command(doc! { "ping": 1 }).await.map(drop).map_err(failure::told)
        };
        let time = self.place.connect_timeout;
        timeout(time, answer).await.unwrap_or_else(|_| Err(failure::timed_out()))
    }

    fn went_down(&self, error: Error) {
        if error.kind() == Kind::Timeout {
            // Its connections may lead nowhere without anybody having said so. The next one's are
            // new.
            self.client.send_replace(None);
        }
        let error = match error.kind() {
            Kind::Timeout => Error::new(
                Kind::Unavailable,
                "no MongoDB server answers; it is tried again in the background",
            ),
            _ => error,
        };
        *self.down.write() = Some(failure::again(&error));
        self.is_down.store(true, Relaxed);
        self.say(Event::Down(error));
    }

    fn is_up_again(&self) {
        self.is_down.store(false, Relaxed);
        *self.down.write() = None;
        self.say(Event::Up);
    }

    /// The index by which the server sweeps sessions that are over; the same as connect-mongo's, and none
    /// is made where that one is.
    async fn make_index(&self) {
        let made = async {
            // As connect-mongo asks for it, word for word, or one of the two would be refused by servers
            // that compare what the present ones ignore.
            let index = doc! {
                "key": { "expires": 1 },
                "name": "expires_1",
                "background": true,
                "expireAfterSeconds": 0,
            };
            let command = doc! { "createIndexes": &self.place.collection, "indexes": [index] };
            self.database().await?.run_command(command).await.map(drop).map_err(failure::told)
        };
        let made = timeout(INDEX_TIMEOUT, made).await;
        let error = match made {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => failure::timed_out(),
        };
        let why =
            std::error::Error::source(&error).map_or(String::new(), |why| format!(" ({why})"));
        self.say(Event::Warning(format!(
            "the index that lets MongoDB remove sessions that are over could not be made: \
             {error}{why}. Sessions end all the same, but stay in the collection. Make it by hand: \
             db.getCollection({:?}).createIndex({{ expires: 1 }}, {{ expireAfterSeconds: 0 }})",
            self.place.collection
        )));
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the store was closed")
}

/// Pings whenever there is doubt, and again and again while there is no answer.
async fn watch_over(link: Arc<Link>) {
    let delays = ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .without_max_times()
        .with_jitter();
    let mut delay = delays.build();
    let mut has_index = false;
    loop {
        match (link.ping().await, link.is_down.load(Relaxed)) {
            (Ok(()), was_down) => {
                delay = delays.build();
                if was_down {
                    link.is_up_again();
                }
                // Its making must not keep anybody from seeing that the server has gone.
                if !std::mem::replace(&mut has_index, true) {
                    tokio::spawn({
                        let link = link.clone();
                        async move { link.make_index().await }
                    });
                }
                link.suspected.notified().await;
            }
            (Err(error), false) => link.went_down(error),
            (Err(_), true) => sleep(delay.next().unwrap_or(LONGEST_DELAY)).await,
        }
    }
}
