//! Sessions made from bytes, so that a fuzzer and proptest can steer and shrink them alike.

use super::model::{Json, Text, text};

/// Choices, read from bytes; the first one when they run out.
pub struct Source<'a>(pub &'a [u8]);

impl Source<'_> {
    pub fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }

    fn one_in(&mut self, n: u8) -> bool {
        self.byte() % n == n - 1
    }
}

const KEYS: [&str; 12] =
    ["a", "b", "c", "cart", "user", "theme", "1", "", "__proto__", "é", "😀", "a\"\\\n"];
const COOKIE_KEYS: [&str; 6] =
    ["originalMaxAge", "expires", "path", "httpOnly", "sameSite", "domain"];
const NUMBERS: [f64; 12] = [
    0.0,
    1.0,
    -1.0,
    2.5,
    1e21,
    -0.0,
    1e-7,
    86_400_000.0,
    86_400_900.0,
    86_402_000.0,
    9_007_199_254_740_993.0,
    0.1,
];

fn key(source: &mut Source) -> Text {
    if source.one_in(16) { vec![0xD800] } else { text(source.pick(&KEYS)) }
}

pub fn value(source: &mut Source, depth: u8) -> Json {
    let kind = source.byte() % if depth == 0 { 6 } else { 12 };
    match kind {
        0 => Json::Null,
        1 => Json::Bool(source.one_in(2)),
        2 | 3 => Json::Number(source.pick(&NUMBERS)),
        4 => Json::String(key(source)),
        5 => Json::String(vec![source.byte().into(), 0xDC00, 0xD83D, 0xDE00]),
        6 | 7 => {
            let count = source.byte() % 4;
            Json::Array((0..count).map(|_| value(source, depth - 1)).collect())
        }
        _ => {
            let mut object = Json::Object(Vec::new());
            // Now and then more members than are searched one by one.
            let many = source.one_in(32);
            for n in 0..if many { 20 } else { source.byte() % 4 } {
                let key = if many { text(&format!("k{n}")) } else { key(source) };
                object.set(key, value(source, if many { 0 } else { depth - 1 }));
            }
            object
        }
    }
}

fn cookie(source: &mut Source) -> Json {
    let mut cookie = Json::Object(Vec::new());
    for _ in 0..source.byte() % 6 {
        let key = text(source.pick(&COOKIE_KEYS));
        cookie.set(key, value(source, 1));
    }
    cookie.set(text("originalMaxAge"), Json::Number(source.pick(&NUMBERS)));
    cookie
}

pub fn session(source: &mut Source) -> Json {
    let mut session = Json::Object(Vec::new());
    if !source.one_in(4) {
        session.set(text("cookie"), cookie(source));
    }
    for _ in 0..source.byte() % 6 {
        session.set(key(source), value(source, 3));
    }
    session
}

/// What `session` may become while a request has it.
pub fn edited(session: &Json, source: &mut Source) -> Json {
    let mut session = session.clone();
    for _ in 0..source.byte() % 4 {
        if source.one_in(4) {
            let fresh = cookie(source);
            session.set(text("cookie"), fresh);
        }
        edit(&mut session, source);
    }
    session
}

fn edit(object: &mut Json, source: &mut Source) {
    let Json::Object(list) = object else { return };
    if list.is_empty() || source.one_in(4) {
        let (key, value) = (key(source), value(source, 2));
        return object.set(key, value);
    }
    let place = usize::from(source.byte()) % list.len();
    if list[place].1.is_object() && !source.one_in(4) {
        return edit(&mut list[place].1, source);
    }
    match source.byte() % 4 {
        0 => drop(list.remove(place)),
        1 => list[place].1 = Json::Null,
        _ => list[place].1 = value(source, 2),
    }
}

/// Where one side may change a session: keys to a member, and what becomes of it.
pub type Change = (Vec<Text>, Option<Json>);

