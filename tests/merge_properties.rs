//! The properties of the reader and the merge: under proptest, which shrinks what fails, and as a
//! short run with fixed seeds of what the fuzz targets do.

use proptest::{collection::vec, prelude::*};
use rust_session_store::{merge::Expiry, merge::ExpiryRule, properties};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..400)
}

/// Text that is JSON, nearly JSON, or made of what confuses readers of JSON.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec);
    vec(prop_oneof![9 => piece, 1 => vec(any::<u8>(), 0..3)], 0..40).prop_map(|list| list.concat())
}

fn rule() -> impl Strategy<Value = ExpiryRule> {
    use ExpiryRule::{Always, Keep, Later, Set};
    prop::sample::select(&[Keep, Later, Set, Always][..])
}

const PIECES: [&[u8]; 36] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\"a\"",
    b"\"cookie\":",
    b"{\"a\":1}",
    b"[1,2]",
    b"\"a\":",
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"\\ude00",
    b"\"\\u00e9\"",
    "é".as_bytes(),
    "😀".as_bytes(),
    b"\xED\xA0\x80",
    b"\xFF",
    b"0",
    b"-",
    b"1.0",
    b"1e400",
    b"E+",
    b".",
    b"true",
    b"null",
    b"nul",
    b" ",
    b"\n",
    b"\0",
    b"\"originalMaxAge\":5000",
    b"\"expires\":\"x\"",
    b"\"\":",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_at_disjoint_places_are_all_kept_in_either_order(data in bytes()) {
        properties::disjoint_changes(&data);
    }

    #[test]
    fn a_merge_is_valid_keeps_text_and_agrees_with_the_model(data in bytes()) {
        properties::merge(&data);
    }

    #[test]
    fn the_reader_agrees_with_serde_json_and_a_naive_reader(data in bytes()) {
        properties::json(&data);
    }

    #[test]
    fn nearly_json_is_read_or_refused(text in nearly_json()) {
        properties::json(&text);
    }

    #[test]
    fn nearly_sessions_are_merged_or_refused(texts in vec(nearly_json(), 3), rule in rule()) {
        let texts: Vec<Vec<u8>> =
            texts.iter().map(|inner| [b"{", &inner[..], b"}"].concat()).collect();
        let expiry = Expiry { rule, mine: 2, theirs: 1 };
        properties::merge_texts([&texts[0], &texts[1], &texts[2]], expiry, &["a".into()]);
    }
}

/// A small generator of its own, so that a failure names a seed that reproduces it everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

const SESSION: &str = r#"{"cookie":{"originalMaxAge":86400000,"expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"user":{"id":7,"name":"\u00e9\ud83d\ude00"},"cart":{"a":{"n":1},"b":{"n":2.50}},"tags":[1,"x",null],"theme":"dark"}"#;

/// What a fuzzer would start from: a session, or three with a separator between them.
fn session(random: &mut Random) -> Vec<u8> {
    match random.below(3) {
        0 => (0..random.below(300)).map(|_| random.next() as u8).collect(),
        1 => SESSION.as_bytes().to_vec(),
        _ => {
            let header = [random.next() as u8, 150, 150, 7];
            let three = [SESSION.as_bytes(); 3].join(&0xFF);
            [&header[..], &three].concat()
        }
    }
}

/// Changes up to five bytes or pieces.
fn mutated(mut data: Vec<u8>, pieces: &[&[u8]], random: &mut Random) -> Vec<u8> {
    for _ in 0..random.below(6) {
        let at = random.below(data.len() + 1);
        match random.below(4) {
            0 if at < data.len() => data[at] = random.next() as u8,
            1 if at < data.len() => drop(data.remove(at)),
            2 => data.truncate(at),
            _ => {
                let piece = pieces[random.below(pieces.len())];
                data.splice(at..at, piece.iter().copied());
            }
        }
    }
    data
}

/// Runs a property with fixed seeds. Returns how many of its answers were one.
fn run(
    name: &str,
    make: impl Fn(&mut Random) -> Vec<u8>,
    property: impl Fn(&[u8]) -> bool + std::panic::RefUnwindSafe,
) -> usize {
    let held = |seed: &u64| {
        let data = make(&mut Random(*seed));
        std::panic::catch_unwind(|| property(&data)).unwrap_or_else(|_| {
            panic!("{name} fails for seed {seed}: {}", data.escape_ascii());
        })
    };
    (0..SEEDS as u64).filter(held).count()
}

const SEEDS: usize = 4000;

#[test]
fn fixed_seeds_of_what_the_fuzz_targets_do() {
    for (name, property) in
        [("json", properties::json as fn(&[u8])), ("merge", properties::merge as fn(&[u8]))]
    {
        let make = |random: &mut Random| mutated(session(random), &PIECES, random);
        run(name, make, |data| {
            property(data);
            true
        });
    }
}

const OPTIONS: [&str; 8] = [
    r#"{"url":"memory:app?max=100&maxBytes=1e6","prefix":"a:","ttl":60}"#,
    r#"{"url":"file:./sessions?durability=normal","touchAfter":1.5,"maxSessionBytes":1000}"#,
    r#"{"url":"redis://user:pw@[::1]:6379/3?prefix=a","commandTimeout":2000,"passThrough":true}"#,
    r#"{"url":"redis+sentinel://h1,h2:26379/name/1","ttl":{"function":true},"merge":false}"#,
    r#"{"url":"mongodb://user:p%40@h1,h2/db?replicaSet=a","atomic":["passport","user"]}"#,
    r#"{"serializer":{"stringify":{"function":true},"parse":{"function":true}},"max":null}"#,
    "app?max=100&atomic=user,cart&ttl=60&merge=false",
    "?maxBytes=1048576&prefix=%C3%A9&touchAfter=0",
];

const OPTION_PIECES: [&[u8]; 24] = [
    b"?",
    b"&",
    b"=",
    b",",
    b"%",
    b"%00",
    b"max=0",
    b"&ttl=",
    b"-1",
    b"1e999",
    b"NaN",
    b"\"max\":",
    b"\"ttl\":0,",
    b"\"prefix\":\"\",",
    b"\"atomic\":[],",
    b"\"merge\":1,",
    b"{\"number\":\"Infinity\"}",
    b"{\"function\":true}",
    b"null",
    b"file:",
    b"redis+cluster://",
    b"rediss://",
    b"mongodb+srv://",
    "é".as_bytes(),
];

#[test]
fn fixed_seeds_for_options() {
    let make = |random: &mut Random| {
        let start = OPTIONS[random.below(OPTIONS.len())].as_bytes().to_vec();
        mutated(start, &OPTION_PIECES, random)
    };
    let taken = run("options", make, |data| properties::options(data) > 0);
    // Or it would say little.
    assert!(taken > SEEDS / 10 && taken < SEEDS * 9 / 10, "{taken} of {SEEDS} were taken");
}

#[cfg(unix)]
#[test]
fn fixed_seeds_for_records_of_files() {
    let make = |random: &mut Random| {
        let mut data: Vec<u8> = (0..random.below(80)).map(|_| random.next() as u8).collect();
        if random.below(2) == 0 {
            let head = [1, random.below(4) as u8, 0, random.below(40) as u8];
            data.splice(0..0, head);
        }
        data
    };
    let read = run("record", make, properties::record);
    assert!(read > SEEDS / 10 && read < SEEDS * 9 / 10, "{read} of {SEEDS} were read");
}
