//! A second, naive reader and merge, for the properties to compare with. Written from the rules
//! alone; it shares no code with what it checks.

use std::{iter::Peekable, str::Chars};

use crate::merge::{Expiry, ExpiryRule, Side};

/// A JavaScript string.
pub type Text = Vec<u16>;

/// A JSON value. `==` minds the order of keys, [`Json::same`] does not.
#[derive(Clone, PartialEq, Debug)]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    String(Text),
    Array(Vec<Json>),
    Object(Vec<(Text, Json)>),
}

pub fn text(s: &str) -> Text {
    s.encode_utf16().collect()
}

impl Json {
    pub fn get(&self, key: &[u16]) -> Option<&Json> {
        match self {
            Json::Object(list) => list.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub fn set(&mut self, key: Text, value: Json) {
        if let Json::Object(list) = self {
            match list.iter_mut().find(|(k, _)| *k == key) {
                Some((_, old)) => *old = value,
                None => list.push((key, value)),
            }
        }
    }

    pub fn is_object(&self) -> bool {
        matches!(self, Json::Object(_))
    }

    pub fn same(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Array(a), Json::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Json::Object(a), Json::Object(b)) => {
                let known = |(key, value): &(Text, Json)| {
                    other.get(key).is_some_and(|found| value.same(found))
                };
                a.len() == b.len() && a.iter().all(known)
            }
            (a, b) => a == b,
        }
    }
}

/// Why [`parse`] has no value.
#[derive(PartialEq, Debug)]
pub enum Refused {
    /// It is not JSON.
    Invalid,
    /// It is nested more deeply than a naive reader should go.
    Deep,
}

pub fn parse(text: &str) -> Result<Json, Refused> {
    let mut reader = Reader { chars: text.chars().peekable(), depth: 0 };
    let value = reader.value()?;
    reader.space();
    if reader.chars.next().is_some() { Err(Refused::Invalid) } else { Ok(value) }
}

