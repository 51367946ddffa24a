//! The grammar of JSON: turns text into a flat list of nodes in one pass and without recursion.
//! Knows nothing of what values mean.

use super::Invalid;

/// One value or key. A container is followed by the nodes inside it, an object's by key and value
/// in turn.
#[derive(Clone, Copy)]
pub(super) struct Node {
    /// Where its text begins.
    pub start: u32,
    /// Where its text ends.
    pub end: u32,
    /// The first node that is not inside it. While a container is open: the container around it.
    pub next: u32,
}

const NO_PARENT: u32 = u32::MAX;

pub(super) fn scan(text: &[u8]) -> Result<Vec<Node>, Invalid> {
    if u32::try_from(text.len()).is_err() {
        return Err(Invalid { offset: u32::MAX as usize });
    }
    let mut scanner =
        Scanner { text, at: 0, nodes: Vec::with_capacity(text.len() / 8 + 4), parent: NO_PARENT };
    scanner.document()?;
    Ok(scanner.nodes)
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    nodes: Vec<Node>,
    /// The innermost open container.
    parent: u32,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Invalid> {
        loop {
            // A value begins here.
            self.skip_space();
            match self.peek() {
                Some(kind @ (b'{' | b'[')) => {
                    self.open();
                    self.skip_space();
                    if self.peek() != Some(closing(kind)) {
                        if kind == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                    self.close();
                }
                _ => self.scalar()?,
            }
            // A value has ended here, and with it perhaps the containers around it.
            loop {
                self.skip_space();
                if self.parent == NO_PARENT {
                    return if self.at == self.text.len() { Ok(()) } else { self.invalid() };
                }
                let kind = self.text[self.nodes[self.parent as usize].start as usize];
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if kind == b'{' {
                            self.skip_space();
                            self.key()?;
                        }
                        break;
                    }
                    Some(byte) if byte == closing(kind) => self.close(),
                    _ => return self.invalid(),
                }
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn invalid<T>(&self) -> Result<T, Invalid> {
        Err(Invalid { offset: self.at })
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.peek() != Some(byte) {
            return self.invalid();
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self) {
        let index = self.nodes.len() as u32;
        self.nodes.push(Node { start: self.at as u32, end: 0, next: self.parent });
        self.parent = index;
        self.at += 1;
    }

    fn close(&mut self) {
        self.at += 1;
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[self.parent as usize];
        self.parent = node.next;
        node.next = next;
        node.end = self.at as u32;
    }

    fn leaf(&mut self, start: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { start: start as u32, end: self.at as u32, next });
    }

    fn key(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        self.string()?;
        self.leaf(start);
        self.skip_space();
        self.expect(b':')
    }

    fn scalar(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            _ => return self.invalid(),
        }
        self.leaf(start);
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Invalid> {
        word.iter().try_for_each(|&byte| self.expect(byte))
    }

    fn string(&mut self) -> Result<(), Invalid> {
        self.expect(b'"')?;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(0..0x20) | None => return self.invalid(),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Invalid> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.invalid();
                    }
                    self.at += 1;
                }
            }
            _ => return self.invalid(),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Invalid> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.invalid() } else { Ok(()) }
    }
}

/// The bracket that closes `{` or `[`: two further on in ASCII.
fn closing(opening: u8) -> u8 {
    opening + 2
}
