//! A small reader of JSON that keeps every value's text as it stands: what `serde_json::Value`
//! cannot do for number text, lone surrogates (`"\ud800"`) and deep nesting. It accepts exactly
//! what `JSON.parse` accepts, in any bytes from 0x80 up, and knows nothing of sessions.
//!
//! Nothing here recurses, so no depth overflows the stack, and nothing is slower than sorting an
//! object's keys.

mod scan;
mod string;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use scan::Node;
pub(crate) use string::portable;

/// Objects with up to this many members are searched from the front, larger ones by sorted key.
const FEW: usize = 16;

/// The text is not JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid {
    /// The first byte that no JSON could have in its place; the text's length if it ends early.
    pub offset: usize,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON from byte {} on", self.offset)
    }
}

impl std::error::Error for Invalid {}

/// Whether `text` is JSON. Text of 4 GiB and more is refused.
pub fn validate(text: &[u8]) -> Result<(), Invalid> {
    scan::scan(text).map(drop)
}

/// Whether two texts stand for the same value, as [`Value::same`]. Texts that are not JSON are
/// the same if their bytes are.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    match (Document::parse(a), Document::parse(b)) {
        (Ok(a), Ok(b)) => a.root().same(b.root()),
        _ => false,
    }
}

/// A text that was found to be JSON, with the places of its values.
pub struct Document<'t> {
    text: &'t [u8],
    nodes: Vec<Node>,
}

impl<'t> Document<'t> {
    /// Reads `text`, in time linear in its length.
    pub fn parse(text: &'t [u8]) -> Result<Self, Invalid> {
        Ok(Document { text, nodes: scan::scan(text)? })
    }

    /// The value that the whole text stands for.
    pub fn root(&self) -> Value<'_> {
        Value { text: self.text, nodes: &self.nodes, index: 0 }
    }
}

/// One value of a [`Document`].
#[derive(Clone, Copy)]
pub struct Value<'d> {
    text: &'d [u8],
    nodes: &'d [Node],
    index: u32,
}

impl<'d> Value<'d> {
    fn node(self) -> Node {
        self.nodes[self.index as usize]
    }

    fn first_byte(self) -> u8 {
        self.text[self.node().start as usize]
    }

    /// Its text, without whitespace around it.
    pub fn text(self) -> &'d [u8] {
        let node = self.node();
        &self.text[node.start as usize..node.end as usize]
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.first_byte() == b'{'
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.first_byte() == b'n'
    }

    /// The double that a number stands for; `None` for other values.
    pub fn number(self) -> Option<f64> {
        match self.first_byte() {
            b'-' | b'0'..=b'9' => str::from_utf8(self.text()).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// A string's characters as WTF-8; `None` for other values.
    pub fn string(self) -> Option<Cow<'d, [u8]>> {
        (self.first_byte() == b'"').then(|| string::decode(self.text()))
    }

    /// What stands directly inside a container, an object's keys included.
    fn children(self) -> impl Iterator<Item = Value<'d>> {
        let end = self.node().next;
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let child = Value { index, ..self };
            (index < end).then(|| {
                index = child.node().next;
                child
            })
        })
    }

    /// The elements of an array; none for other values.
    pub fn elements(self) -> impl Iterator<Item = Value<'d>> {
        let is_array = self.first_byte() == b'[';
        self.children().take_while(move |_| is_array)
    }

    /// The members of an object; none for other values.
    pub fn members(self) -> Members<'d> {
        let mut list = Vec::new();
        if self.is_object() {
            let mut children = self.children();
            while let (Some(token), Some(value)) = (children.next(), children.next()) {
                let token = token.text();
                list.push(Member { token, key: string::decode(token), value });
            }
        }
        Members::new(list)
    }

    /// Whether two values are equal to a program that reads them: numbers as doubles, strings by
    /// their characters, arrays by element, objects by key in whatever order.
    pub fn same(self, other: Value<'_>) -> bool {
        if self.text() == other.text() {
            return true;
        }
        // Values are equal if all these pairs are, in whatever order they are looked at.
        let mut pairs = vec![(self, other)];
        while let Some((a, b)) = pairs.pop() {
            match (a.first_byte(), b.first_byte()) {
                (b'{', b'{') => {
                    let (a, b) = (a.members(), b.members());
                    if a.len() != b.len() {
                        return false;
                    }
                    for (place, member) in a.iter().enumerate() {
                        match b.get(&member.key, place) {
                            Some(value) => pairs.push((member.value, value)),
                            None => return false,
                        }
                    }
                }
                (b'[', b'[') => {
                    let (mut a, mut b) = (a.elements(), b.elements());
                    loop {
                        match (a.next(), b.next()) {
                            (Some(a), Some(b)) => pairs.push((a, b)),
                            (None, None) => break,
                            _ => return false,
                        }
                    }
                }
                _ if !a.same_scalar(b) => return false,
                _ => {}
            }
        }
        true
    }

    fn same_scalar(self, other: Value<'_>) -> bool {
        if self.text() == other.text() {
            return true;
        }
        if let (Some(a), Some(b)) = (self.number(), other.number()) {
            return a == b;
        }
        matches!((self.string(), other.string()), (Some(a), Some(b)) if a == b)
    }
}

