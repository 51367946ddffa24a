//! What must hold for any input whatever, each property as one function of bytes: the fuzz targets
//! and the tests call the same ones. A property panics where it does not hold. No part of the
//! library's interface.

// Each item is for the tests alone and says what it is by its name.
#![allow(missing_docs)]

pub mod generate;
pub mod model;

use std::collections::HashSet;

use crate::{
    json::{self, Document, Value},
    merge::{self, Expiry, ExpiryRule, Merged, NotMergeable},
};
use generate::Source;
use model::{Json, Refused, Text};

/// The parser of options answers or refuses; it never panics. Returns how often it answered.
pub fn options(data: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let mut answered = 0;
    let url = serde_json::json!({ "url": format!("memory:{text}") }).to_string();
    for json in [text, &url] {
        if let Ok(options) = crate::options::Options::parse(json, &crate::backends::REGISTRY) {
            answered += 1;
            assert!(options.ttl_ms > 0 && options.max_session_bytes > 0);
            assert!(
                ["max", "maxBytes"]
                    .map(|name| options.number(name))
                    .iter()
                    .all(|n| *n != Some(0.0))
            );
        }
    }
    answered
}

/// What a folder of the file backend holds is read or refused; what is read is what would be written.
/// Returns whether a record was read.
#[cfg(unix)]
pub fn record(data: &[u8]) -> bool {
    use crate::backends::file::layout::{Book, Key, Value};
    if let Some(book) = Book::from_bytes(data) {
        assert_eq!(book.to_bytes(), data);
    }
    if let Some(key) = Key::of_record(data) {
        assert_eq!(Key::of_record(&key.record()), Some(key));
    }
    if let Some((second, key)) = Key::of_due(data) {
        assert_eq!(Key::of_due(&key.due(second)), Some((second, key)));
    }
    let Some(Value { head, sid, payload }) = Value::read(data) else { return false };
    let sid_bytes = sid.len().try_into().expect("the sid has its length in two bytes");
    let mut written = [&head.to_bytes(sid_bytes)[..], sid, payload].concat();
    // Of the flags only one is known; others may be of a later version.
    written[1] = data[1];
    assert_eq!(written, data);
    true
}

/// The reader of records, on the bytes themselves and on JSON made from them.
pub fn json(data: &[u8]) {
    for text in data.split(|&byte| byte == 0xFF).take(2) {
        json_text(text);
    }
    if let Some(at) = data.iter().position(|&byte| byte == 0xFF) {
        json_pair(&data[..at], &data[at + 1..]);
    }
    let mut source = Source(data);
    let value = generate::session(&mut source);
    let edited = generate::edited(&value, &mut source);
    let texts = [&value, &value, &edited].map(|value| generate::render(value, &mut source));
    for text in &texts {
        json_text(text.as_bytes());
    }
    assert!(json::same(texts[0].as_bytes(), texts[1].as_bytes()), "{texts:?}");
    json_pair(texts[0].as_bytes(), texts[2].as_bytes());
}

/// The naive reader's value, where it has one to offer.
fn naive(text: &[u8]) -> Option<Result<Json, Refused>> {
    Some(model::parse(str::from_utf8(text).ok()?)).filter(|read| *read != Err(Refused::Deep))
}

fn json_text(text: &[u8]) {
    let valid = json::validate(text);
    if let Err(invalid) = valid {
        assert!(invalid.offset <= text.len());
    }
    agrees_with_serde_json(text, valid.is_ok());
    if let Some(naive) = naive(text) {
        assert_eq!(valid.is_ok(), naive.is_ok(), "{}", text.escape_ascii());
        if let (Ok(document), Ok(naive)) = (Document::parse(text), naive) {
            assert_eq!(read(document.root()), naive, "{}", text.escape_ascii());
        }
    }
}

fn agrees_with_serde_json(text: &[u8], valid: bool) {
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(_) => assert!(valid, "{}", text.escape_ascii()),
        Err(error) => {
            // What serde_json refuses though JSON.parse does not.
            let lone_half = text.windows(3).any(|w| w.eq_ignore_ascii_case(b"\\ud"));
            let says = error.to_string();
            let limit = ["recursion limit", "out of range"].iter().any(|l| says.contains(l));
            let not_utf8 = str::from_utf8(text).is_err();
            assert!(!valid || limit || lone_half || not_utf8, "{}: {says}", text.escape_ascii());
        }
    }
}

