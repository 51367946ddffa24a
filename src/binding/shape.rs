//! The shape of a text: what is left of it when the values of its strings and numbers are taken out. The
//! sessions of an app have few, and JavaScript that was made for a shape puts such a session together, from
//! the places of its values, in a fraction of what it takes to parse the text. Knows no session, and
//! nothing of what is made; that does lib/shapes.js.
//!
//! A text whose shape was seen in JSON that `JSON.parse` has read is JSON too: only values differ, and each
//! is looked at here as the grammar has it (RFC 8259).

use std::{cell::RefCell, rc::Rc};

use self::scan::{Scanned, begins_once};

mod scan;

pub use scan::{MOST_VALUES, Value};

/// Longer texts are not looked at, in bytes.
const MOST_BYTES: usize = 4 << 10;
/// Shapes that are kept.
const MOST: usize = 64;
/// Shapes that were seen once, and are kept to be known again.
const SEEN: usize = 16;
/// Texts without a shape, more than those with one, after which none is looked at for a while.
const PATIENCE: usize = 64;
/// How many are then passed over, before half as many are tried.
const PAUSE: usize = 1000;

/// A shape that was seen before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Which it is.
    pub number: usize,
    /// No key has the name of the first, at whatever depth. False where that is not sure: where a key is
    /// escaped, or there is space between what the text consists of.
    pub begins_once: bool,
}

/// All shapes of a thread.
#[derive(Default)]
pub struct Shapes(RefCell<Kept>);

struct Shape {
    /// What a text has, with something else in place of its values.
    text: Vec<u8>,
    begins_once: bool,
}

#[derive(Default)]
struct Kept {
    /// By number.
    known: Vec<Shape>,
    seen: Vec<Vec<u8>>,
    oldest: usize,
    misses: usize,
    pause: usize,
    text: Scanned,
}

thread_local! {
    static SHAPES: Rc<Shapes> = Rc::default();
}

impl Shapes {
    /// Those of this thread.
    pub fn here() -> Rc<Shapes> {
        SHAPES.with(Rc::clone)
    }

    /// Finds the shape of a text that was seen before, and hands on the values.
    pub fn find(&self, text: &[u8], mut tell: impl FnMut(usize, Value)) -> Option<Found> {
        // Not a value by itself: no session is one.
        if text.len() > MOST_BYTES || !matches!(text.first(), Some(b'{' | b'[')) {
            return None;
        }
        let kept = &mut *self.0.borrow_mut();
        if kept.pause > 0 {
            kept.pause -= 1;
            return None;
        }
        let found = if kept.text.scan(text) { kept.find() } else { None };
        if found.is_none() {
            kept.misses += 1;
            if kept.misses > PATIENCE {
                kept.misses = PATIENCE / 2;
                kept.pause = PAUSE;
            }
            return None;
        }
        kept.misses = kept.misses.saturating_sub(1);
        for (index, value) in kept.text.values.iter().enumerate() {
            tell(index, *value);
        }
        found
    }
}

