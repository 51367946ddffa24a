//! Takes a text apart: into its shape, and the values of its strings, numbers and truths. Knows nothing of
//! the shapes that were seen before.

use memchr::memmem;

/// Values that one text may have.
pub const MOST_VALUES: usize = 64;

// What stands for a value in a shape: no byte of a text in UTF-8.
const STRING: u8 = 0xf8;
const ESCAPED: u8 = 0xf9;
const NUMBER: u8 = 0xfa;
const TRUTH: u8 = 0xfb;

/// Of a string the units of UTF-16 in which it begins and ends, without its quotes; else the number, or 1
/// for true, and nothing.
pub type Value = (f64, f64);

/// What a text consists of; kept for the next one.
#[derive(Default)]
pub struct Scanned {
    pub shape: Vec<u8>,
    pub values: Vec<Value>,
}

impl Scanned {
    /// Takes a text apart. Returns whether that could be done.
    pub fn scan(&mut self, text: &[u8]) -> bool {
        self.shape.clear();
        self.values.clear();
        // Bytes more than units of UTF-16.
        let mut beyond = 0;
        let mut is_ascii = true;
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'"' => {
                    let begin = at + 1;
                    let Some(string) = string(&text[begin..]) else { return false };
                    let end = begin + string.bytes;
                    let from = begin as isize - beyond;
                    beyond += string.beyond;
                    is_ascii &= string.is_ascii;
                    if text.get(end + 1) == Some(&b':') {
                        self.shape.extend_from_slice(&text[at..end + 2]);
                        at = end + 2;
                        continue;
                    }
                    self.shape.push(if string.is_escaped { ESCAPED } else { STRING });
                    self.values.push((from as f64, (end as isize - beyond) as f64));
                    at = end + 1;
                }
                b'-' | b'0'..=b'9' => {
                    let Some((number, bytes)) = number(&text[at..]) else { return false };
                    self.shape.push(NUMBER);
                    self.values.push((number, 0.0));
                    at += bytes;
                }
                b't' | b'f' => {
                    let word: &[u8] = if byte == b't' { b"true" } else { b"false" };
                    if !text[at..].starts_with(word) {
                        return false;
                    }
                    self.shape.push(TRUTH);
                    self.values.push((f64::from(byte == b't'), 0.0));
                    at += word.len();
                }
                _ => {
                    if !byte.is_ascii() {
                        return false;
                    }
                    self.shape.push(byte);
                    at += 1;
                }
            }
        }
        self.values.len() <= MOST_VALUES && (is_ascii || std::str::from_utf8(text).is_ok())
    }
}

/// See [`Found::begins_once`](super::Found::begins_once).
pub fn begins_once(shape: &[u8]) -> bool {
    // What stands before a space may be a key whose name is taken for a value.
    if shape.iter().any(|byte| *byte == b'\\' || byte.is_ascii_whitespace()) {
        return false;
    }
    let Some(key) = shape.strip_prefix(b"{\"") else { return false };
    let Some(name) = string(key).map(|name| &shape[1..name.bytes + 3]) else { return false };
    memmem::find_iter(shape, name).count() == 1
}

/// What is inside the quotes of a string.
struct Inside {
    bytes: usize,
    /// How many more these are than units of UTF-16.
    beyond: isize,
    is_ascii: bool,
    is_escaped: bool,
}

fn string(text: &[u8]) -> Option<Inside> {
    let mut inside = Inside { bytes: 0, beyond: 0, is_ascii: true, is_escaped: false };
    loop {
        match text.get(inside.bytes)? {
            b'"' => return Some(inside),
            0..0x20 => return None,
            b'\\' => {
                inside.is_escaped = true;
                // Whether it may be escaped shows where the string is read.
                inside.bytes += 1;
            }
            byte @ 0x80.. => {
                inside.is_ascii = false;
                match byte {
                    // Goes on with a character.
                    ..0xc0 => inside.beyond += 1,
                    // Begins one of two units, with three bytes to come.
                    0xf0.. => inside.beyond -= 1,
                    _ => {}
                }
            }
            _ => {}
        }
        inside.bytes += 1;
    }
}

/// A number as JSON has it, and its length. No negative zero: JavaScript would have to look out for it at
/// each number.
fn number(text: &[u8]) -> Option<(f64, usize)> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = usize::from(text[0] == b'-');
    let mut end = whole + digits(whole);
    if end == whole || (text[whole] == b'0' && end > whole + 1) {
        return None;
    }
    let mut is_whole = true;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
        is_whole = false;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent == 0 {
            return None;
        }
        end += 1 + sign + exponent;
        is_whole = false;
    }
    // Digits that a double holds exactly.
    if is_whole && whole == 0 && end <= 15 {
        let number = text[..end].iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        return Some((number as f64, end));
    }
    // Rounded as JSON.parse does: to the nearest double.
    let number: f64 = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    (number != 0.0 || number.is_sign_positive()).then_some((number, end))
}