/// The value as the reader under test sees it, member by member.
fn read(value: Value<'_>) -> Json {
    json::validate(value.text()).expect("a value's text is JSON");
    if let Some(number) = value.number() {
        Json::Number(number)
    } else if let Some(string) = value.string() {
        Json::String(units(&string))
    } else if value.is_object() {
        let members = value.members();
        Json::Object(members.iter().map(|m| (units(&m.key), read(m.value))).collect())
    } else {
        match value.text() {
            b"null" => Json::Null,
            b"true" => Json::Bool(true),
            b"false" => Json::Bool(false),
            _ => Json::Array(value.elements().map(read).collect()),
        }
    }
}

/// WTF-8 as UTF-16.
fn units(wtf8: &[u8]) -> Text {
    let mut out = Text::new();
    for chunk in wtf8.chunk_by(|_, next| next & 0xC0 == 0x80) {
        match str::from_utf8(chunk) {
            Ok(text) => out.extend(text.encode_utf16()),
            Err(_) => {
                let [a, b, c] = *chunk else { panic!("neither UTF-8 nor half a pair") };
                let half = u16::from(b & 0x3F) << 6 | u16::from(c & 0x3F);
                assert_eq!((a, half & 0xF800 >> 4 != 0), (0xED, true));
                out.push(0xD000 | half);
            }
        }
    }
    out
}

fn json_pair(a: &[u8], b: &[u8]) {
    let same = json::same(a, b);
    assert_eq!(same, json::same(b, a));
    if let (Some(Ok(left)), Some(Ok(right))) = (naive(a), naive(b)) {
        let texts = (a.escape_ascii(), b.escape_ascii());
        assert_eq!(same, left.same(&right), "{} and {}", texts.0, texts.1);
    }
}

/// The merge, of three texts that the bytes are or of three related sessions made from them.
pub fn merge(data: &[u8]) {
    let mut source = Source(data);
    let expiry = expiry(&mut source);
    let atomic = atomic();
    if source.byte() % 8 == 7 {
        let mut texts = source.0.splitn(3, |&byte| byte == 0xFF);
        let mut next = || texts.next().unwrap_or_default();
        merge_texts([next(), next(), next()], expiry, &atomic);
    } else {
        let base = generate::session(&mut source);
        let mine = generate::edited(&base, &mut source);
        let theirs = generate::edited(&base, &mut source);
        let texts = [base, mine, theirs].map(|session| generate::render(&session, &mut source));
        merge_texts([0, 1, 2].map(|side: usize| texts[side].as_bytes()), expiry, &atomic);
    }
    disjoint_changes(data);
}

fn expiry(source: &mut Source) -> Expiry {
    use ExpiryRule::{Always, Keep, Later, Set};
    let rule = source.pick(&[Keep, Later, Set, Always]);
    Expiry { rule, mine: source.byte().into(), theirs: source.byte().into() }
}

fn atomic() -> Vec<String> {
    vec!["user".into(), "é".into()]
}

fn is_object(text: &[u8]) -> bool {
    Document::parse(text).is_ok_and(|document| document.root().is_object())
}

pub fn merge_texts(texts: [&[u8]; 3], expiry: Expiry, atomic: &[String]) {
    let [base, mine, theirs] = texts;
    let shown = texts.map(|text| text.escape_ascii().to_string());
    let merged = match merge::merge(base, mine, theirs, expiry, atomic) {
        Ok(merged) => merged,
        Err(which) => {
            let bad = match which {
                NotMergeable::Base => base,
                NotMergeable::Mine => mine,
                NotMergeable::Theirs => theirs,
            };
            return assert!(!is_object(bad), "{shown:?}");
        }
    };
    assert!(texts.iter().all(|text| is_object(text)), "{shown:?}");
    assert!(is_object(&merged.payload), "{shown:?}");
    text_is_from(&merged.payload, &texts);
    one_sided(texts, expiry, atomic);
    let naive = texts.map(|text| naive(text).and_then(Result::ok));
    if let [Some(base), Some(mine), Some(theirs)] = &naive {
        let expected = model::merge(base, mine, theirs, expiry, atomic);
        as_the_model(&merged, &expected, &shown);
    }
}

