//! Commands in the form in which they are sent, one after the other in one piece of memory, and read
//! again where a server refused one. Knows no command by name.
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/> (arrays of bulk strings)

use redis::{Pipeline, RedisWrite};

use super::command::{Command, Word};

/// Commands that are sent together.
#[derive(Default)]
pub struct Packed {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

/// One command, after it was asked for.
#[derive(Clone, Debug)]
pub struct Kept(Box<[u8]>);

impl Packed {
    /// With room for so many commands and bytes.
    pub fn with_capacity(commands: usize, bytes: usize) -> Packed {
        Packed { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(commands) }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn push(&mut self, command: &Command<'_>) {
        write(&mut self.bytes, command);
        self.ends.push(self.bytes.len());
    }

    /// One of the commands.
    pub fn get(&self, index: usize) -> Option<Kept> {
        self.one(index).map(|bytes| Kept(bytes.into()))
    }

    fn one(&self, index: usize) -> Option<&[u8]> {
        let start = if index == 0 { 0 } else { *self.ends.get(index - 1)? };
        self.bytes.get(start..*self.ends.get(index)?)
    }

    /// The same for the crate, which packs commands itself.
    pub fn pipeline(&self) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(self.len());
        for command in (0..self.len()).filter_map(|index| self.one(index)) {
            let mut same = redis::Cmd::new();
            words(command).for_each(|word| same.write_arg(word));
            pipeline.add_command(same);
        }
        pipeline
    }
}

impl Kept {
    pub fn of(command: &Command<'_>) -> Kept {
        let mut bytes = Vec::new();
        write(&mut bytes, command);
        Kept(bytes.into())
    }

    /// Its words, the name first.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> {
        words(&self.0)
    }

    pub fn word(&self, index: usize) -> Option<&[u8]> {
        self.words().nth(index)
    }

    /// The command again.
    pub fn command(&self) -> Command<'_> {
        let mut command = Command::default();
        self.words().for_each(|word| command.add(word));
        command
    }
}

fn write(bytes: &mut Vec<u8>, command: &Command<'_>) {
    let words = command.words();
    write_line(bytes, b'*', words.len() as i64);
    for word in words {
        match word {
            Word::Bytes(parts) => {
                write_line(bytes, b'$', (parts[0].len() + parts[1].len()) as i64);
                bytes.extend_from_slice(parts[0]);
                bytes.extend_from_slice(parts[1]);
            }
            Word::Number(number) => {
                let mut room = [0; LONGEST];
                let digits = digits(&mut room, *number);
                write_line(bytes, b'$', digits.len() as i64);
                bytes.extend_from_slice(digits);
            }
        }
        bytes.extend_from_slice(b"\r\n");
    }
}

fn write_line(bytes: &mut Vec<u8>, kind: u8, number: i64) {
    bytes.push(kind);
    bytes.extend_from_slice(digits(&mut [0; LONGEST], number));
    bytes.extend_from_slice(b"\r\n");
}

/// The longest number has a sign and 19 digits.
const LONGEST: usize = 20;

/// Decimal digits without the formatting machinery, which is a good part of a touch.
fn digits(room: &mut [u8; LONGEST], number: i64) -> &[u8] {
    let mut at = room.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        room[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        room[at] = b'-';
    }
    &room[at..]
}

/// The words of a packed command.
fn words(packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = |bytes: &mut &[u8]| -> Option<usize> {
        let end = bytes.iter().position(|&byte| byte == b'\r')?;
        let number = std::str::from_utf8(bytes.get(1..end)?).ok()?.parse().ok()?;
        *bytes = bytes.get(end + 2..)?;
        Some(number)
    };
    let mut rest = packed;
    let count = line(&mut rest).unwrap_or(0);
    (0..count).map_while(move |_| {
        let length = line(&mut rest)?;
        let word = rest.get(..length)?;
        rest = rest.get(length + 2..)?;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn commands_are_what_the_crate_would_send(
            texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6),
            number in any::<i64>(),
        ) {
            let mut command = Command::default();
            let mut expected = redis::Cmd::new();
            for text in &texts {
                command.add(text);
                expected.arg(text);
            }
            command.number(number);
            expected.arg(number);
            let mut packed = Packed::default();
            packed.push(&Command::new("PING"));
            packed.push(&command);
            prop_assert_eq!(packed.one(1).unwrap(), expected.get_packed_command());
            let kept = packed.get(1).unwrap();
            let words: Vec<_> = kept.words().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(&words, &[texts, vec![number.to_string().into()]].concat());
            prop_assert_eq!(&Kept::of(&kept.command()).0, &kept.0);
            prop_assert_eq!(packed.pipeline().get_packed_pipeline(), packed.bytes());
        }
    }
}
