use super::*;

fn refused_at(text: &str) -> Option<usize> {
    validate(text.as_bytes()).err().map(|invalid| invalid.offset)
}

fn is_same(a: &str, b: &str) -> bool {
    let both = [same(a.as_bytes(), b.as_bytes()), same(b.as_bytes(), a.as_bytes())];
    assert_eq!(both[0], both[1], "{a} and {b}");
    both[0]
}

fn deep(depth: usize, inner: &str) -> String {
    "[".repeat(depth) + inner + &"]".repeat(depth)
}

#[test]
fn accepts_what_json_parse_accepts() {
    for text in [
        "0",
        "-0",
        "10.50",
        "1e5",
        "1E+5",
        "-1.0e-10",
        "1e400",
        "true",
        "false",
        "null",
        "\"\"",
        r#""\"\\\/\b\f\n\r\t\u00e9""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        "\"\u{7f}é😀\u{2028}\"",
        " \t\r\n[ ] ",
        "{}",
        "[[],{}]",
        r#"{"":0," ":[1,2],"a":{"a":null}}"#,
        r#"{"a":1,"a":2}"#,
    ] {
        assert_eq!(refused_at(text), None, "{text}");
    }
}

#[test]
fn refuses_what_json_parse_refuses_and_says_where() {
    for (text, offset) in [
        ("", 0),
        (" ", 1),
        ("\u{feff}1", 0),
        ("\u{a0}1", 0),
        ("1 2", 2),
        ("nul", 3),
        ("nulL", 3),
        ("True", 0),
        ("NaN", 0),
        ("Infinity", 0),
        ("undefined", 0),
        ("'a'", 0),
        ("01", 1),
        ("-", 1),
        ("+1", 0),
        (".5", 0),
        ("5.", 2),
        ("1.e5", 2),
        ("1e", 2),
        ("1e+", 3),
        ("0x10", 1),
        ("1_0", 1),
        ("-01", 2),
        ("--1", 1),
        ("\"", 1),
        ("\"a", 2),
        ("\"\n\"", 1),
        ("\"\0\"", 1),
        ("\"\u{1f}\"", 1),
        ("\"\\\"", 3),
        (r#""\x""#, 2),
        (r#""\u12g4""#, 5),
        (r#""\u123""#, 6),
        (r#""\U0041""#, 2),
        ("\"\\", 2),
        ("[", 1),
        ("[1", 2),
        ("[1,", 3),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[}", 1),
        ("[1}", 2),
        ("]", 0),
        ("[]]", 2),
        ("{", 1),
        ("{a:1}", 1),
        ("{1:1}", 1),
        (r#"{"a"}"#, 4),
        (r#"{"a":}"#, 5),
        (r#"{"a" 1}"#, 5),
        (r#"{"a":1,}"#, 7),
        (r#"{"a":1]"#, 6),
        (r#"{,}"#, 1),
        (r#"{"a":1 "b":2}"#, 7),
        ("{]", 1),
        ("// a\n1", 0),
        ("1/**/", 1),
    ] {
        assert_eq!(refused_at(text), Some(offset), "{text}");
    }
}

#[test]
fn any_bytes_from_0x80_up_may_stand_in_a_string() {
    for inner in [&b"\xED\xA0\x80"[..], b"\xFF", b"\xC3", b"\xED", b"\xED\xA0"] {
        let text = [b"\"", inner, b"\""].concat();
        assert_eq!(validate(&text), Ok(()));
        let document = Document::parse(&text).unwrap();
        assert_eq!(document.root().string().unwrap(), inner);
    }
    assert!(validate(b"\xC3\xA9").is_err());
}

#[test]
fn no_depth_is_too_deep() {
    const DEPTH: usize = 1_000_000;
    assert_eq!(refused_at(&"[".repeat(DEPTH)), Some(DEPTH));
    assert_eq!(refused_at(&"{\"a\":".repeat(DEPTH)), Some(5 * DEPTH));
    assert_eq!(refused_at(&deep(DEPTH, "1")), None);
    // Deep enough to overflow any stack that grows with it.
    const NESTED: usize = 150_000;
    assert!(is_same(&deep(NESTED, "1"), &deep(NESTED, "1.0")));
    assert!(!is_same(&deep(NESTED, ""), &deep(NESTED - 1, "")));
    let objects = |inner: &str| "{\"a\":".repeat(NESTED) + inner + &"}".repeat(NESTED);
    assert!(is_same(&objects("1"), &objects(" 1")));
}

#[test]
fn numbers_are_the_same_as_doubles() {
    for (a, b) in [
        ("1", "1.0"),
        ("100", "1e2"),
        ("-0", "0"),
        ("0.1", "1E-1"),
        ("1e400", "1e500"),
        ("9007199254740992", "9007199254740993"),
        ("0.1", "0.1000000000000000055"),
    ] {
        assert!(is_same(a, b), "{a} and {b}");
    }
    for (a, b) in [("1", "2"), ("1", "-1"), ("1", "\"1\""), ("0", "null"), ("0", "false")] {
        assert!(!is_same(a, b), "{a} and {b}");
    }
}

#[test]
fn strings_are_the_same_by_their_characters() {
    for (a, b) in [
        (r#""\u00e9""#, "\"é\""),
        (r#""\ud83d\ude00""#, "\"😀\""),
        (r#""\uD83D\uDE00""#, "\"😀\""),
        (r#""\/\n\u0041""#, r#""/\u000aA""#),
        (r#""\u20ac""#, "\"€\""),
        ("\"힟\"", r#""\ud79f""#),
    ] {
        assert!(is_same(a, b), "{a} and {b}");
    }
    for (a, b) in [
        (r#""\ud83d""#, "\"😀\""),
        (r#""\ud800""#, r#""\ud801""#),
        (r#""\ude00\ud83d""#, "\"😀\""),
        (r#""\ud83dx\ude00""#, "\"😀\""),
        ("\"e\u{301}\"", "\"é\""),
        (r#""\ud800""#, "\"\u{fffd}\""),
        (r#""\\u00e9""#, "\"é\""),
        ("\"true\"", "true"),
    ] {
        assert!(!is_same(a, b), "{a} and {b}");
    }
}

#[test]
fn a_surrogate_in_bytes_is_the_same_as_its_escape() {
    assert!(same(b"\"\xED\xA0\xBD\"", br#""\ud83d""#));
    assert!(same(b"\"\xED\xA0\xBD\\ude00\"", "\"😀\"".as_bytes()));
    assert!(same(b"\"\\ud83d\xED\xB8\x80\"", "\"😀\"".as_bytes()));
    assert!(same(b"\"\xED\xA0\xBD\xED\xB8\x80\"", "\"😀\"".as_bytes()));
    assert!(!same(b"\"\xED\xA0\xBD\"", br#""\ud83e""#));
}

#[test]
fn containers_are_the_same_by_content() {
    for (a, b) in [
        ("[1, 2]", "[1,2.0]"),
        ("[ ]", "[]"),
        (r#"{"a":1,"b":[2]}"#, r#"{ "b" : [ 2 ], "a":1}"#),
        (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":1,"b":3,"a":2}"#, r#"{"b":3,"a":2}"#),
        (r#"{"__proto__":1}"#, r#"{"__proto__":1.0}"#),
    ] {
        assert!(is_same(a, b), "{a} and {b}");
    }
    for (a, b) in [
        ("[1,2]", "[2,1]"),
        ("[1]", "[1,1]"),
        ("[]", "{}"),
        ("{}", r#"{"a":null}"#),
        ("[]", "null"),
        (r#"{"a":1}"#, r#"{"b":1}"#),
        (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#),
        ("[[1]]", "[[2]]"),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"{"A":1}"#),
    ] {
        assert!(!is_same(a, b), "{a} and {b}");
    }
}

#[test]
fn texts_that_are_not_json_are_compared_by_their_bytes() {
    assert!(is_same("nope", "nope"));
    assert!(!is_same("nope", "nope "));
    assert!(!is_same("1", "1,"));
}

/// An object with `count` members `"k<n>":<n>`, from `first` round.
fn large(count: usize, first: usize) -> String {
    let member = |n: usize| format!("\"k{0}\":{0}", (n + first) % count);
    format!("{{{}}}", (0..count).map(member).collect::<Vec<_>>().join(","))
}

#[test]
fn large_objects_are_the_same_in_any_order() {
    // One by one, 100,000 keys would take minutes.
    for count in [FEW - 1, FEW, FEW + 1, 100_000] {
        assert!(is_same(&large(count, 0), &large(count, count / 2)));
        assert!(!is_same(&large(count, 0), &large(count, 0).replace(":3,", ":4,")));
        assert!(!is_same(&large(count, 0), &large(count, 0).replace("k3", "x3")));
    }
}

#[test]
fn the_last_of_equal_keys_counts_at_the_place_of_the_first() {
    for count in [3, FEW, FEW + 5] {
        let text = large(count, 0).replace('}', r#","\u006b1":"new","k0":"old","k0":"new"}"#);
        let document = Document::parse(text.as_bytes()).unwrap();
        let members = document.root().members();
        assert_eq!(members.len(), count);
        for (place, member) in members.iter().enumerate() {
            assert_eq!(member.token, format!("\"k{place}\"").as_bytes());
            let expected = if place < 2 { "\"new\"".into() } else { place.to_string() };
            assert_eq!(member.value.text(), expected.as_bytes());
        }
        for near in [0, 1, count, usize::MAX] {
            assert_eq!(members.get(b"k1", near).unwrap().text(), b"\"new\"");
            assert!(members.get(b"k", near).is_none());
        }
    }
}

#[test]
fn values_keep_their_text_without_the_space_around_it() {
    let text = br#" { "a" : [ 1.0 , "x" ] , "b" : { } } "#;
    let document = Document::parse(text).unwrap();
    let members = document.root().members();
    assert_eq!(document.root().text(), text.trim_ascii());
    assert_eq!(members.get(b"a", 0).unwrap().text(), b"[ 1.0 , \"x\" ]");
    assert_eq!(members.get(b"b", 0).unwrap().text(), b"{ }");
    let elements: Vec<_> = members.get(b"a", 0).unwrap().elements().map(Value::text).collect();
    assert_eq!(elements, [&b"1.0"[..], b"\"x\""]);
    assert_eq!(document.root().elements().count(), 0);
    assert!(members.get(b"a", 0).unwrap().members().is_empty());
}

#[test]
fn portable_keys_are_utf8_and_stand_for_the_same_characters() {
    assert_eq!(&*portable("\"é\\\"\"".as_bytes()), "\"é\\\"\"");
    assert_eq!(&*portable(b"\"\xED\xA0\x80x\""), r#""\ud800x""#);
    assert_eq!(&*portable(b"\"\xFFx\xC3\""), "\"\u{fffd}x\u{fffd}\"");
}
