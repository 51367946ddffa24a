//! What the scripts do, without scripts, for servers whose ACL forbids them: `WATCH`, look and `MULTI`, then
//! write and `EXEC`, which does nothing where the key was changed meanwhile. It takes two round trips and
//! a connection that nobody else uses. Answers what the script would.

use redis::{Cmd, Pipeline, Value, aio::MultiplexedConnection};

use super::{command::Command, failure::Failure, packed::Kept, reply};

/// The call of a script, which says all that is to be done.
#[derive(Clone)]
pub struct Change {
    script: Kept,
    /// Whether the node is only about to take over the slot: it has to be told that this is known.
    asking: bool,
}

impl Change {
    /// What a call of the script of `replace` asks for.
    pub fn of(script: Kept) -> Change {
        Change { script, asking: false }
    }

    /// The same for a node that another has named by `MOVED`, or by `ASK`.
    pub fn elsewhere(self, asking: bool) -> Change {
        Change { asking, ..self }
    }

    fn word(&self, index: usize) -> Option<&[u8]> {
        self.script.word(index)
    }

    /// The words are those of `EVALSHA hash 1 key text rule left [seen]`.
    pub fn key(&self) -> &[u8] {
        self.word(3).unwrap_or_default()
    }

    /// Watches and writes until nobody comes between the two. A connection on which this fails is not to be
    /// used again: it may be in a transaction.
    pub async fn make(&self, connection: &mut MultiplexedConnection) -> Result<Value, Failure> {
        loop {
            let (text, left) = self.look(connection).await?;
            let is_other = self.word(7).is_some_and(|seen| text.as_deref() != Some(seen));
            match text {
                Some(_) if !is_other => {
                    if self.write(connection, left).await? {
                        return Ok(Value::Int(1));
                    }
                }
                other => {
                    // Ends what `look` began, with nothing in it.
                    send(connection, redis::cmd("EXEC")).await?;
                    return Ok(match other {
                        Some(text) => Value::Array(vec![Value::BulkString(text), Value::Int(left)]),
                        None => Value::Nil,
                    });
                }
            }
        }
    }

    /// The text, and how many ms it has left. Leaves the connection in a transaction: were that begun with
    /// the write, a server that forbids it would have written all the same.
    async fn look(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(Option<Vec<u8>>, i64), Failure> {
        let mut look = Pipeline::new();
        let mut add = |command: Cmd| {
            if self.asking {
                look.cmd("ASKING");
            }
            look.add_command(command);
        };
        for name in ["WATCH", "GET", "PTTL"] {
            add(redis::cmd(name).arg(self.key()).take());
        }
        // What is asked for by `MULTI` holds until `EXEC`: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#ask-redirection
        add(redis::cmd("MULTI"));
        let mut values = ask_all(connection, &look).await?.into_iter();
        let mut next = || if self.asking { values.nth(1) } else { values.next() };
        match [next(), next(), next(), next()] {
            [_, Some(Value::BulkString(text)), Some(Value::Int(left)), Some(_)] => {
                Ok((Some(text), left))
            }
            [_, Some(Value::Nil), _, Some(_)] => Ok((None, 0)),
            _ => Err(reply::misunderstood()),
        }
    }

    /// Whether it was written: not, where the record has changed since.
    async fn write(
        &self,
        connection: &mut MultiplexedConnection,
        theirs: i64,
    ) -> Result<bool, Failure> {
        let (text, rule) = (self.word(4).unwrap_or_default(), self.word(5).unwrap_or_default());
        let left = self.word(6).and_then(|left| std::str::from_utf8(left).ok());
        let left: i64 = left.and_then(|left| left.parse().ok()).ok_or_else(reply::misunderstood)?;
        let keep = rule == b"keep" || (rule == b"later" && (theirs < 0 || theirs >= left));
        // Not by the crate's own transactions, which make one error of all that is refused: what the server
        // said to the command is to be told, and followed.
        let mut write = Pipeline::new();
        match keep {
            true => write.cmd("SET").arg(self.key()).arg(text).arg("KEEPTTL"),
            false if left < 1 => write.cmd("DEL").arg(self.key()),
            false => write.cmd("SET").arg(self.key()).arg(text).arg("PX").arg(left),
        };
        write.cmd("EXEC");
        match ask_all(connection, &write).await?.pop() {
            Some(Value::Nil) => Ok(false),
            Some(Value::Array(done)) => match done.into_iter().next() {
                Some(Value::ServerError(error)) => Err(error.into()),
                _ => Ok(true),
            },
            _ => Err(reply::misunderstood()),
        }
    }
}

/// The answers to several commands, or the first that was refused.
async fn ask_all(
    connection: &mut MultiplexedConnection,
    commands: &Pipeline,
) -> Result<Vec<Value>, Failure> {
    let mut values = connection.send_packed_commands(commands, 0, commands.len()).await?;
    for value in &mut values {
        if let Value::ServerError(_) = value
            && let Value::ServerError(error) = std::mem::take(value)
        {
            return Err(error.into());
        }
    }
    Ok(values)
}

async fn send(connection: &mut MultiplexedConnection, command: Cmd) -> Result<Value, Failure> {
    match connection.send_packed_command(&command).await? {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

/// Whether a touch without scripts has something to do, by the words of `EVALSHA hash 1 key rule left
/// slack`, for a record that has `theirs` ms left; and the command that does it. Without `gt`, which servers before
/// Redis 7 do not take, it may undo what another has done since.
pub fn touch(script: &Kept, theirs: i64, gt: bool) -> Option<Command<'_>> {
    let words: Vec<&[u8]> = script.words().collect();
    let number = |index: usize| std::str::from_utf8(words.get(index)?).ok()?.parse::<i64>().ok();
    let (rule, left, slack) = (*words.get(4)?, number(5)?, number(6)?);
    let is_later = rule == b"later";
    if theirs == -2 || (is_later && (theirs == -1 || left <= theirs)) {
        return None;
    }
    if theirs >= 0 && left.abs_diff(theirs) < slack as u64 {
        return None;
    }
    let mut command = Command::on_key("PEXPIRE", words.get(3)?);
    command.number(left);
    if is_later && gt {
        command.add(b"GT");
    }
    Some(command)
}

/// The question that [`touch`] needs the answer to.
pub fn left(script: &Kept) -> Command<'_> {
    Command::on_key("PTTL", script.word(3).unwrap_or_default())
}
