//! Walks over the keys of a prefix, in pages, one master after the other. Knows `SCAN`, and nothing of
//! sessions or connections.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{
    command::{Command, Keys},
    failure::Failure,
    reply,
    servers::Servers,
};
use crate::{
    backend::{Count, Page},
    error::Kind,
};

/// The lower bits of a place in a walk are the master's, the others the cursor it gave: a cursor has
/// hardly more bits than the server has keys.
const MASTER_BITS: u32 = 10;
const MASTERS: u64 = 1 << MASTER_BITS;

/// Keys that a step looks at: fewer where it brings their texts.
const WITH_TEXTS: u32 = 250;
const KEYS_ONLY: u32 = 1000;

/// Bytes of texts that a step is to bring. Other calls wait for as long as they take.
const STEP_BYTES: usize = 1 << 20;
/// Keys that a step looks at at least, and the first, when nothing is known of their texts.
const FEWEST: u32 = 8;

/// How many keys the next step looks at that brings their texts, by how many bytes the last one brought.
pub struct Pace(AtomicU32);

impl Default for Pace {
    fn default() -> Pace {
        Pace(FEWEST.into())
    }
}

impl Pace {
    /// A step has looked at so many keys, and brought so many bytes. Twice as many at most are next: among many
    /// keys of others those of ours may come all at once.
    fn learn(&self, looked_at: u32, bytes: usize) {
        let fitting = STEP_BYTES as u64 * u64::from(looked_at) / (bytes as u64).max(1);
        let most = (looked_at * 2).clamp(FEWEST, WITH_TEXTS);
        self.0.store(fitting.clamp(FEWEST.into(), most.into()) as u32, Relaxed);
    }
}

/// One step of a walk: where the next begins, and the keys of our prefix among those that were met.
async fn step(
    servers: &Arc<Servers>,
    keys: &Keys,
    from: u64,
    count: u32,
) -> Result<(Option<u64>, Vec<Vec<u8>>), Failure> {
    let (master, cursor) = (from % MASTERS, from >> MASTER_BITS);
    let masters = servers.masters().await? as u64;
    let answer = servers.ask_master(master as usize, &keys.scan(cursor, count)).await?;
    let (cursor, mut found) = reply::scanned(answer)?;
    found.retain(|key| keys.sid(key).is_some());
    let next = match cursor {
        0 => Some(master + 1).filter(|next| *next < masters.min(MASTERS)),
        cursor => Some(cursor << MASTER_BITS | master),
    };
    Ok((next, found))
}

pub async fn page(
    servers: Arc<Servers>,
    keys: Arc<Keys>,
    pace: Arc<Pace>,
    from: u64,
) -> Result<Page, Failure> {
    let count = pace.0.load(Relaxed);
    let (next, found) = step(&servers, &keys, from, count).await?;
    // All are asked for before the first is waited for.
    let texts: Vec<_> = found.iter().map(|key| servers.ask(&Command::on_key("GET", key))).collect();
    let mut records = Vec::with_capacity(found.len());
    let mut bytes = 0;
    for (key, text) in found.iter().zip(texts) {
        let text = match text.await.map_err(Failure::from).and_then(reply::text) {
            // Of another type by now.
            Err(failure) if failure.kind() == Kind::Decode => None,
            text => text?,
        };
        if let (Some(sid), Some(text)) = (keys.sid(key), text) {
            bytes += text.len();
            records.push((sid.into(), reply::untold(text)));
        }
    }
    pace.learn(count, bytes);
    Ok(Page { records, next })
}

pub async fn count(servers: Arc<Servers>, keys: Arc<Keys>, from: u64) -> Result<Count, Failure> {
    let (next, found) = step(&servers, &keys, from, KEYS_ONLY).await?;
    Ok(Count { live: found.len() as u64, next })
}

pub async fn clear(servers: Arc<Servers>, keys: Arc<Keys>) -> Result<(), Failure> {
    let mut from = Some(0);
    while let Some(at) = from {
        let (next, found) = step(&servers, &keys, at, KEYS_ONLY).await?;
        let gone: Vec<_> =
            found.iter().map(|key| servers.ask(&Command::on_key("UNLINK", key))).collect();
        for gone in gone {
            gone.await?;
        }
        from = next;
    }
    Ok(())
}

/// Answers when every master does.
pub async fn ping(servers: Arc<Servers>) -> Result<(), Failure> {
    let masters = servers.masters().await?;
    let answers: Vec<_> =
        (0..masters).map(|master| servers.ask_master(master, &Command::new("PING"))).collect();
    for answer in answers {
        answer.await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_brings_no_more_than_others_can_wait_for() {
        let pace = Pace::default();
        let next = |looked_at, bytes| {
            pace.learn(looked_at, bytes);
            pace.0.load(Relaxed)
        };
        // None of ours, or little in them: twice as many.
        assert_eq!(next(8, 0), 16);
        assert_eq!(next(16, 16 * 444), 32);
        assert_eq!(next(250, 250 * 444), 250);
        assert_eq!(next(250, 250 * 10_000), 104);
        assert_eq!(next(250, 250 << 20), FEWEST);
    }
}
