//! A second connection to the server, for changes that nobody may come between where scripts are forbidden.
//! Knows how long one may take; nothing of what it does.

use std::{future::Future, sync::Arc};

use redis::Value;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{
    super::{
        command::Command,
        connect::{Connected, connect},
        connection::silent,
        failure::Failure,
        transaction::Change,
    },
    Link, Shared, closed,
};
use crate::{backend::Event, runtime};

impl Link {
    /// Makes a change on a connection that nothing else uses meanwhile, within the deadline of a call.
    /// The connection is kept for the next, unless something goes wrong.
    pub fn change(
        &self,
        change: Change,
    ) -> impl Future<Output = Result<Value, Failure>> + Send + use<> {
        let until = Instant::now() + self.shared.plan.patience();
        let (shared, token) = (self.shared.clone(), self.token());
        let obstacle = self.obstacle();
        let prober = shared.clone();
        let work = async move {
            let _token = token;
            let mut spare = shared.spare.lock().await;
            let mut connected = match spare.take() {
                Some(connected) if !connected.driver.0.is_finished() => connected,
                lost => {
                    if lost.is_some() {
                        shared.probe();
                    }
                    let connected = connect(&shared.plan, &shared.place).await?;
                    Connected { socket: None, ..connected }
                }
            };
            let value = change.make(&mut connected.commands).await?;
            *spare = Some(connected);
            Ok(value)
        };
        async move {
            if let Some(failure) = obstacle {
                return Err(failure);
            }
            let (sender, receiver) = oneshot::channel();
            runtime::handle().spawn(async move {
                let made = timeout_at(until, work).await.unwrap_or_else(|_| Err(silent()));
                // What the server has answered tells that it is there.
                if made.as_ref().is_err_and(|failure| failure.code().is_empty()) {
                    prober.probe();
                }
                let _ = sender.send(made);
            });
            receiver.await.unwrap_or_else(|_| Err(closed()))
        }
    }
}

impl Shared {
    /// Asks the server whether it is there, on the connection that all others use: what another has met
    /// with is likely to be of both.
    fn probe(self: &Arc<Self>) {
        let ping = self.gather(|batch| batch.add(&Command::new("PING")));
        self.flush();
        let shared = self.clone();
        runtime::handle().spawn(async move {
            // It may have come, and who reads may be held up: that is for them to tell.
            if timeout(shared.plan.patience(), ping).await.is_err() {
                (shared.listener)(Event::Late);
            }
        });
    }
}
