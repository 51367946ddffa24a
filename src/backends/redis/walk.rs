//! Walks over the keys of a prefix, in pages. Knows `SCAN`; not the connection, and nothing of sessions.

use std::sync::Arc;

use super::{
    command::{self, Keys},
    failure::Failure,
    link::Shared,
    reply,
};
use crate::backend::{Count, Page};

/// One step of a walk: the keys of our prefix among those that the server looked at.
async fn step(
    link: &Shared,
    keys: &Keys,
    from: u64,
) -> Result<(Option<u64>, Vec<Vec<u8>>), Failure> {
    let (next, mut found) = reply::scanned(link.call(keys.scan(from)).await?)?;
    found.retain(|key| keys.sid(key).is_some());
    Ok(((next != 0).then_some(next), found))
}

pub async fn page(link: Arc<Shared>, keys: Arc<Keys>, from: u64) -> Result<Page, Failure> {
    let (next, found) = step(&link, &keys, from).await?;
    if found.is_empty() {
        return Ok(Page { records: Vec::new(), next });
    }
    let texts = command::on_keys("MGET", found.iter().map(Vec::as_slice));
    let texts = reply::array(link.call(texts).await?)?;
    let mut records = Vec::with_capacity(found.len());
    for (key, text) in found.iter().zip(texts) {
        // Gone since, or of another type by now.
        let (Some(sid), Some(text)) = (keys.sid(key), reply::text(text)?) else { continue };
        records.push((sid.into(), reply::untold(text)));
    }
    Ok(Page { records, next })
}

pub async fn count(link: Arc<Shared>, keys: Arc<Keys>, from: u64) -> Result<Count, Failure> {
    let (next, found) = step(&link, &keys, from).await?;
    Ok(Count { live: found.len() as u64, next })
}

pub async fn clear(link: Arc<Shared>, keys: Arc<Keys>) -> Result<(), Failure> {
    let mut from = Some(0);
    while let Some(at) = from {
        let (next, found) = step(&link, &keys, at).await?;
        if !found.is_empty() {
            link.call(command::on_keys("UNLINK", found.iter().map(Vec::as_slice))).await?;
        }
        from = next;
    }
    Ok(())
}