fn as_the_model(merged: &Merged, expected: &model::Outcome, shown: &[String; 3]) {
    let payload = naive(&merged.payload).expect("the payload is JSON");
    assert_eq!(payload, Ok(expected.session.clone()), "{shown:?}");
    assert_eq!(merged.cookie, expected.cookie, "{shown:?}");
    let json = model::parse(&merge::conflicts_json(&merged.conflicts)).expect("paths are JSON");
    let paths = |path: &Vec<Text>| Json::Array(path.iter().cloned().map(Json::String).collect());
    let listed = &expected.conflicts[..merged.conflicts.len()];
    assert_eq!(json, Json::Array(listed.iter().map(paths).collect()), "{shown:?}");
    let bytes: usize = merged.conflicts.iter().map(merge::path_bytes).sum();
    let all = listed.len() == expected.conflicts.len();
    assert!(all || bytes >= merge::MAX_PATH_BYTES, "{shown:?}");
}

/// Every number, string and key of the payload stands in an input as it is.
fn text_is_from(payload: &[u8], inputs: &[&[u8]]) {
    let known: HashSet<&[u8]> = inputs.iter().flat_map(|text| tokens(text)).collect();
    for token in tokens(payload) {
        assert!(known.contains(token), "{} is new", token.escape_ascii());
    }
}

/// The scalars and keys of a valid text.
fn tokens(text: &[u8]) -> Vec<&[u8]> {
    let mut list = Vec::new();
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let length = match first {
            b'"' => {
                let mut end = 1;
                while rest[end] != b'"' {
                    end += if rest[end] == b'\\' { 2 } else { 1 };
                }
                end + 1
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => 0,
            _ => rest.iter().position(|byte| b",]} \t\r\n".contains(byte)).unwrap_or(rest.len()),
        };
        if length > 0 {
            list.push(&rest[..length]);
        }
        rest = &rest[length.max(1)..];
    }
    list
}

/// Where one side changed nothing, or both the same, the result is known.
fn one_sided(texts: [&[u8]; 3], expiry: Expiry, atomic: &[String]) {
    let [base, mine, theirs] = texts;
    let keep = Expiry { rule: ExpiryRule::Keep, ..expiry };
    let set = Expiry { rule: ExpiryRule::Set, ..expiry };
    let always = Expiry { rule: ExpiryRule::Always, ..expiry };
    let cases = [
        (base, theirs, keep, theirs),
        (mine, base, set, mine),
        (mine, base, always, mine),
        (mine, mine, expiry, mine),
        (theirs, theirs, expiry, theirs),
    ];
    for (mine, theirs, expiry, expected) in cases {
        let merged = merge::merge(base, mine, theirs, expiry, atomic).expect("all are objects");
        assert!(
            json::same(&merged.payload, expected),
            "{} and not {}",
            merged.payload.escape_ascii(),
            expected.escape_ascii()
        );
        assert_eq!(merged.conflicts, Vec::<merge::Path>::new());
    }
}

/// Changes at places that do not overlap are all there, whichever side is saved first.
pub fn disjoint_changes(data: &[u8]) {
    let mut source = Source(data);
    let base = generate::session(&mut source);
    let changes = generate::disjoint(&base, &mut source, &atomic());
    let [mut mine, mut theirs, mut both] = [base.clone(), base.clone(), base.clone()];
    generate::apply(&mut mine, &changes[0]);
    generate::apply(&mut theirs, &changes[1]);
    changes.iter().for_each(|changes| generate::apply(&mut both, changes));
    let [base, mine, theirs] =
        [base, mine, theirs].map(|session| generate::render(&session, &mut source).into_bytes());
    let expiry = Expiry { rule: ExpiryRule::Keep, mine: 1, theirs: 1 };
    for (first, second) in [(&mine, &theirs), (&theirs, &mine)] {
        let merged = merge::merge(&base, second, first, expiry, &atomic()).expect("objects");
        let payload = naive(&merged.payload).expect("UTF-8").expect("JSON");
        assert!(payload.same(&both), "{payload:?} and not {both:?}");
        assert_eq!(merged.conflicts, Vec::<merge::Path>::new());
    }
}
