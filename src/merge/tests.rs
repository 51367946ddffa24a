use super::*;

const KEEP: Expiry = Expiry { rule: ExpiryRule::Keep, mine: 100, theirs: 200 };

fn merged(base: &str, mine: &str, theirs: &str, expiry: Expiry) -> Merged {
    let atomic = ["passport".to_string(), "user".to_string()];
    merge(base.as_bytes(), mine.as_bytes(), theirs.as_bytes(), expiry, &atomic).unwrap()
}

/// Merges, and checks the payload and the conflicts.
#[track_caller]
fn check(base: &str, mine: &str, theirs: &str, payload: &str, conflicts: &str) {
    let merged = merged(base, mine, theirs, KEEP);
    assert_eq!(String::from_utf8(merged.payload).unwrap(), payload);
    assert_eq!(conflicts_json(&merged.conflicts), conflicts);
}

#[test]
fn a_change_of_one_side_is_kept() {
    check(r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#, r#"{"a":2}"#, "[]");
    check(r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":2}"#, "[]");
    check(r#"{"a":1,"b":1}"#, r#"{"a":2,"b":1}"#, r#"{"a":1,"b":2}"#, r#"{"a":2,"b":2}"#, "[]");
    check(r#"{"a":1,"b":1}"#, r#"{"b":1}"#, r#"{"a":1}"#, "{}", "[]");
    check("{}", r#"{"a":1}"#, r#"{"b":1}"#, r#"{"b":1,"a":1}"#, "[]");
}

#[test]
fn the_same_change_on_both_sides_is_theirs_text_and_no_conflict() {
    check(r#"{"a":1}"#, r#"{"a":2.0}"#, r#"{"a":2}"#, r#"{"a":2}"#, "[]");
    check("{}", r#"{"a":[1]}"#, r#"{"a":[ 1 ]}"#, r#"{"a":[ 1 ]}"#, "[]");
    check(r#"{"a":1}"#, "{}", "{}", "{}", "[]");
    check(r#"{"a":{"x":1}}"#, r#"{"a":{"x":2}}"#, r#"{"a":{ "x":2}}"#, r#"{"a":{ "x":2}}"#, "[]");
}

#[test]
fn another_writers_spelling_is_no_change() {
    check(r#"{"a":1,"é":"é"}"#, r#"{"a":1.0,"\u00e9":"\u00e9"}"#, "{}", "{}", "[]");
    check(r#"{"a":1}"#, r#"{"a":3}"#, r#"{"a":1.0}"#, r#"{"a":3}"#, "[]");
}

#[test]
fn scalars_and_arrays_that_both_changed_are_mine() {
    check(r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":2}"#, r#"[["a"]]"#);
    check(r#"{"a":[]}"#, r#"{"a":[1]}"#, r#"{"a":[2]}"#, r#"{"a":[1]}"#, r#"[["a"]]"#);
    check("{}", r#"{"a":[{}]}"#, r#"{"a":{}}"#, r#"{"a":[{}]}"#, r#"[["a"]]"#);
    check(r#"{"a":{}}"#, r#"{"a":"x"}"#, r#"{"a":{"b":1}}"#, r#"{"a":"x"}"#, r#"[["a"]]"#);
}

#[test]
fn a_deletion_stays_and_so_does_null() {
    let base = r#"{"a":{"b":1}}"#;
    let changed = r#"{"a":{"b":2}}"#;
    check(base, "{}", changed, "{}", r#"[["a"]]"#);
    check(base, changed, "{}", "{}", r#"[["a"]]"#);
    check(base, r#"{"a":null}"#, changed, r#"{"a":null}"#, r#"[["a"]]"#);
    check(base, changed, r#"{"a":null}"#, r#"{"a":null}"#, r#"[["a"]]"#);
    check(base, r#"{"a":{}}"#, changed, r#"{"a":{}}"#, r#"[["a","b"]]"#);
    check(base, changed, r#"{"a":{}}"#, r#"{"a":{}}"#, r#"[["a","b"]]"#);
    check(r#"{"a":[1]}"#, r#"{"a":[2]}"#, "{}", "{}", r#"[["a"]]"#);
}

#[test]
fn deleted_on_one_side_and_null_on_the_other_is_mine() {
    check(r#"{"a":1}"#, "{}", r#"{"a":null}"#, "{}", r#"[["a"]]"#);
    check(r#"{"a":1}"#, r#"{"a":null}"#, "{}", r#"{"a":null}"#, r#"[["a"]]"#);
}

#[test]
fn objects_are_merged_by_key_at_every_level() {
    check(
        r#"{"cart":{"x":{"n":1},"y":{"n":1}}}"#,
        r#"{"cart":{"x":{"n":2},"y":{"n":1},"mine":1}}"#,
        r#"{"cart":{"theirs":1,"x":{"n":1,"gift":true}}}"#,
        r#"{"cart":{"theirs":1,"x":{"n":2,"gift":true},"mine":1}}"#,
        "[]",
    );
    check(
        r#"{"cart":{"x":{"n":1}}}"#,
        r#"{"cart":{"x":{"n":2}}}"#,
        r#"{"cart":{"x":{"n":3}}}"#,
        r#"{"cart":{"x":{"n":2}}}"#,
        r#"[["cart","x","n"]]"#,
    );
}

#[test]
fn a_base_that_is_no_object_counts_as_empty() {
    for base in ["{}", r#"{"a":null}"#, r#"{"a":[1]}"#, r#"{"a":"x"}"#] {
        check(base, r#"{"a":{"m":1}}"#, r#"{"a":{"t":1}}"#, r#"{"a":{"t":1,"m":1}}"#, "[]");
    }
    check("{}", r#"{"a":{"k":1}}"#, r#"{"a":{"k":2}}"#, r#"{"a":{"k":1}}"#, r#"[["a","k"]]"#);
}

#[test]
fn atomic_keys_are_units_at_the_top_only() {
    let base = r#"{"passport":{"user":1},"user":{"id":1}}"#;
    let mine = r#"{"passport":{"user":2},"user":{"id":1,"m":1}}"#;
    let theirs = r#"{"passport":{"user":1,"t":1},"user":{"id":2}}"#;
    check(base, mine, theirs, mine, r#"[["passport"],["user"]]"#);
    check(base, base, theirs, theirs, "[]");
    check(
        r#"{"a":{}}"#,
        r#"{"a":{"user":{"m":1}}}"#,
        r#"{"a":{"user":{"t":1}}}"#,
        r#"{"a":{"user":{"t":1,"m":1}}}"#,
        "[]",
    );
    check(
        "{}",
        r#"{"\u0075ser":{"m":1}}"#,
        r#"{"user":{}}"#,
        r#"{"user":{"m":1}}"#,
        r#"[["user"]]"#,
    );
}

#[test]
fn text_and_order_stay_as_they_stand() {
    check(
        r#"{"n":1.00,"s":"\u00e9","o":{"a":1},"z":0}"#,
        r#"{"z":1e0,"n":1.00,"s":"\u00e9","o":{"a":1},"new":-0.0}"#,
        r#"{ "s" : "\u00e9", "o":{ "b":2, "a" : 1 }, "n":1.00, "z":0 }"#,
        r#"{"s":"\u00e9","o":{ "b":2, "a" : 1 },"n":1.00,"z":1e0,"new":-0.0}"#,
        "[]",
    );
}

#[test]
fn keys_stand_in_theirs_order_also_where_theirs_changed_nothing_that_mine_did_not() {
    check(
        r#"{"o":{"x":1,"y":1,"z":1}}"#,
        r#"{"o":{"z":2,"y":1}}"#,
        r#"{"o":{"y":1,"z":1}}"#,
        r#"{"o":{"y":1,"z":2}}"#,
        "[]",
    );
    check(
        r#"{"o":{"x":1}}"#,
        r#"{"o":{"k":{"m":1},"x":1}}"#,
        r#"{"o":{"x":1,"k":{}}}"#,
        r#"{"o":{"x":1,"k":{"m":1}}}"#,
        "[]",
    );
}

#[test]
fn keys_of_every_kind_survive() {
    let text = r#"{"__proto__":1,"\ud800":1,"":1,"a\"b":1,"\u0000":1}"#;
    let mine = text.replace(":1", ":2");
    let theirs = text.replace(":1", ":3");
    let keys = r#"[["__proto__"],["\ud800"],[""],["a\"b"],["\u0000"]]"#;
    check(text, &mine, &theirs, &mine, keys);
    let half = b"{\"\xED\xA0\x80\":{\"\xFF\":1}}";
    let merged = merge(b"{}", half, br#"{"\ud800":{"\u00ff":1}}"#, KEEP, &[]).unwrap();
    assert_eq!(merged.payload, b"{\"\\ud800\":{\"\\u00ff\":1,\"\xFF\":1}}");
    let changed = half.map(|byte| if byte == b'1' { b'2' } else { byte });
    let merged = merge(b"{}", half, &changed, KEEP, &[]).unwrap();
    assert_eq!(conflicts_json(&merged.conflicts), "[[\"\\ud800\",\"\u{fffd}\"]]");
}

#[test]
fn what_is_no_object_cannot_be_merged() {
    for bad in ["", "[]", "1", "null", "{", "{}x"].map(str::as_bytes) {
        let with = |base, mine, theirs| merge(base, mine, theirs, KEEP, &[]).unwrap_err();
        assert_eq!(with(bad, b"{}", b"{}"), NotMergeable::Base);
        assert_eq!(with(b"{}", bad, b"{}"), NotMergeable::Mine);
        assert_eq!(with(b"{}", b"{}", bad), NotMergeable::Theirs);
    }
    assert_eq!(NotMergeable::Mine.to_string(), "the text of the save is not a JSON object");
}

fn cookie_of(max_age: &str, expires: &str, rest: &str) -> String {
    format!(r#"{{"cookie":{{"originalMaxAge":{max_age},"expires":"{expires}"{rest}}}}}"#)
}

#[test]
fn the_expiry_comes_from_the_side_that_moved_it() {
    use ExpiryRule::{Keep, Later, Set};
    let base = cookie_of("5000", "b", "");
    let mine = cookie_of("5001", "m", "");
    let drifted = cookie_of("6000", "t", "");
    let moved = cookie_of("6001", "t", "");
    let session_cookie = cookie_of("null", "t", "");
    let cases = [
        (Set, 100, 200, &moved, Side::Mine),
        (Keep, 300, 200, &drifted, Side::Theirs),
        (Keep, 300, 200, &moved, Side::Theirs),
        (Later, 300, 200, &drifted, Side::Mine),
        (Later, 200, 200, &drifted, Side::Theirs),
        (Later, 100, 200, &drifted, Side::Theirs),
        (Later, 300, 200, &moved, Side::Theirs),
        (Later, 300, 200, &session_cookie, Side::Theirs),
        (Later, 300, 200, &base, Side::Mine),
        (Set, 100, 200, &base, Side::Mine),
        (Keep, 100, 200, &base, Side::Theirs),
    ];
    for (rule, ms, theirs_ms, theirs, side) in cases {
        let merged = merged(&base, &mine, theirs, Expiry { rule, mine: ms, theirs: theirs_ms });
        let payload = if side == Side::Mine { &mine } else { theirs };
        assert_eq!(merged.cookie, side, "{rule:?} {theirs}");
        assert_eq!(String::from_utf8(merged.payload).unwrap(), *payload);
        assert_eq!(merged.conflicts, Vec::<Path>::new());
    }
}

#[test]
fn an_expiry_that_is_always_mine_leaves_the_cookie_to_who_changed_its_max_age() {
    let base = cookie_of("5000", "b", "");
    let same = cookie_of("5000", "m", "");
    let drifted = cookie_of("6000", "d", "");
    let moved = cookie_of("6001", "x", "");
    let session_cookie = cookie_of("null", "s", "");
    let cases = [
        (&same, &moved, Side::Theirs),
        (&same, &session_cookie, Side::Theirs),
        (&drifted, &moved, Side::Theirs),
        (&same, &drifted, Side::Mine),
        (&same, &base, Side::Mine),
        (&moved, &base, Side::Mine),
        (&moved, &session_cookie, Side::Mine),
        (&session_cookie, &moved, Side::Mine),
    ];
    for (mine, theirs, side) in cases {
        for (ms, theirs_ms) in [(100, 200), (200, 100)] {
            let expiry = Expiry { rule: ExpiryRule::Always, mine: ms, theirs: theirs_ms };
            let merged = merged(&base, mine, theirs, expiry);
            assert_eq!(merged.cookie, side, "{mine} {theirs}");
            let payload = if side == Side::Mine { mine } else { theirs };
            assert_eq!(String::from_utf8(merged.payload).unwrap(), *payload);
        }
    }
}

#[test]
fn max_age_moves_to_and_from_a_number_but_not_between_other_values() {
    let later = Expiry { rule: ExpiryRule::Later, mine: 300, theirs: 200 };
    for (base, theirs, moved) in [
        ("null", "null", false),
        ("null", "\"x\"", false),
        ("null", "5", true),
        ("5", "null", true),
        ("1e3", "2000", false),
        ("1e3", "2000.5", true),
    ] {
        let base = cookie_of(base, "b", "");
        let merged = merged(&base, &base, &cookie_of(theirs, "t", ""), later);
        assert_eq!(merged.cookie == Side::Theirs, moved);
    }
}

#[test]
fn the_expiry_is_decided_without_a_cookie_too() {
    let side = |rule, mine, theirs| merged("{}", "{}", "{}", Expiry { rule, mine, theirs }).cookie;
    assert_eq!(side(ExpiryRule::Set, 1, 2), Side::Mine);
    assert_eq!(side(ExpiryRule::Always, 1, 2), Side::Mine);
    assert_eq!(side(ExpiryRule::Keep, 3, 2), Side::Theirs);
    assert_eq!(side(ExpiryRule::Later, 3, 2), Side::Mine);
    assert_eq!(side(ExpiryRule::Later, 1, 2), Side::Theirs);
}

#[test]
fn other_cookie_fields_are_merged_and_never_a_conflict() {
    let base = cookie_of("5000", "b", r#","path":"/","secure":false,"domain":"d","x":1"#);
    let mine = cookie_of("5000", "m", r#","path":"/m","secure":true,"domain":null,"m":1"#);
    let theirs = cookie_of("5000", "t", r#","path":"/t","secure":false,"domain":"t","x":2,"t":1"#);
    let expected =
        cookie_of("5000", "t", r#","path":"/m","secure":true,"domain":null,"t":1,"m":1"#);
    check(&base, &mine, &theirs, &expected, "[]");
    // Units, whatever they hold.
    let with = |inner: &str| format!(r#"{{"cookie":{{"x":{inner}}}}}"#);
    check(&with("{}"), &with(r#"{"m":1}"#), &with(r#"{"t":1}"#), &with(r#"{"m":1}"#), "[]");
}

#[test]
fn expires_and_max_age_are_absent_where_their_side_has_none() {
    let set = Expiry { rule: ExpiryRule::Set, ..KEEP };
    let full = cookie_of("5000", "t", "");
    let payload = |mine: &str, theirs: &str, expiry| {
        String::from_utf8(merged(&full, mine, theirs, expiry).payload).unwrap()
    };
    assert_eq!(payload(r#"{"cookie":{}}"#, &full, set), r#"{"cookie":{}}"#);
    assert_eq!(payload(&full, r#"{"cookie":{}}"#, KEEP), r#"{"cookie":{}}"#);
    assert_eq!(payload(&full, r#"{"cookie":{}}"#, set), full);
}

#[test]
fn a_cookie_that_is_gone_or_no_object_is_merged_like_any_value_without_conflict() {
    let base = cookie_of("5000", "b", "");
    let changed = cookie_of("5000", "c", "");
    check(&base, "{}", &base, "{}", "[]");
    check(&base, "{}", &changed, "{}", "[]");
    check(&base, &changed, "{}", "{}", "[]");
    check(&base, r#"{"cookie":null}"#, &changed, r#"{"cookie":null}"#, "[]");
    check(&base, &changed, r#"{"cookie":null}"#, r#"{"cookie":null}"#, "[]");
    check(&base, r#"{"cookie":1}"#, r#"{"cookie":2}"#, r#"{"cookie":1}"#, "[]");
    let none = r#"{"cookie":null}"#;
    check(
        none,
        r#"{"cookie":{"m":1}}"#,
        r#"{"cookie":{"t":1}}"#,
        r#"{"cookie":{"t":1,"m":1}}"#,
        "[]",
    );
}

#[test]
fn an_untouched_cookie_keeps_its_text() {
    let base = r#"{"cookie":{ "path" : "/" },"a":1}"#;
    check(base, &base.replace('1', "2"), base, &base.replace('1', "2"), "[]");
}

fn deep(depth: usize, key: &str, value: &str) -> String {
    let open = format!("{{\"{key}\":");
    open.repeat(depth) + value + &"}".repeat(depth)
}

#[test]
fn objects_below_the_depth_limit_are_units() {
    // The root is at level 0, so the object that `value` stands for is at level `depth`.
    let at = |depth: usize| {
        let [base, mine, theirs] =
            ["{}", r#"{"m":1}"#, r#"{"t":1}"#].map(|value| deep(depth, "k", value));
        let merged = merged(&base, &mine, &theirs, KEEP);
        (String::from_utf8(merged.payload).unwrap(), merged.conflicts)
    };
    let (payload, conflicts) = at(MAX_DEPTH);
    assert_eq!(payload, deep(MAX_DEPTH, "k", r#"{"t":1,"m":1}"#));
    assert!(conflicts.is_empty());
    let (payload, conflicts) = at(MAX_DEPTH + 1);
    assert_eq!(payload, deep(MAX_DEPTH + 1, "k", r#"{"m":1}"#));
    assert_eq!(conflicts[0].len(), MAX_DEPTH + 1);
}

#[test]
fn who_changed_what_is_told_at_any_depth_and_length() {
    for depth in [1, TEXT_LEVELS - 1, TEXT_LEVELS, TEXT_LEVELS + 1, 150] {
        for pad in [0, 5000] {
            let text = |a: &str, b: &str| {
                let inner = format!(r#"{{"a":{a},"pad":"{}","b":{b}}}"#, "x".repeat(pad));
                format!(r#"{{"top":{{"in":{}}},"z":0}}"#, deep(depth, "k", &inner))
            };
            let base = text("1", "1");
            let respelled = text("1.0", "1e0");
            let theirs = text("1", "3");
            check(&base, &base, &theirs, &theirs, "[]");
            check(&base, &respelled, &theirs, &theirs, "[]");
            check(&base, &theirs, &base, &theirs, "[]");
            check(&base, &theirs, &respelled, &theirs, "[]");
            check(&base, &respelled, &base, &base, "[]");
            check("{}", &respelled, &base, &base, "[]");
            check(&base, &text("2", "1"), &theirs, &text("2", "3"), "[]");
            check(&base, &text("2.0", "1"), &text("2", "1.0"), &text("2", "1.0"), "[]");
            let keys = [r#""top","in","#, &r#""k","#.repeat(depth), r#""b""#].concat();
            check(&base, &text("1", "2"), &theirs, &text("1", "2"), &format!("[[{keys}]]"));
        }
    }
}

#[test]
fn no_depth_overflows_the_stack_or_takes_long() {
    const DEPTH: usize = 200_000;
    let [base, mine, theirs] = ["1", "2", "3"].map(|value| deep(DEPTH, "k", value));
    assert_eq!(merged(&base, &mine, &theirs, KEEP).payload, mine.as_bytes());
    assert_eq!(merged(&base, &base, &theirs, KEEP).payload, theirs.as_bytes());
    // Both sides change a large object at the depth limit: each level asks only once.
    let large = |extra: &str| {
        let members: Vec<String> = (0..20_000).map(|n| format!("\"{n:x}\":{n}")).collect();
        deep(MAX_DEPTH, "k", &format!("{{{}{extra}}}", members.join(",")))
    };
    let [base, mine, theirs] = ["", r#","m":1"#, r#","t":1"#].map(large);
    assert_eq!(merged(&base, &mine, &theirs, KEEP).payload, large(r#","t":1,"m":1"#).as_bytes());
}

#[test]
fn paths_that_would_take_more_than_the_session_are_left_out() {
    let key = "k".repeat(1000);
    let with = |value: u8| {
        let members: Vec<String> = (0..500).map(|n| format!("\"{n}\":{value}")).collect();
        format!("{{\"{key}\":{{{}}}}}", members.join(","))
    };
    let merged = merged("{}", &with(1), &with(2), KEEP);
    assert_eq!(merged.payload, with(1).as_bytes());
    assert!((50..70).contains(&merged.conflicts.len()), "{}", merged.conflicts.len());
}
