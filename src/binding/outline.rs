//! Texts that are handed out without their beginning, where JavaScript knows it: a session's cookie is as
//! that of others but for two values, and to make it from those takes a fifth of what it takes to parse it.
//! Knows no session; what an outline says, lib/outlines.js has told.
//!
//! `{"cookie":{"originalMaxAge":60000,"expires":"2030-01-01T00:00:00.000Z","path":"/"},"views":1}` is handed
//! out as `{"cookie":"2030-01-01T00:00:00.000Z","views":1}`, with the number of its outline and the 60000.

use std::{cell::RefCell, rc::Rc};

use memchr::memmem;

/// Outlines that are kept. The sessions of an app have one or two.
const MOST: usize = 8;
/// Longer ones are not kept, in bytes.
const MOST_BYTES: usize = 1024;
/// Longer texts are handed out whole, in bytes: little of them is their cookie.
const MOST_TEXT_BYTES: usize = 64 << 10;
/// Of a time as `Date.prototype.toISOString` writes it.
const DATE_BYTES: usize = 24;
/// Digits of a whole number that a double holds exactly.
const MOST_DIGITS: usize = 15;
/// The name whose value is taken out, as every outline begins.
const HEAD: &[u8] = br#"{"cookie":"#;
/// Begins and ends the value that is put in its place.
const QUOTE: &[u8] = b"\"";

/// The beginning of texts, up to the end of the value of their first key.
struct Outline {
    /// Up to the number.
    before: Vec<u8>,
    /// Up to the time. Empty where all is said by `before`, and no number or time is in it.
    between: Vec<u8>,
    after: Vec<u8>,
}

/// A text, taken apart.
struct Parts<'a> {
    number: u64,
    date: &'a [u8],
    rest: &'a [u8],
}

impl Outline {
    fn take_apart<'a>(&self, text: &'a [u8]) -> Option<Parts<'a>> {
        let rest = text.strip_prefix(&*self.before)?;
        if self.between.is_empty() {
            return Some(Parts { number: 0, date: b"", rest });
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).take(MOST_DIGITS + 1);
        let (digits, rest) = rest.split_at(digits.count());
        // As JSON.stringify writes it, or it could not be written again.
        if digits.len() > MOST_DIGITS || !matches!(digits, b"0" | [b'1'..=b'9', ..]) {
            return None;
        }
        let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        let (date, rest) = rest.strip_prefix(&*self.between)?.split_at_checked(DATE_BYTES)?;
        // None of these ends or escapes a string.
        if !date.iter().all(|byte| (b'-'..=b'Z').contains(byte)) {
            return None;
        }
        Some(Parts { number, date, rest: rest.strip_prefix(&*self.after)? })
    }

    fn put_together(&self, &Parts { number, date, rest }: &Parts<'_>, whole: &mut Vec<u8>) {
        whole.extend_from_slice(&self.before);
        if !self.between.is_empty() {
            whole.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            whole.extend_from_slice(&self.between);
            whole.extend_from_slice(date);
            whole.extend_from_slice(&self.after);
        }
        whole.extend_from_slice(rest);
    }
}

/// All outlines of a thread: what was read in one store may be saved in another.
pub struct Outlines {
    kept: RefCell<Vec<Outline>>,
    again: memmem::Finder<'static>,
    escape: memmem::Finder<'static>,
}

