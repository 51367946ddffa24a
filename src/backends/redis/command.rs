//! The commands that are sent, made on the calling thread of words that are not theirs: they are written
//! where they are sent from, and nowhere before. Knows the keys' form and no reply.

use std::borrow::Cow;

use super::{
    packed::Kept,
    script::{REPLACE, TOUCH},
};
use crate::record::{Draft, ExpiryRule, Millis, NEVER, Touch};

/// What a command consists of.
#[derive(Clone, Copy)]
pub enum Word<'w> {
    /// Two parts that are sent as one: a key is a prefix and a sid.
    Bytes([&'w [u8]; 2]),
    /// Sent as its digits.
    Number(i64),
}

/// As many words as any of ours has.
const MOST_WORDS: usize = 8;

/// A command: a list of words, the first of which is its name.
pub struct Command<'w> {
    words: [Word<'w>; MOST_WORDS],
    count: usize,
}

impl Default for Command<'_> {
    fn default() -> Self {
        Command { words: [Word::Number(0); MOST_WORDS], count: 0 }
    }
}

impl<'w> Command<'w> {
    pub fn new(name: &'w str) -> Command<'w> {
        let mut command = Command::default();
        command.add(name.as_bytes());
        command
    }

    /// A command on a key as the server gave it.
    pub fn on_key(name: &'w str, key: &'w [u8]) -> Command<'w> {
        let mut command = Command::new(name);
        command.add(key);
        command
    }

    pub fn add(&mut self, word: &'w [u8]) {
        self.push(Word::Bytes([word, b""]));
    }

    pub fn number(&mut self, number: i64) {
        self.push(Word::Number(number));
    }

    fn push(&mut self, word: Word<'w>) {
        self.words[self.count] = word;
        self.count += 1;
    }

    pub fn words(&self) -> &[Word<'w>] {
        &self.words[..self.count]
    }

    /// Its key: the first argument, or that of a script.
    pub fn key(&self) -> Cow<'w, [u8]> {
        let is_script =
            matches!(self.words[0], Word::Bytes([name, _]) if name.starts_with(b"EVAL"));
        match self.words().get(if is_script { 3 } else { 1 }) {
            Some(Word::Bytes([key, b""])) => Cow::Borrowed(key),
            Some(Word::Bytes(parts)) => Cow::Owned(parts.concat()),
            _ => Cow::Borrowed(b""),
        }
    }
}

/// What begins every key, and the pattern that finds them.
pub struct Keys {
    prefix: Vec<u8>,
    pattern: Vec<u8>,
}

impl Keys {
    pub fn new(prefix: &str) -> Keys {
        let mut pattern = Vec::with_capacity(prefix.len() + 1);
        for byte in prefix.bytes() {
            if b"*?[]\\".contains(&byte) {
                pattern.push(b'\\');
            }
            pattern.push(byte);
        }
        pattern.push(b'*');
        Keys { prefix: prefix.into(), pattern }
    }

