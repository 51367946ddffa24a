//! The characters of a string token. JavaScript strings are UTF-16 and may hold half of a
//! surrogate pair, so strings are decoded to WTF-8: UTF-8 that may also hold such halves.

use std::{borrow::Cow, fmt::Write};

/// The characters of a valid string token, so that equal strings are equal bytes. Bytes that are
/// not WTF-8 stay as they are.
pub(super) fn decode(token: &[u8]) -> Cow<'_, [u8]> {
    let inner = &token[1..token.len() - 1];
    // 0xED begins every surrogate that is written as bytes.
    if !inner.iter().any(|&byte| byte == b'\\' || byte == 0xED) {
        return Cow::Borrowed(inner);
    }
    let mut out = Decoded { bytes: Vec::with_capacity(inner.len()), high: None };
    let mut rest = inner;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(unit) = surrogate(rest) {
            out.unit(unit);
            rest = &rest[3..];
        } else if byte != b'\\' {
            out.byte(byte);
            rest = tail;
        } else {
            rest = &tail[1..];
            match tail[0] {
                b'b' => out.byte(8),
                b'f' => out.byte(12),
                b'n' => out.byte(b'\n'),
                b'r' => out.byte(b'\r'),
                b't' => out.byte(b'\t'),
                b'u' => {
                    let (digits, after) = rest.split_at(4);
                    out.unit(digits.iter().fold(0, |unit, &digit| unit << 4 | hex(digit)));
                    rest = after;
                }
                itself => out.byte(itself),
            }
        }
    }
    out.finish()
}

/// A string token as UTF-8: halves of surrogate pairs as escapes, bytes that are no characters as
/// U+FFFD, as JavaScript reads them.
pub(crate) fn portable(token: &[u8]) -> Box<str> {
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while !rest.is_empty() {
        let valid = match str::from_utf8(rest) {
            Ok(_) => rest.len(),
            Err(error) => error.valid_up_to(),
        };
        let (good, bad) = rest.split_at(valid);
        out.push_str(str::from_utf8(good).unwrap_or_default());
        rest = if bad.is_empty() {
            bad
        } else if let Some(unit) = surrogate(bad) {
            let _ = write!(out, "\\u{unit:04x}");
            &bad[3..]
        } else {
            out.push(char::REPLACEMENT_CHARACTER);
            &bad[1..]
        };
    }
    out.into()
}

/// The surrogate that `bytes` begin with.
fn surrogate(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, ..] => {
            Some(0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F))
        }
        _ => None,
    }
}

fn hex(digit: u8) -> u16 {
    let value = match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    };
    u16::from(value)
}

struct Decoded {
    bytes: Vec<u8>,
    /// The first half of a pair, while it may still become one.
    high: Option<u16>,
}

impl Decoded {
    fn byte(&mut self, byte: u8) {
        self.flush();
        self.bytes.push(byte);
    }

    fn unit(&mut self, unit: u16) {
        if let (Some(high), 0xDC00..=0xDFFF) = (self.high, unit) {
            self.high = None;
            self.code(0x10000 + ((u32::from(high) & 0x3FF) << 10 | (u32::from(unit) & 0x3FF)));
            return;
        }
        self.flush();
        if let 0xD800..=0xDBFF = unit {
            self.high = Some(unit);
        } else {
            self.code(u32::from(unit));
        }
    }

    fn flush(&mut self) {
        if let Some(high) = self.high.take() {
            self.code(u32::from(high));
        }
    }

    /// UTF-8's scheme, also for surrogates, which `char` refuses.
    fn code(&mut self, code: u32) {
        let tail = |shift: u32| 0x80 | (code >> shift & 0x3F) as u8;
        match code {
            0..0x80 => self.bytes.push(code as u8),
            0x80..0x800 => self.bytes.extend([0xC0 | (code >> 6) as u8, tail(0)]),
            0x800..0x10000 => self.bytes.extend([0xE0 | (code >> 12) as u8, tail(6), tail(0)]),
            _ => self.bytes.extend([0xF0 | (code >> 18) as u8, tail(12), tail(6), tail(0)]),
        }
    }

    fn finish<'a>(mut self) -> Cow<'a, [u8]> {
        self.flush();
        Cow::Owned(self.bytes)
    }
}
