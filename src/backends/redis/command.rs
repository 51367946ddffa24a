//! The commands that are sent, made on the calling thread. Knows the keys' form and no reply.

use std::io::Write;

use redis::{Cmd, RedisWrite};

use super::script::{REPLACE, TOUCH, arguments};
use crate::record::{Draft, ExpiryRule, Millis, NEVER, Touch};

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

    fn command(&self, name: &str, sid: &[u8], arguments: usize, bytes: usize) -> Cmd {
        let mut command =
            Cmd::with_capacity(2 + arguments, name.len() + self.prefix.len() + sid.len() + bytes);
        command.write_arg(name.as_bytes());
        self.write_key(&mut command, sid);
        command
    }

    fn write_key(&self, command: &mut Cmd, sid: &[u8]) {
        let mut key = command.writer_for_next_arg();
        // Writing to a command's buffer does not fail.
        let _ = key.write_all(&self.prefix).and_then(|()| key.write_all(sid));
    }

    pub fn get(&self, sid: &[u8]) -> Cmd {
        self.command("GET", sid, 0, 0)
    }

    pub fn put(&self, sid: &[u8], draft: &Draft<'_>, now: Millis) -> Cmd {
        let mut command = self.command("SET", sid, 3, draft.payload.len() + 18);
        command.write_arg(draft.payload);
        if draft.expires < NEVER {
            command.write_arg(b"PX");
            write_ms(&mut command, left(draft.expires, now));
        }
        command
    }

    pub fn remove(&self, sid: &[u8]) -> Cmd {
        self.command("DEL", sid, 0, 0)
    }

    /// A touch in one command, without a script.
    pub fn touch(&self, sid: &[u8], touch: &Touch, now: Millis) -> Cmd {
        let mut command = self.command("PEXPIRE", sid, 2, 18);
        write_ms(&mut command, left(touch.expires, now));
        if touch.rule == ExpiryRule::Later {
            command.write_arg(b"GT");
        }
        command
    }

    /// A touch that looks at the expiry first: for `slack`, and for servers without `GT`.
    pub fn touch_by_script(&self, sid: &[u8], touch: &Touch, now: Millis) -> Cmd {
        let mut command = self.script(TOUCH.hash(), sid, 3, 40);
        command.write_arg(mode(touch.rule));
        write_ms(&mut command, left(touch.expires, now));
        write_ms(&mut command, touch.slack as i64);
        command
    }

    pub fn replace(&self, sid: &[u8], seen: Option<&[u8]>, draft: &Draft<'_>, now: Millis) -> Cmd {
        let texts = draft.payload.len() + seen.map_or(0, <[u8]>::len);
        let mut command = self.script(REPLACE.hash(), sid, 4, texts + 22);
        command.write_arg(draft.payload);
        command.write_arg(mode(draft.rule));
        write_ms(&mut command, left(draft.expires, now));
        if let Some(seen) = seen {
            command.write_arg(seen);
        }
        command
    }

    fn script(&self, hash: &str, sid: &[u8], arguments: usize, bytes: usize) -> Cmd {
        let size = hash.len() + self.prefix.len() + sid.len() + bytes + 10;
        let mut command = Cmd::with_capacity(4 + arguments, size);
        command.write_arg(b"EVALSHA");
        command.write_arg(hash.as_bytes());
        command.write_arg(b"1");
        self.write_key(&mut command, sid);
        command
    }

    /// A step of a walk, which looks at about `count` keys of whatever prefix.
    pub fn scan(&self, cursor: u64, count: u32) -> Cmd {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(&self.pattern[..]);
        command.arg("COUNT").arg(count).arg("TYPE").arg("string");
        command
    }
}

/// A command on a key as the server gave it.
pub fn on_key(name: &str, key: &[u8]) -> Cmd {
    let mut command = Cmd::with_capacity(2, name.len() + key.len());
    command.write_arg(name.as_bytes());
    command.write_arg(key);
    command
}

/// The script instead of a [`Keys::touch`] that the server did not understand.
pub fn touch_instead(touch: &Cmd) -> Option<Cmd> {
    let mut words = arguments(touch).skip(1);
    let (key, left) = (words.next()?, words.next()?);
    let mut command = Cmd::new();
    for word in
        [b"EVALSHA", TOUCH.hash().as_bytes(), b"1", key, mode(ExpiryRule::Later), left, b"0"]
    {
        command.write_arg(word);
    }
    Some(command)
}

/// The expiry as a distance, since the server has a clock of its own. Negative when it is past.
fn left(expires: Millis, now: Millis) -> i64 {
    expires.min(NEVER) as i64 - now.min(NEVER) as i64
}

/// Decimal digits without the formatting machinery, which is a good part of a touch.
fn write_ms(command: &mut Cmd, ms: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = ms.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if ms < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    command.write_arg(&digits[at..]);
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

    fn packed(command: &Cmd) -> String {
        String::from_utf8(command.get_packed_command()).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn expiries_are_distances() {
        let keys = Keys::new("sess:");
        let draft =
            |expires| Draft { payload: b"{}", expires, rule: ExpiryRule::Set, moved: false };
        assert_eq!(
            packed(&keys.put(b"a", &draft(1500), 1000)),
            "*5 $3 SET $6 sess:a $2 {} $2 PX $3 500 "
        );
        assert_eq!(packed(&keys.put(b"a", &draft(NEVER), 1000)), "*3 $3 SET $6 sess:a $2 {} ");
        let touch = Touch { expires: 990, rule: ExpiryRule::Later, slack: 0, seen: None };
        assert_eq!(
            packed(&keys.touch(b"a", &touch, 1000)),
            "*4 $7 PEXPIRE $6 sess:a $3 -10 $2 GT "
        );
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        let keys = Keys::new("a*[b]?\\");
        assert_eq!(keys.pattern, br"a\*\[b\]\?\\*");
        assert_eq!(keys.sid(b"a*[b]?\\x"), Some(&b"x"[..]));
        assert_eq!(keys.sid(b"aXbx"), None);
    }
}