/// Changes for two sides at places that do not overlap: every member of every object that is
/// reached goes to one side, to nobody, or is searched for members in turn.
pub fn disjoint(session: &Json, source: &mut Source, atomic: &[String]) -> [Vec<Change>; 2] {
    let mut sides = [Vec::new(), Vec::new()];
    spread(session, &mut Vec::new(), source, atomic, &mut sides);
    sides
}

fn spread(
    object: &Json,
    path: &mut Vec<Text>,
    source: &mut Source,
    atomic: &[String],
    sides: &mut [Vec<Change>; 2],
) {
    let Json::Object(list) = object else { return };
    for (key, old) in list {
        let unit = path.is_empty()
            && (*key == text("cookie") || atomic.iter().any(|name| text(name) == *key));
        if path.is_empty() && *key == text("cookie") {
            continue;
        }
        path.push(key.clone());
        match source.byte() % 4 {
            0 => {}
            1 if old.is_object() && !unit => spread(old, path, source, atomic, sides),
            _ => {
                let new = (!source.one_in(3)).then(|| value(source, 2));
                sides[usize::from(source.one_in(2))].push((path.clone(), new));
            }
        }
        path.pop();
    }
    for (side, fresh) in sides.iter_mut().zip(["mine only", "theirs only"]) {
        if source.one_in(2) {
            path.push(text(fresh));
            side.push((path.clone(), Some(value(source, 2))));
            path.pop();
        }
    }
}

pub fn apply(session: &mut Json, changes: &[Change]) {
    for (path, new) in changes {
        let (last, parents) = path.split_last().expect("a path has a key");
        let parent = parents.iter().try_fold(&mut *session, |object, key| match object {
            Json::Object(list) => list.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        });
        let Some(Json::Object(list)) = parent else { panic!("changes overlap") };
        match (list.iter().position(|(key, _)| key == last), new) {
            (Some(place), Some(new)) => list[place].1 = new.clone(),
            (Some(place), None) => drop(list.remove(place)),
            (None, Some(new)) => list.push((last.clone(), new.clone())),
            (None, None) => {}
        }
    }
}

/// One of the many texts that stand for `value`.
pub fn render(value: &Json, source: &mut Source) -> String {
    let mut out = String::new();
    write(value, source, &mut out);
    out
}

fn space(source: &mut Source, out: &mut String) {
    if source.one_in(8) {
        out.push_str(source.pick(&[" ", "\n\t", "\r  "]));
    }
}

fn write(value: &Json, source: &mut Source, out: &mut String) {
    space(source, out);
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => out.push_str(&match source.byte() % 4 {
            0 => format!("{number:e}"),
            1 if number.fract() == 0.0 => format!("{number}.00"),
            2 if *number == 0.0 => "0E+5".into(),
            _ => format!("{number}"),
        }),
        Json::String(units) => write_string(units, source, out),
        Json::Array(list) => {
            out.push('[');
            for (place, value) in list.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(value, source, out);
            }
            out.push(']');
        }
        Json::Object(list) => {
            out.push('{');
            for (place, (key, value)) in list.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                space(source, out);
                if source.one_in(16) {
                    // A later member with the same key overrides this one.
                    write_string(key, source, out);
                    out.push_str(":[{\"overridden\":1}],");
                }
                write_string(key, source, out);
                space(source, out);
                out.push(':');
                write(value, source, out);
            }
            out.push('}');
        }
    }
    space(source, out);
}

fn write_string(units: &[u16], source: &mut Source, out: &mut String) {
    out.push('"');
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(c @ ('"' | '\\')) => out.extend(['\\', c]),
            Ok('\n') if source.one_in(2) => out.push_str("\\n"),
            Ok(c) if c < ' ' || source.one_in(8) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            Ok(c) => out.push(c),
            Err(half) => out.push_str(&format!("\\u{:04X}", half.unpaired_surrogate())),
        }
    }
    out.push('"');
}