impl Kept {
    /// The shape that was just scanned; it is known when it is seen again.
    fn find(&mut self) -> Option<Found> {
        let shape = &self.text.shape;
        if let Some(number) = self.known.iter().position(|known| known.text == *shape) {
            return Some(Found { number, begins_once: self.known[number].begins_once });
        }
        if let Some(seen) = self.seen.iter().position(|seen| seen == shape) {
            if self.known.len() == MOST {
                return None;
            }
            let (number, text) = (self.known.len(), self.seen.swap_remove(seen));
            let begins_once = begins_once(&text);
            self.known.push(Shape { text, begins_once });
            return Some(Found { number, begins_once });
        }
        if self.seen.len() < SEEN {
            self.seen.push(shape.clone());
        } else {
            self.seen[self.oldest % SEEN].clone_from(shape);
            self.oldest += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{json::Document, properties::generate};

    /// The number of a text's shape and its values, as they are where it is known.
    fn find(shapes: &Shapes, text: &str) -> Option<(usize, Vec<Value>)> {
        let mut values = Vec::new();
        let shape = shapes.find(text.as_bytes(), |index, value| {
            assert_eq!(index, values.len());
            values.push(value);
        });
        shape.map(|shape| (shape.number, values))
    }

    fn values(text: &str) -> Option<Vec<Value>> {
        let shapes = Shapes::default();
        assert_eq!(find(&shapes, text), None);
        let found = find(&shapes, text)?;
        assert_eq!(Some(&found), find(&shapes, text).as_ref());
        Some(found.1)
    }

    #[test]
    fn values_are_told_in_their_order() {
        let text = r#"{"a":"é😀","b":[1,-2.5e3,true,false,null,"x\"y"],"c":{"":""}}"#;
        let string = |inside: &str| {
            let place = text.find(&format!("\"{inside}\"")).unwrap() + 1;
            let units = |end: usize| text[..end].encode_utf16().count() as f64;
            (units(place), units(place + inside.len()))
        };
        let empty = string("c").1 + 7.0;
        let expected = [
            string("é😀"),
            (1.0, 0.0),
            (-2500.0, 0.0),
            (1.0, 0.0),
            (0.0, 0.0),
            string(r#"x\"y"#),
            (empty, empty),
        ];
        assert_eq!(values(text).unwrap(), expected);
    }

    #[test]
    fn texts_that_differ_in_values_alone_have_one_shape() {
        let shapes = Shapes::default();
        find(&shapes, r#"{"a":"x","b":1,"c":true}"#);
        let (shape, _) = find(&shapes, r#"{"a":"","b":-0.5e-7,"c":false}"#).unwrap();
        assert_eq!(find(&shapes, r#"{"a":"zz","b":0,"c":true}"#).unwrap().0, shape);
        for other in [
            r#"{"b":"x","b":1,"c":true}"#,
            r#"{"a":1,"b":1,"c":true}"#,
            r#"{"a":"\n","b":1,"c":true}"#,
            r#"{"a":"x","b":1,"c":null}"#,
            r#"{"a":"x","b":1,"c":true,"d":1}"#,
            r#"{"a":"x","b":1, "c":true}"#,
            r#"{"a":["x"],"b":1,"c":true}"#,
        ] {
            assert_eq!(find(&shapes, other), None, "{other}");
        }
    }

    #[test]
    fn a_first_key_may_come_again() {
        let begins_once = |text: &str| {
            let shapes = Shapes::default();
            find(&shapes, text);
            shapes.find(text.as_bytes(), |_, _| {}).unwrap().begins_once
        };
        for once in [r#"{"a":"a","b":"\"a\"","aa":["a"]}"#, r#"{"a:":1,"a":{"":2}}"#] {
            assert!(begins_once(once), "{once}");
        }
        for not in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"b":[{"a":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"\u0061":1,"a":2}"#,
            r#"{"a":1,"a" :2}"#,
            "{\"a\":1,\"\\u0061\"\n:2}",
            r#"["a"]"#,
            "{}",
        ] {
            assert!(!begins_once(not), "{not}");
        }
    }

    #[test]
    fn what_no_session_is_or_is_no_json_has_none() {
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MOST_BYTES));
        let many = format!("[{}1]", "1,".repeat(MOST_VALUES));
        for text in [
            "",
            "1",
            "\"a\"",
            "true",
            "[1.]",
            "[-]",
            "[1e]",
            "[truth]",
            "[\"a]",
            "[\"\u{1}\"]",
            "[\"\\",
            "[é]",
            &long,
            &many,
        ] {
            assert_eq!(values(text), None, "{text:?}");
        }
        assert_eq!(Shapes::default().find(b"[\"\xf0\x80\"]", |_, _| {}), None);
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_double() {
        for (text, number) in [
            ("0", 0.0),
            ("123456789012345", 123456789012345.0),
            ("9007199254740993", 9007199254740992.0),
            ("0.1", 0.1),
            ("1e400", f64::INFINITY),
            ("5e-324", 5e-324),
        ] {
            assert_eq!(values(&format!("[{text}]")), Some(vec![(number, 0.0)]), "{text}");
        }
        for zero in ["-0", "-0.0", "-1e-400"] {
            assert_eq!(values(&format!("[{zero}]")), None, "{zero}");
        }
    }

    #[test]
    fn only_so_many_are_kept_and_texts_without_are_not_looked_at_for_ever() {
        let shapes = Shapes::default();
        let text = |n: usize| format!(r#"{{"k{n}":1}}"#);
        let mut found = Vec::new();
        for n in 0..MOST + 8 {
            find(&shapes, &text(n));
            found.extend(find(&shapes, &text(n)).map(|(shape, _)| shape));
            // So that it goes on looking.
            find(&shapes, &text(0));
        }
        assert_eq!(found, (0..MOST).collect::<Vec<_>>());
        for n in 0..=PATIENCE {
            find(&shapes, &text(1000 + n));
        }
        assert_eq!((0..PAUSE / 2).filter_map(|_| find(&shapes, &text(0))).count(), 0);
        (0..PAUSE).for_each(|_| drop(find(&shapes, &text(0))));
        assert_eq!(find(&shapes, &text(0)).map(|(shape, _)| shape), Some(0));
    }

    proptest! {
        #[test]
        fn what_has_the_shape_of_json_is_json(
            choices in proptest::collection::vec(any::<u8>(), 0..80),
            place: usize,
            instead in "[ -~]{0,2}",
        ) {
            let session = generate::session(&mut generate::Source(&choices));
            let text = generate::render(&session, &mut generate::Source(&[]));
            let shapes = Shapes::default();
            find(&shapes, &text);
            let known = find(&shapes, &text);
            let place = text.floor_char_boundary(place % text.len());
            let end = text.ceil_char_boundary(place + 1);
            let other = [&text[..place], &instead, &text[end..]].concat();
            // What is escaped is looked at where it is read.
            if known.is_some() && !other.contains('\\') && find(&shapes, &other).is_some() {
                Document::parse(other.as_bytes()).unwrap();
            }
        }
    }
}
