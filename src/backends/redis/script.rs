//! The two Lua scripts: each works on one key, in one round trip, and never looks into the text (Lua's
//! JSON turns `[]` into `{}`). Knows nothing of connections.
//!
//! They are called by their hash. A server that does not know it yet is sent the text, for that call
//! alone: `SCRIPT LOAD` would go to every node of a cluster, and one dead node would fail it.

use std::sync::LazyLock;

use sha1_smol::Sha1;

use super::{command::Command, packed::Kept};

/// A script and the hash it is called by.
pub struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Script {
        Script { text, hash: Sha1::from(text).digest().to_string() }
    }

    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// `KEYS[1]`; the new text, the rule, the new expiry in ms from now, and the text seen, if it counts.
/// Answers nil where there is no record, the text and its `PTTL` where it is another, else 1.
/// Errors are answered, not raised: older servers wrap what is raised into another text.
pub static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local old = redis.pcall('GET', KEYS[1])
if not old or type(old) == 'table' then return old end
if ARGV[4] and old ~= ARGV[4] then return {old, redis.call('PTTL', KEYS[1])} end
local keep = ARGV[2] == 'keep'
if ARGV[2] == 'later' then
  local left = redis.call('PTTL', KEYS[1])
  keep = left < 0 or left >= tonumber(ARGV[3])
end
local done
if keep then
  done = redis.pcall('SET', KEYS[1], ARGV[1], 'KEEPTTL')
elseif tonumber(ARGV[3]) < 1 then
  done = redis.pcall('DEL', KEYS[1])
else
  done = redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
end
if type(done) == 'table' and done.err then return done end
return 1",
    )
});

/// `KEYS[1]`; the rule, the new expiry in ms from now, and the least move in ms that is worth a write.
pub static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local left = redis.call('PTTL', KEYS[1])
if left == -2 then return 0 end
local move = tonumber(ARGV[2]) - left
if ARGV[1] == 'later' and (left == -1 or move <= 0) then return 0 end
if left >= 0 and math.abs(move) < tonumber(ARGV[3]) then return 0 end
return redis.pcall('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// The same call with the script's text, for a server that does not know its hash.
pub fn with_text(by_hash: &Kept) -> Option<Command<'_>> {
    let mut arguments = by_hash.words().skip(1);
    let hash = arguments.next()?;
    let script = [&*REPLACE, &*TOUCH].into_iter().find(|script| script.hash.as_bytes() == hash)?;
    let mut command = Command::new("EVAL");
    command.add(script.text.as_bytes());
    arguments.for_each(|argument| command.add(argument));
    Some(command)
}