    /// The sid of a key, unless the key is not of this prefix.
    pub fn sid<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        key.strip_prefix(&self.prefix[..])
    }

    fn command<'w>(&'w self, name: &'w str, sid: &'w [u8]) -> Command<'w> {
        let mut command = Command::new(name);
        command.push(Word::Bytes([&self.prefix, sid]));
        command
    }

    pub fn get<'w>(&'w self, sid: &'w [u8]) -> Command<'w> {
        self.command("GET", sid)
    }

    pub fn put<'w>(&'w self, sid: &'w [u8], draft: &Draft<'w>, now: Millis) -> Command<'w> {
        let mut command = self.command("SET", sid);
        command.add(draft.payload);
        if draft.expires < NEVER {
            command.add(b"PX");
            command.number(left(draft.expires, now));
        }
        command
    }

    pub fn remove<'w>(&'w self, sid: &'w [u8]) -> Command<'w> {
        self.command("DEL", sid)
    }

    /// A touch in one command, without a script.
    pub fn touch<'w>(&'w self, sid: &'w [u8], touch: &Touch, now: Millis) -> Command<'w> {
        let mut command = self.command("PEXPIRE", sid);
        command.number(left(touch.expires, now));
        if touch.rule == ExpiryRule::Later {
            command.add(b"GT");
        }
        command
    }

    /// A touch that looks at the expiry first: for `slack`, and for servers without `GT`.
    pub fn touch_by_script<'w>(&'w self, sid: &'w [u8], touch: &Touch, now: Millis) -> Command<'w> {
        let mut command = self.script(TOUCH.hash(), sid);
        command.add(mode(touch.rule));
        command.number(left(touch.expires, now));
        command.number(touch.slack as i64);
        command
    }

    pub fn replace<'w>(
        &'w self,
        sid: &'w [u8],
        seen: Option<&'w [u8]>,
        draft: &Draft<'w>,
        now: Millis,
    ) -> Command<'w> {
        let mut command = self.script(REPLACE.hash(), sid);
        command.add(draft.payload);
        command.add(mode(draft.rule));
        command.number(left(draft.expires, now));
        if let Some(seen) = seen {
            command.add(seen);
        }
        command
    }

    fn script<'w>(&'w self, hash: &'w str, sid: &'w [u8]) -> Command<'w> {
        let mut command = Command::new("EVALSHA");
        command.add(hash.as_bytes());
        command.number(1);
        command.push(Word::Bytes([&self.prefix, sid]));
        command
    }

    /// A step of a walk, which looks at about `count` keys of whatever prefix.
    pub fn scan(&self, cursor: u64, count: u32) -> Command<'_> {
        let mut command = Command::new("SCAN");
        command.number(cursor as i64);
        command.add(b"MATCH");
        command.add(&self.pattern);
        command.add(b"COUNT");
        command.number(count.into());
        command.add(b"TYPE");
        command.add(b"string");
        command
    }
}

/// The script instead of a [`Keys::touch`] that the server did not understand.
pub fn touch_instead(touch: &Kept) -> Option<Command<'_>> {
    let mut command = Command::new("EVALSHA");
    command.add(TOUCH.hash().as_bytes());
    command.number(1);
    command.add(touch.word(1)?);
    command.add(mode(ExpiryRule::Later));
    command.add(touch.word(2)?);
    command.number(0);
    Some(command)
}

/// The expiry as a distance, since the server has a clock of its own. Negative when it is past.
fn left(expires: Millis, now: Millis) -> i64 {
    expires.min(NEVER) as i64 - now.min(NEVER) as i64
}

/// How the scripts know a rule.
fn mode(rule: ExpiryRule) -> &'static [u8] {
    match rule {
        ExpiryRule::Keep => b"keep",
        ExpiryRule::Later => b"later",
        ExpiryRule::Set | ExpiryRule::Always => b"set",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(command: &Command<'_>) -> String {
        let kept = Kept::of(command);
        let words: Vec<_> = kept.words().map(|word| String::from_utf8_lossy(word)).collect();
        words.join(" ")
    }

    #[test]
    fn expiries_are_distances() {
        let keys = Keys::new("sess:");
        let draft =
            |expires| Draft { payload: b"{}", expires, rule: ExpiryRule::Set, moved: false };
        assert_eq!(packed(&keys.put(b"a", &draft(1500), 1000)), "SET sess:a {} PX 500");
        assert_eq!(packed(&keys.put(b"a", &draft(NEVER), 1000)), "SET sess:a {}");
        let touch = Touch { expires: 990, rule: ExpiryRule::Later, slack: 0, seen: None };
        assert_eq!(packed(&keys.touch(b"a", &touch, 1000)), "PEXPIRE sess:a -10 GT");
    }

    #[test]
    fn keys_are_found_in_commands_also_of_scripts() {
        let keys = Keys::new("sess:");
        let touch = Touch { expires: 990, rule: ExpiryRule::Later, slack: 0, seen: None };
        assert_eq!(&*keys.get(b"a").key(), b"sess:a");
        assert_eq!(&*keys.touch_by_script(b"a", &touch, 1000).key(), b"sess:a");
        assert_eq!(&*Command::new("PING").key(), b"");
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        let keys = Keys::new("a*[b]?\\");
        assert_eq!(keys.pattern, br"a\*\[b\]\?\\*");
        assert_eq!(keys.sid(b"a*[b]?\\x"), Some(&b"x"[..]));
        assert_eq!(keys.sid(b"aXbx"), None);
    }
}
