//! What the server's answers mean as answers of a backend. Knows the commands' replies, and nothing
//! of how they came.

use bytes::Bytes;
use redis::{ServerError, Value};

use super::failure::Failure;
use crate::{
    backend::Replaced,
    error::Kind,
    record::{Millis, NEVER, Record, UNTOLD},
};

/// An answer of the server.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// Text: from a lane, in the memory that it was received in.
    Text(Bytes),
    /// The command was refused.
    Error(ServerError),
    Other(Value),
}

impl From<Value> for Reply {
    fn from(value: Value) -> Reply {
        match value {
            Value::BulkString(text) => Reply::Text(text.into()),
            Value::ServerError(error) => Reply::Error(error),
            other => Reply::Other(other),
        }
    }
}

impl Default for Reply {
    fn default() -> Reply {
        Reply::Other(Value::Nil)
    }
}

pub fn misunderstood() -> Failure {
    Failure::new(Kind::Internal, "the server answered something that this command never answers")
}

/// A session's text, from `GET`.
pub fn text(reply: Reply) -> Result<Option<Bytes>, Failure> {
    match reply {
        Reply::Text(text) => Ok(Some(text)),
        Reply::Other(Value::Nil) => Ok(None),
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
pub fn replaced(reply: Reply, now: Millis) -> Result<Replaced, Failure> {
    let Reply::Other(value) = reply else { return Err(misunderstood()) };
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
pub fn scanned(reply: Reply) -> Result<(u64, Vec<Vec<u8>>), Failure> {
    let Reply::Other(Value::Array(parts)) = reply else { return Err(misunderstood()) };
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