/// One member of an object.
pub struct Member<'d> {
    /// The key as it stands, with quotes and escapes.
    pub token: &'d [u8],
    /// The key's characters as WTF-8.
    pub key: Cow<'d, [u8]>,
    /// Its value.
    pub value: Value<'d>,
}

/// The members of an object as `JSON.parse` sees them: of members with equal keys the last value,
/// at the place of the first.
#[derive(Default)]
pub struct Members<'d> {
    list: Vec<Member<'d>>,
    /// Places in `list` by key, where it has more than [`FEW`].
    by_key: Vec<u32>,
}

impl<'d> Members<'d> {
    fn new(mut list: Vec<Member<'d>>) -> Self {
        if list.len() <= FEW {
            let mut kept = 0;
            for place in 0..list.len() {
                let (before, rest) = list.split_at_mut(place);
                match before[..kept].iter_mut().find(|member| member.key == rest[0].key) {
                    Some(first) => first.value = rest[0].value,
                    None => {
                        list.swap(kept, place);
                        kept += 1;
                    }
                }
            }
            list.truncate(kept);
            return Members { list, by_key: Vec::new() };
        }
        // Stable, so that equal keys stay in the order of the text.
        let mut by_key: Vec<u32> = (0..list.len() as u32).collect();
        by_key.sort_by(|&a, &b| list[a as usize].key.cmp(&list[b as usize].key));
        let mut overridden = vec![false; list.len()];
        let mut first = by_key[0] as usize;
        for &place in &by_key[1..] {
            let place = place as usize;
            if list[place].key == list[first].key {
                list[first].value = list[place].value;
                overridden[place] = true;
            } else {
                first = place;
            }
        }
        if overridden.contains(&true) {
            let mut place = 0;
            list.retain(|_| {
                place += 1;
                !overridden[place - 1]
            });
            return Members::new(list);
        }
        Members { list, by_key }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The members in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Member<'d>> {
        self.list.iter()
    }

    /// The value at a decoded `key`. `near` is where to look first.
    pub fn get(&self, key: &[u8], near: usize) -> Option<Value<'d>> {
        if let Some(member) = self.list.get(near)
            && *member.key == *key
        {
            return Some(member.value);
        }
        if self.by_key.is_empty() {
            return self.list.iter().find(|member| *member.key == *key).map(|member| member.value);
        }
        let found =
            self.by_key.binary_search_by(|&place| (*self.list[place as usize].key).cmp(key));
        found.ok().map(|found| self.list[self.by_key[found] as usize].value)
    }
}