thread_local! {
    static OUTLINES: Rc<Outlines> = Rc::new(Outlines {
        kept: RefCell::default(),
        again: memmem::Finder::new(br#""cookie""#),
        escape: memmem::Finder::new(br"\u"),
    });
}

impl Outlines {
    /// Those of this thread.
    pub fn here() -> Rc<Outlines> {
        OUTLINES.with(Rc::clone)
    }

    /// Keeps an outline. Returns its number; None where there is no room for more.
    pub fn keep(&self, [before, between, after]: [&[u8]; 3]) -> Option<usize> {
        let mut kept = self.kept.borrow_mut();
        let is_it = |outline: &Outline| {
            outline.before == before && outline.between == between && outline.after == after
        };
        if let Some(known) = kept.iter().position(is_it) {
            return Some(known);
        }
        let bytes = before.len() + between.len() + after.len();
        if kept.len() == MOST || bytes > MOST_BYTES || !before.starts_with(HEAD) {
            return None;
        }
        let [before, between, after] = [before, between, after].map(<[u8]>::to_vec);
        kept.push(Outline { before, between, after });
        Some(kept.len() - 1)
    }

    /// Makes the short form of a text, where it has one. Returns its outline, and the number in that. Where
    /// the short one [begins twice](Outlines::begins_twice) it is of no use.
    pub fn shorten(&self, text: &[u8], short: &mut Vec<u8>) -> Option<(usize, u64)> {
        if text.len() > MOST_TEXT_BYTES {
            return None;
        }
        let kept = self.kept.borrow();
        let (outline, Parts { number, date, rest }) = (kept.iter().enumerate())
            .find_map(|(number, outline)| Some((number, outline.take_apart(text)?)))?;
        short.clear();
        for part in [HEAD, QUOTE, date, QUOTE, rest] {
            short.extend_from_slice(part);
        }
        Some((outline, number))
    }

    /// Whether the first key of a short text may come again, in which case the last one counts.
    /// JSON.stringify writes no key twice; somebody's hand may, and may escape what it likes.
    pub fn begins_twice(&self, short: &[u8]) -> bool {
        let rest = short.strip_prefix(HEAD).unwrap_or(short);
        self.escape.find(rest).is_some() || self.again.find(rest).is_some()
    }

    /// Makes the text that `short` was made of; None where it is none that [`Outlines::shorten`] has made.
    pub fn lengthen(
        &self,
        short: &[u8],
        outline: usize,
        number: u64,
        whole: &mut Vec<u8>,
    ) -> Option<()> {
        let kept = self.kept.borrow();
        let outline = kept.get(outline)?;
        let length = if outline.between.is_empty() { 0 } else { DATE_BYTES };
        let value = short.strip_prefix(HEAD)?.strip_prefix(QUOTE)?;
        let (date, rest) = value.split_at_checked(length)?;
        whole.clear();
        outline.put_together(&Parts { number, date, rest: rest.strip_prefix(QUOTE)? }, whole);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARTS: [&[u8]; 3] =
        [br#"{"cookie":{"originalMaxAge":"#, br#","expires":""#, br#"","path":"/"}"#];
    const DATE: &str = "2030-01-01T00:00:00.000Z";

    fn keep_usual() -> usize {
        Outlines::here().keep(PARTS).unwrap()
    }

    fn short(text: &str) -> Option<(String, u64)> {
        let outline = keep_usual();
        let mut short = Vec::new();
        let (number, max_age) = Outlines::here().shorten(text.as_bytes(), &mut short)?;
        if Outlines::here().begins_twice(&short) {
            return None;
        }
        assert_eq!(number, outline);
        let mut whole = Vec::new();
        Outlines::here().lengthen(&short, number, max_age, &mut whole).unwrap();
        assert_eq!(whole, text.as_bytes());
        Some((String::from_utf8(short).unwrap(), max_age))
    }

    fn text(max_age: &str, date: &str, rest: &str) -> String {
        format!(r#"{{"cookie":{{"originalMaxAge":{max_age},"expires":"{date}","path":"/"}}{rest}"#)
    }

    #[test]
    fn a_text_of_a_known_outline_is_shortened() {
        let usual = text("60000", DATE, r#","views":1}"#);
        assert_eq!(short(&usual), Some((format!(r#"{{"cookie":"{DATE}","views":1}}"#), 60000)));
        assert_eq!(short(&text("0", DATE, "}")), Some((format!(r#"{{"cookie":"{DATE}"}}"#), 0)));
    }

    #[test]
    fn one_without_a_time_is_too() {
        let before = br#"{"cookie":{"originalMaxAge":null,"expires":null}"#;
        let number = Outlines::here().keep([before, b"", b""]).unwrap();
        let text = [before.as_slice(), br#","a":1}"#].concat();
        let (mut short, mut whole) = (Vec::new(), Vec::new());
        assert_eq!(Outlines::here().shorten(&text, &mut short), Some((number, 0)));
        assert_eq!(short, br#"{"cookie":"","a":1}"#);
        Outlines::here().lengthen(&short, number, 0, &mut whole).unwrap();
        assert_eq!(whole, text);
    }

    #[test]
    fn what_could_not_be_written_again_is_left_whole() {
        for max_age in ["01", "-1", "", "1e3", "1.5", "1234567890123456", "null"] {
            assert_eq!(short(&text(max_age, DATE, "}")), None, "{max_age}");
        }
        for date in [r#"2030-01-01T00:00:00.00"Z"#, r"2030-01-01T00:00:00.00\n", "2030"] {
            assert_eq!(short(&text("1", date, "}")), None, "{date}");
        }
        for rest in [r#","cookie":"x"}"#, r#","\u0063ookie":"x"}"#, r#","a":{"cookie":1}}"#] {
            assert_eq!(short(&text("1", DATE, rest)), None, "{rest}");
        }
        assert!(short(&text("1", DATE, r#","a":"\n"}"#)).is_some());
        assert_eq!(short(r#"{"cookie":{"path":"/"}}"#), None);
        assert_eq!(short(""), None);
        assert_eq!(short(&text("1", DATE, &" ".repeat(MOST_TEXT_BYTES))), None);
    }

    #[test]
    fn only_what_is_short_is_made_whole() {
        let known = keep_usual();
        for short in ["", "{}", r#"{"cookie":1}"#, r#"{"cookie":"2030"}"#, r#"{ "cookie":"x"}"#] {
            let whole = Outlines::here().lengthen(short.as_bytes(), known, 0, &mut Vec::new());
            assert_eq!(whole, None, "{short}");
        }
        let short = format!(r#"{{"cookie":"{DATE}"}}"#);
        let whole = Outlines::here().lengthen(short.as_bytes(), known + 1, 0, &mut Vec::new());
        assert_eq!(whole, None);
    }

    #[test]
    fn only_so_many_are_kept() {
        let parts = |n: usize| format!(r#"{{"cookie":{{"n":{n}}}"#);
        let numbers: Vec<_> =
            (0..20).map(|n| Outlines::here().keep([parts(n).as_bytes(), b"", b""])).collect();
        assert_eq!(numbers.iter().flatten().count(), MOST);
        assert_eq!(Outlines::here().keep([parts(0).as_bytes(), b"", b""]), numbers[0]);
        assert_eq!(Outlines::here().keep([&[b'x'; 2 * MOST_BYTES], b"", b""]), None);
    }

    proptest! {
        #[test]
        fn a_short_text_tells_the_whole_one(max_age: u64, rest in "\\PC{0,40}", cut in 0usize..140) {
            let whole = text(&max_age.to_string(), DATE, &rest);
            short(&whole);
            let cut = whole.floor_char_boundary(cut.min(whole.len()));
            short(&whole[..cut]);
        }
    }
}
