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
fn mutated(random: &mut Random) -> Vec<u8> {
    let mut data = match random.below(3) {
        0 => (0..random.below(300)).map(|_| random.next() as u8).collect(),
        1 => SESSION.as_bytes().to_vec(),
        _ => {
            let header = [random.next() as u8, 150, 150, 7];
            let three = [SESSION.as_bytes(); 3].join(&0xFF);
            [&header[..], &three].concat()
        }
    };
    for _ in 0..random.below(6) {
        let at = random.below(data.len() + 1);
        match random.below(4) {
            0 if at < data.len() => data[at] = random.next() as u8,
            1 if at < data.len() => drop(data.remove(at)),
            2 => data.truncate(at),
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                data.splice(at..at, piece.iter().copied());
            }
        }
    }
    data
}

#[test]
fn fixed_seeds_of_what_the_fuzz_targets_do() {
    for (name, property) in [
        ("json", properties::json as fn(&[u8])),
        ("merge", properties::merge),
        ("options", properties::options),
    ] {
        for seed in 0..4000 {
            let data = mutated(&mut Random(seed));
            let held = std::panic::catch_unwind(|| property(&data)).is_ok();
            assert!(held, "{name} fails for seed {seed}: {}", data.escape_ascii());
        }
    }
}