struct Reader<'t> {
    chars: Peekable<Chars<'t>>,
    depth: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        while self.chars.next_if(|c| " \t\r\n".contains(*c)).is_some() {}
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.chars.next_if_eq(&wanted).is_some()
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, Refused> {
        if word.chars().all(|c| self.eat(c)) { Ok(value) } else { Err(Refused::Invalid) }
    }

    fn value(&mut self) -> Result<Json, Refused> {
        self.space();
        match self.chars.peek() {
            Some('{') => self.nested(Self::object),
            Some('[') => self.nested(Self::array),
            Some('"') => self.string().map(Json::String),
            Some('t') => self.word("true", Json::Bool(true)),
            Some('f') => self.word("false", Json::Bool(false)),
            Some('n') => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn nested(
        &mut self,
        inside: impl Fn(&mut Self) -> Result<Json, Refused>,
    ) -> Result<Json, Refused> {
        self.chars.next();
        self.depth += 1;
        if self.depth > 100 {
            return Err(Refused::Deep);
        }
        let value = inside(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<Json, Refused> {
        let mut list = Vec::new();
        self.space();
        if self.eat(']') {
            return Ok(Json::Array(list));
        }
        loop {
            list.push(self.value()?);
            self.space();
            if self.eat(']') {
                return Ok(Json::Array(list));
            }
            if !self.eat(',') {
                return Err(Refused::Invalid);
            }
        }
    }

    fn object(&mut self) -> Result<Json, Refused> {
        let mut object = Json::Object(Vec::new());
        self.space();
        if self.eat('}') {
            return Ok(object);
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            if !self.eat(':') {
                return Err(Refused::Invalid);
            }
            object.set(key, self.value()?);
            self.space();
            if self.eat('}') {
                return Ok(object);
            }
            if !self.eat(',') {
                return Err(Refused::Invalid);
            }
        }
    }

    fn string(&mut self) -> Result<Text, Refused> {
        let mut out = Text::new();
        if !self.eat('"') {
            return Err(Refused::Invalid);
        }
        loop {
            match self.chars.next().ok_or(Refused::Invalid)? {
                '"' => return Ok(out),
                '\\' => {
                    let unit = match self.chars.next().ok_or(Refused::Invalid)? {
                        c @ ('"' | '\\' | '/') => c as u16,
                        'b' => 8,
                        't' => 9,
                        'n' => 10,
                        'f' => 12,
                        'r' => 13,
                        'u' => {
                            let digits: String = self.chars.by_ref().take(4).collect();
                            if digits.len() != 4 || digits.starts_with('+') {
                                return Err(Refused::Invalid);
                            }
                            u16::from_str_radix(&digits, 16).map_err(|_| Refused::Invalid)?
                        }
                        _ => return Err(Refused::Invalid),
                    };
                    out.push(unit);
                }
                c if c < ' ' => return Err(Refused::Invalid),
                c => out.extend(c.encode_utf16(&mut [0; 2]).iter()),
            }
        }
    }

    fn number(&mut self) -> Result<Json, Refused> {
        let mut token = String::new();
        while let Some(c) = self.chars.next_if(|c| "+-.eE0123456789".contains(*c)) {
            token.push(c);
        }
        // What Rust reads as a number beyond JSON's grammar.
        let digits = token.strip_prefix('-').unwrap_or(&token);
        let (whole, rest) =
            digits.split_at(digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()));
        let bad_whole = whole.is_empty() || (whole.len() > 1 && whole.starts_with('0'));
        let bad_fraction =
            rest.starts_with('.') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if bad_whole || bad_fraction {
            return Err(Refused::Invalid);
        }
        token.parse().map(Json::Number).map_err(|_| Refused::Invalid)
    }
}

/// What [`merge`] answers.
pub struct Outcome {
    pub session: Json,
    pub cookie: Side,
    pub conflicts: Vec<Vec<Text>>,
}

pub fn merge(
    base: &Json,
    mine: &Json,
    theirs: &Json,
    expiry: Expiry,
    atomic: &[String],
) -> Outcome {
    let cookie_key = text("cookie");
    let age = |session: &Json| match session.get(&cookie_key)?.get(&text("originalMaxAge")) {
        Some(Json::Number(ms)) => Some(*ms),
        _ => None,
    };
    let moved = |side: &Json| match (age(base), age(side)) {
        (Some(a), Some(b)) => (a - b).abs() > 1000.0,
        (a, b) => a.is_some() != b.is_some(),
    };
    let theirs_decides = match (expiry.rule, moved(mine), moved(theirs)) {
        (ExpiryRule::Keep, _, _) => true,
        (ExpiryRule::Later, _, moved) => moved || expiry.mine <= expiry.theirs,
        (ExpiryRule::Set, _, _) => false,
        (ExpiryRule::Always, by_mine, by_theirs) => by_theirs && !by_mine,
    };
    let mut conflicts = Vec::new();
    let mut session = Json::Object(Vec::new());
    for key in keys(mine, theirs) {
        let (b, m, t) = (base.get(&key), mine.get(&key), theirs.get(&key));
        let merged = if key == cookie_key {
            merge_cookie(b, m, t, theirs_decides)
        } else {
            let unit = atomic.iter().any(|name| text(name) == key);
            merge_value(b, m, t, unit, &mut vec![key.clone()], &mut conflicts)
        };
        if let Some(value) = merged {
            session.set(key, value);
        }
    }
    let cookie = if theirs_decides { Side::Theirs } else { Side::Mine };
    Outcome { session, cookie, conflicts }
}

fn keys(mine: &Json, theirs: &Json) -> Vec<Text> {
    let mut all = Vec::new();
    for side in [theirs, mine] {
        if let Json::Object(list) = side {
            for (key, _) in list {
                if !all.contains(key) {
                    all.push(key.clone());
                }
            }
        }
    }
    all
}

fn equal(a: Option<&Json>, b: Option<&Json>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn merge_value(
    base: Option<&Json>,
    mine: Option<&Json>,
    theirs: Option<&Json>,
    unit: bool,
    path: &mut Vec<Text>,
    conflicts: &mut Vec<Vec<Text>>,
) -> Option<Json> {
    if equal(base, mine) || equal(mine, theirs) {
        return theirs.cloned();
    }
    if equal(base, theirs) {
        return mine.cloned();
    }
    match (mine, theirs) {
        (Some(m @ Json::Object(_)), Some(t @ Json::Object(_))) if !unit => {
            let mut merged = Json::Object(Vec::new());
            for key in keys(m, t) {
                let b = base.and_then(|base| base.get(&key));
                path.push(key.clone());
                let value = merge_value(b, m.get(&key), t.get(&key), false, path, conflicts);
                path.pop();
                if let Some(value) = value {
                    merged.set(key, value);
                }
            }
            Some(merged)
        }
        (_, None | Some(Json::Null)) if !matches!(mine, None | Some(Json::Null)) => {
            conflicts.push(path.clone());
            theirs.cloned()
        }
        _ => {
            conflicts.push(path.clone());
            mine.cloned()
        }
    }
}

fn merge_cookie(
    base: Option<&Json>,
    mine: Option<&Json>,
    theirs: Option<&Json>,
    theirs_decides: bool,
) -> Option<Json> {
    let (Some(m @ Json::Object(_)), Some(t @ Json::Object(_))) = (mine, theirs) else {
        return merge_value(base, mine, theirs, true, &mut Vec::new(), &mut Vec::new());
    };
    let mut merged = Json::Object(Vec::new());
    for key in keys(m, t) {
        let (b, m, t) = (base.and_then(|base| base.get(&key)), m.get(&key), t.get(&key));
        let of_expiry = key == text("expires") || key == text("originalMaxAge");
        let take_theirs = if of_expiry { theirs_decides } else { equal(b, m) || equal(m, t) };
        if let Some(value) = if take_theirs { t } else { m } {
            merged.set(key, value.clone());
        }
    }
    Some(merged)
}
