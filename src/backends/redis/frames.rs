//! Cuts what the server sends into replies. Knows where a reply ends, and leaves what it says, but for
//! the plainest, to the crate. <https://redis.io/docs/latest/develop/reference/protocol-spec/> (RESP2)

use bytes::BytesMut;
use redis::Value;

use super::{
    failure::Failure,
    reply::{Reply, misunderstood},
};

/// A reply whose room is kept for the next ones has up to so many bytes.
const KEPT: usize = 1 << 20;

/// What was received and is not a whole reply yet.
#[derive(Default)]
pub struct Frames {
    bytes: BytesMut,
    /// How far the next reply was looked through, and how many of its parts are still to come: one,
    /// unless it is an array.
    at: usize,
    missing: usize,
}

impl Frames {
    /// Takes what was received; [`Frames::next`] gives the replies.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next reply, once it is whole.
    pub fn next(&mut self) -> Result<Option<Reply>, Failure> {
        if self.at == 0 {
            self.missing = 1;
        }
        while self.missing > 0 {
            let Some((end, parts)) = part(&self.bytes[self.at..])? else { return Ok(None) };
            self.at += end;
            self.missing = (self.missing - 1).saturating_add(parts);
        }
        let end = std::mem::take(&mut self.at);
        let whole = self.bytes.split_to(end);
        if end > KEPT {
            // What follows it would keep all of its room.
            self.bytes = BytesMut::from(&self.bytes[..]);
        }
        reply(whole).map(Some)
    }
}

/// Where the first part ends, and how many parts it announces; none while that is not there yet.
fn part(bytes: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let Some((kind, line, end)) = first_line(bytes) else { return Ok(None) };
    match kind {
        b'+' | b'-' | b':' => Ok(Some((end, 0))),
        b'*' => Ok(Some((end, length(line)?.unwrap_or(0)))),
        b'$' => {
            let Some(length) = length(line)? else { return Ok(Some((end, 0))) };
            let end = end.checked_add(length).and_then(|end| end.checked_add(2));
            let end = end.ok_or_else(misunderstood)?;
            Ok((bytes.len() >= end).then_some((end, 0)))
        }
        _ => Err(misunderstood()),
    }
}

/// The first byte, the rest of its line, and where the next line begins.
fn first_line(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (kind, rest) = bytes.split_first()?;
    let length = rest.iter().position(|&byte| byte == b'\r')?;
    (rest.len() > length + 1).then(|| (*kind, &rest[..length], length + 3))
}

/// A length; none is nil's, -1.
fn length(digits: &[u8]) -> Result<Option<usize>, Failure> {
    match number(digits)? {
        -1 => Ok(None),
        length => Ok(Some(length.try_into().map_err(|_| misunderstood())?)),
    }
}

fn number(digits: &[u8]) -> Result<i64, Failure> {
    let text = std::str::from_utf8(digits).map_err(|_| misunderstood())?;
    text.parse().map_err(|_| misunderstood())
}

/// What a whole reply says.
fn reply(mut bytes: BytesMut) -> Result<Reply, Failure> {
    let value = match first_line(&bytes) {
        Some((b'$', digits, start)) if length(digits)?.is_some() => {
            bytes.truncate(bytes.len() - 2);
            return Ok(Reply::Text(bytes.split_off(start).freeze()));
        }
        Some((b'$', ..)) => Value::Nil,
        Some((b':', digits, _)) => Value::Int(number(digits)?),
        Some((b'+', b"OK", _)) => Value::Okay,
        _ => redis::parse_redis_value(&bytes)?,
    };
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replies(chunks: &[&[u8]]) -> Vec<Reply> {
        let mut frames = Frames::default();
        let mut replies = Vec::new();
        for chunk in chunks {
            frames.add(chunk);
            replies.extend(std::iter::from_fn(|| frames.next().unwrap()));
        }
        replies
    }

    const ALL: &[u8] = b"+OK\r\n:-7\r\n$-1\r\n$0\r\n\r\n$7\r\n\r\n$1\r\n\xff\r\n*-1\r\n\
        *3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n+b\r\n*0\r\n-NOSCRIPT no such script\r\n";

    fn expected() -> Vec<Reply> {
        let text = |text: &[u8]| Value::BulkString(text.into());
        let values = vec![
            Value::Okay,
            Value::Int(-7),
            Value::Nil,
            text(b""),
            text(b"\r\n$1\r\n\xff"),
            Value::Nil,
            Value::Array(vec![
                Value::Int(1),
                Value::Array(vec![text(b"a"), Value::Nil]),
                Value::SimpleString("b".into()),
            ]),
            Value::Array(vec![]),
        ];
        values.into_iter().map(Reply::from).collect()
    }

    proptest! {
        #[test]
        fn replies_are_whole_wherever_they_are_cut(cuts in proptest::collection::vec(0..ALL.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.extend([0, ALL.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|ends| &ALL[ends[0]..ends[1]]).collect();
            let mut values = replies(&chunks);
            let Some(Reply::Error(error)) = values.pop() else { panic!("an error was sent") };
            prop_assert_eq!(error.code(), "NOSCRIPT");
            prop_assert_eq!(values, expected());
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_is_a_fault_of_ours(bytes in "[-+:$*0-9a\r\n]{0,40}") {
            let mut frames = Frames::default();
            frames.add(bytes.as_bytes());
            while let Ok(Some(_)) = frames.next() {}
        }
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for bytes in [&b"HTTP/1.1 400\r\n"[..], b"$x\r\n", b"*1x\r\n", b":\r\n", b"$-2\r\n"] {
            let mut frames = Frames::default();
            frames.add(bytes);
            assert!(frames.next().is_err(), "{bytes:?}");
        }
    }
}
