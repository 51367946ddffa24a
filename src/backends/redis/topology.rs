//! Which node of a cluster has which keys. Pure: reads what `CLUSTER SLOTS` answers, and computes the
//! slot of a key. Knows no connection.

use crc16::{State, XMODEM};
use redis::Value;

use super::address::Node;

const SLOTS: usize = 16_384;

/// The masters, in the order of their first slots, and who of them has which slot.
#[derive(Default, PartialEq)]
pub struct Topology {
    pub masters: Vec<Node>,
    /// For each slot one more than the master's place; 0 where nobody has it.
    owners: Vec<u16>,
}

impl Topology {
    /// Reads the answer to `CLUSTER SLOTS`. A node that does not know its own host is `asked`.
    pub fn read(answer: &Value, asked: &Node) -> Option<Topology> {
        let Value::Array(ranges) = answer else { return None };
        let mut ranges: Vec<(usize, usize, Node)> =
            ranges.iter().map(|range| read_range(range, asked)).collect::<Option<_>>()?;
        ranges.sort_unstable();
        let mut topology = Topology { masters: Vec::new(), owners: vec![0; SLOTS] };
        for (first, last, node) in ranges {
            let known = topology.masters.iter().position(|master| *master == node);
            let index = known.unwrap_or_else(|| {
                topology.masters.push(node);
                topology.masters.len() - 1
            });
            topology.owners.get_mut(first..=last)?.fill(u16::try_from(index + 1).ok()?);
        }
        (!topology.masters.is_empty()).then_some(topology)
    }

    /// The place in `masters` of the one that has a slot.
    pub fn owner(&self, slot: usize) -> Option<usize> {
        usize::from(*self.owners.get(slot)?).checked_sub(1)
    }
}

fn read_range(range: &Value, asked: &Node) -> Option<(usize, usize, Node)> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &parts[..] else {
        return None;
    };
    let [host, Value::Int(port), ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::Nil => "",
        _ => return None,
    };
    let host = if matches!(host, "" | "?") { &asked.host } else { host };
    let node = Node { host: host.to_ascii_lowercase(), port: u16::try_from(*port).ok()? };
    Some((usize::try_from(*first).ok()?, usize::try_from(*last).ok()?, node))
}

/// The slot of a key: of what stands between the first `{` and the next `}`, if something does.
pub fn slot(key: &[u8]) -> usize {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let length = rest.iter().position(|&byte| byte == b'}')?;
        (length > 0).then(|| &rest[..length])
    });
    usize::from(State::<XMODEM>::calculate(tag.unwrap_or(key))) % SLOTS
}

/// Where `MOVED` and `ASK` point to: `slot host:port`, without a host where it is the one of `asked`.
pub fn redirection(detail: &str, asked: &Node) -> Option<Node> {
    let (host, port) = detail.split_ascii_whitespace().nth(1)?.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if matches!(host, "" | "?") { &asked.host } else { host };
    Some(Node { host: host.to_ascii_lowercase(), port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.into(), port }
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
    }

    #[test]
    fn a_node_without_a_host_is_the_one_that_was_asked() {
        let text = |text: &str| Value::BulkString(text.into());
        let range = |first, last, host: &str, port| {
            let master = Value::Array(vec![text(host), Value::Int(port), text("id")]);
            Value::Array(vec![Value::Int(first), Value::Int(last), master])
        };
        let answer = Value::Array(vec![
            range(8192, 16383, "", 7001),
            range(0, 100, "10.0.0.1", 7000),
            range(101, 8191, "10.0.0.1", 7000),
        ]);
        let topology = Topology::read(&answer, &node("10.0.0.9", 1)).unwrap();
        assert!(topology.masters == [node("10.0.0.1", 7000), node("10.0.0.9", 7001)]);
        assert_eq!(topology.owner(8191), Some(0));
        assert_eq!(topology.owner(8192), Some(1));
        assert!(Topology::read(&Value::Array(vec![]), &node("a", 1)).is_none());
        assert!(redirection("3999 127.0.0.1:6381", &node("a", 1)) == Some(node("127.0.0.1", 6381)));
        assert!(redirection("3999 :6381", &node("a", 1)) == Some(node("a", 6381)));
        assert!(redirection("3999 ::1:6381", &node("a", 1)) == Some(node("::1", 6381)));
    }
}
