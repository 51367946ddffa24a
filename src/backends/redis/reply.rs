//! What the server's answers mean as answers of a backend. Knows the commands' replies, and nothing
//! of how they came.

use bytes::Bytes;
use redis::Value;

use super::failure::Failure;
use crate::{
    backend::Replaced,
    error::Kind,
    record::{Millis, NEVER, Record, UNTOLD},
};

pub fn misunderstood() -> Failure {
    Failure::new(Kind::Internal, "the server answered something that this command never answers")
}

/// A session's text, from `GET` or `MGET`.
pub fn text(value: Value) -> Result<Option<Bytes>, Failure> {
    match value {
        Value::BulkString(text) => Ok(Some(text.into())),
        Value::Nil => Ok(None),
        _ => Err(misunderstood()),
    }
}

/// A record as one command reads it: when it ends stays with the server.
pub fn untold(payload: Bytes) -> Record {
    Record { payload, expires: UNTOLD, moved: false, version: 0, spot: 0 }
}

/// A record with the `PTTL` that was read with it, in ms from `now`.
pub fn told(payload: Bytes, left: i64, now: Millis) -> Record {
    let expires = u64::try_from(left).map_or(NEVER, |left| now.saturating_add(left).min(NEVER));
    Record { payload, expires, moved: true, version: 0, spot: 0 }
}

/// What the script of `replace` answers.
pub fn replaced(value: Value, now: Millis) -> Result<Replaced, Failure> {
    match value {
        Value::Nil => Ok(Replaced::Gone),
        Value::Int(_) => Ok(Replaced::Written(Default::default())),
        Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
            Ok([Value::BulkString(text), Value::Int(left)]) => {
                Ok(Replaced::Changed(told(text.into(), left, now)))
            }
            _ => Err(misunderstood()),
        },
        _ => Err(misunderstood()),
    }
}

/// A step of `SCAN`: the next cursor, and keys.
pub fn scanned(value: Value) -> Result<(u64, Vec<Vec<u8>>), Failure> {
    let Value::Array(parts) = value else { return Err(misunderstood()) };
    let Ok([cursor, Value::Array(keys)]) = <[Value; 2]>::try_from(parts) else {
        return Err(misunderstood());
    };
    let cursor = redis::from_redis_value(cursor).map_err(|_| misunderstood())?;
    let keys = keys.into_iter().filter_map(|key| match key {
        Value::BulkString(key) => Some(key),
        _ => None,
    });
    Ok((cursor, keys.collect()))
}
