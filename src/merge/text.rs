//! Text that is being written. The merge of an object is taken back where it turns out to be one
//! side's; then that side's text is written, and the same may happen at the next level up. So long
//! text is only referred to until the end: copied at every level, it would take time quadratic in
//! the depth.

/// From this length on text is referred to.
const LONG: usize = 256;

#[derive(Default)]
pub(super) struct Text<'d> {
    bytes: Vec<u8>,
    /// Long pieces, and where in `bytes` each belongs.
    long: Vec<(usize, &'d [u8])>,
}

/// A place to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    bytes: usize,
    long: usize,
}

impl<'d> Text<'d> {
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), long: self.long.len() }
    }

    /// Takes back what was written since.
    pub fn back_to(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.long.truncate(mark.long);
    }

    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub fn write(&mut self, piece: &'d [u8]) {
        if piece.len() < LONG {
            self.bytes.extend_from_slice(piece);
        } else {
            self.long.push((self.bytes.len(), piece));
        }
    }

    /// Whether an opening brace was written last. No value and no key ends with one.
    pub fn is_at_start_of_object(&self) -> bool {
        self.bytes.last() == Some(&b'{')
            && self.long.last().is_none_or(|&(at, _)| at < self.bytes.len())
    }

    pub fn finish(self) -> Vec<u8> {
        if self.long.is_empty() {
            return self.bytes;
        }
        let long: usize = self.long.iter().map(|(_, piece)| piece.len()).sum();
        let mut out = Vec::with_capacity(self.bytes.len() + long);
        let mut copied = 0;
        for (at, piece) in self.long {
            out.extend_from_slice(&self.bytes[copied..at]);
            out.extend_from_slice(piece);
            copied = at;
        }
        out.extend_from_slice(&self.bytes[copied..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_pieces_stand_in_the_order_they_were_written() {
        let long = [b'x'; LONG];
        for pieces in [
            &[&b"a"[..], b"b"][..],
            &[&long],
            &[&long, &long],
            &[b"a", &long, b"b", &long[1..], &long, b"c"],
        ] {
            let mut text = Text::default();
            pieces.iter().for_each(|piece| text.write(piece));
            assert_eq!(text.finish(), pieces.concat());
        }
    }

    #[test]
    fn what_was_taken_back_is_not_there() {
        let long = [b'x'; LONG];
        for written in [&b"a"[..], &long] {
            for taken_back in [&b"b"[..], &long[..]] {
                let mut text = Text::default();
                text.write(written);
                let mark = text.mark();
                text.byte(b'{');
                text.write(taken_back);
                text.write(taken_back);
                text.back_to(mark);
                text.write(b"c");
                assert_eq!(text.finish(), [written, b"c"].concat());
            }
        }
    }

    #[test]
    fn an_object_starts_right_after_its_brace() {
        let long = [b'x'; LONG];
        let mut text = Text::default();
        assert!(!text.is_at_start_of_object());
        text.byte(b'{');
        assert!(text.is_at_start_of_object());
        let mark = text.mark();
        text.write(&long);
        assert!(!text.is_at_start_of_object());
        text.back_to(mark);
        assert!(text.is_at_start_of_object());
        text.write(b"1");
        assert!(!text.is_at_start_of_object());
    }
}
