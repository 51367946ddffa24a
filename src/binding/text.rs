//! Strings across the boundary, exact for any JavaScript string and without an allocation of their
//! own for usual ones. Inside, a string is UTF-8, and WTF-8 where it has a lone surrogate.
//!
//! Node-API's UTF-8 reader puts U+FFFD in place of a lone surrogate, so text in which it occurs is
//! read again as UTF-16. Its pages: <https://nodejs.org/api/n-api.html>.

use std::{cell::RefCell, ops::Deref, ptr};

use napi::{
    Result,
    bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue},
    check_status, sys,
};

use crate::error::{Error, Kind};

/// Room to begin with, in bytes.
const SCRATCH_BYTES: usize = 16 * 1024;
/// Room that is not kept for the next call.
const LARGE_BYTES: usize = 256 * 1024;
/// Buffers that are kept: for the sid, the payload, and the short and the whole base of a call.
const KEPT: usize = 4;
/// U+FFFD in UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// A JavaScript string, or a buffer, that was not read yet.
#[derive(Clone, Copy)]
pub struct Text {
    env: sys::napi_env,
    value: sys::napi_value,
}

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A string that was read, in a buffer that is kept for the next one.
pub struct Lent(Vec<u8>);

impl Lent {
    /// An empty one.
    pub fn new() -> Lent {
        Lent(SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    /// To be filled.
    pub fn as_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.capacity() <= LARGE_BYTES {
            SCRATCH.with_borrow_mut(|kept| {
                if kept.len() < KEPT {
                    kept.push(buffer);
                }
            });
        }
    }
}

impl Text {
    /// A string that is read when it is asked for; another value fails then.
    pub fn new(env: sys::napi_env, value: sys::napi_value) -> Self {
        Text { env, value }
    }

    /// Reads it for the time of a call.
    pub fn lend(self) -> crate::error::Result<Lent> {
        let mut lent = Lent::new();
        match self.read(&mut lent.0) {
            Ok(()) => Ok(lent),
            Err(error) => Err(Error::new(Kind::Internal, error.reason.to_string())),
        }
    }

    /// Reads it into a buffer of its own.
    pub fn to_vec(self) -> Result<Vec<u8>> {
        self.lend()
            .map(|lent| lent.to_vec())
            .map_err(|error| napi::Error::from_reason(error.message()))
    }

    /// Lends the bytes of what is no string but a buffer.
    pub fn with_bytes<R>(self, then: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let mut data = ptr::null_mut();
        let mut length = 0;
        let mut kind = -1;
        // SAFETY: every pointer is to a live local, or null for what is not asked.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.env,
                self.value,
                &mut kind,
                &mut length,
                &mut data,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        check_status!(status, "a buffer was expected")?;
        if length == 0 || kind != sys::TypedarrayType::uint8_array {
            return Ok(then(&[]));
        }
        // SAFETY: an argument of the running call keeps the buffer alive, and JavaScript, which could
        // change it, cannot run while `then` does.
        Ok(then(unsafe { std::slice::from_raw_parts(data.cast(), length) }))
    }

    fn read(self, buffer: &mut Vec<u8>) -> Result<()> {
        if buffer.capacity() < SCRATCH_BYTES {
            buffer.reserve_exact(SCRATCH_BYTES - buffer.len());
        }
        loop {
            buffer.clear();
            let room = buffer.capacity();
            let mut length = 0;
            // SAFETY: Node writes at most `room` bytes, of which the last is a NUL that `length`
            // does not count, into `room` bytes that are ours.
            let status = unsafe {
                sys::napi_get_value_string_utf8(
                    self.env,
                    self.value,
                    buffer.as_mut_ptr().cast(),
                    room,
                    &mut length,
                )
            };
            check_status!(status, "a string was expected")?;
            // SAFETY: `length < room` bytes were just written.
            unsafe { buffer.set_len(length) };
            // A character has up to 4 bytes and is never cut: less room left than that may mean
            // that there was more.
            if room - length > 4 {
                break;
            }
            // One byte for each unit of UTF-16 is enough for ASCII, three are for anything.
            let units = self.units()?;
            let enough = if room < units + 5 { units + 5 } else { 3 * units + 5 };
            buffer.clear();
            buffer.reserve_exact(enough);
        }
        if has_replacement(buffer) {
            self.read_exact(buffer)?;
        }
        Ok(())
    }

    /// Its length in units of UTF-16, which Node knows without looking at them.
    fn units(self) -> Result<usize> {
        let mut units = 0;
        // SAFETY: without a buffer Node only tells the length.
        let status = unsafe {
            sys::napi_get_value_string_utf16(self.env, self.value, ptr::null_mut(), 0, &mut units)
        };
        check_status!(status, "a string was expected")?;
        Ok(units)
    }

    /// Reads it as UTF-16, which Node-API does exactly.
    #[cold]
    fn read_exact(self, buffer: &mut Vec<u8>) -> Result<()> {
        let mut length = self.units()?;
        let mut units = vec![0u16; length + 1];
        // SAFETY: `units` has room for the length that Node told and the NUL it adds.
        let status = unsafe {
            sys::napi_get_value_string_utf16(
                self.env,
                self.value,
                units.as_mut_ptr(),
                units.len(),
                &mut length,
            )
        };
        check_status!(status, "a string was expected")?;
        buffer.clear();
        for unit in char::decode_utf16(units[..length].iter().copied()) {
            match unit {
                Ok(character) => {
                    buffer.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Err(lone) => {
                    let unit = lone.unpaired_surrogate();
                    buffer.extend([
                        0xe0 | (unit >> 12) as u8,
                        0x80 | (unit >> 6 & 0x3f) as u8,
                        0x80 | (unit & 0x3f) as u8,
                    ]);
                }
            }
        }
        Ok(())
    }
}

impl TypeName for Text {
    fn type_name() -> &'static str {
        "String"
    }

    fn value_type() -> napi::ValueType {
        napi::ValueType::String
    }
}

impl ValidateNapiValue for Text {}

impl FromNapiValue for Text {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        Ok(Text::new(env, value))
    }
}

/// As the one of slices, which looks at up to 31 bytes at the end one by one.
fn is_ascii(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    let bits = words.iter().fold(0, |bits, word| bits | u64::from_ne_bytes(*word));
    bits & 0x8080_8080_8080_8080 == 0 && rest.is_ascii()
}

fn has_replacement(text: &[u8]) -> bool {
    !is_ascii(text) && text.windows(REPLACEMENT.len()).any(|window| window == REPLACEMENT)
}

/// Makes a JavaScript string of UTF-8 or WTF-8.
pub fn to_js(env: sys::napi_env, text: &[u8]) -> Result<sys::napi_value> {
    let mut value = ptr::null_mut();
    // A length above what isize holds cannot be that of a slice.
    let length = text.len() as isize;
    let status = if is_ascii(text) {
        // Latin-1 is one copy; UTF-8 would be decoded.
        // SAFETY: pointer and length are those of one slice, which Node copies.
        unsafe { sys::napi_create_string_latin1(env, text.as_ptr().cast(), length, &mut value) }
    } else if std::str::from_utf8(text).is_ok() {
        // SAFETY: as above.
        unsafe { sys::napi_create_string_utf8(env, text.as_ptr().cast(), length, &mut value) }
    } else {
        let units = wtf8_to_utf16(text);
        let length = units.len() as isize;
        // SAFETY: as above.
        unsafe { sys::napi_create_string_utf16(env, units.as_ptr(), length, &mut value) }
    };
    check_status!(status, "a string could not be made")?;
    Ok(value)
}

#[cold]
fn wtf8_to_utf16(text: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        match rest {
            [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, after @ ..] => {
                units.push(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f));
                rest = after;
            }
            _ => {
                let chunk = rest.utf8_chunks().next().expect("there is text left");
                if chunk.valid().is_empty() {
                    units.push(0xfffd);
                    rest = &rest[chunk.invalid().len().max(1)..];
                } else {
                    units.extend(chunk.valid().encode_utf16());
                    rest = &rest[chunk.valid().len()..];
                }
            }
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_come_back() {
        let text =
            [b"a".as_slice(), &[0xed, 0xa0, 0x80], "é𝄞".as_bytes(), &[0xed, 0xbf, 0xbf]].concat();
        assert_eq!(wtf8_to_utf16(&text), [0x61, 0xd800, 0xe9, 0xd834, 0xdd1e, 0xdfff]);
        assert_eq!(wtf8_to_utf16(b"a\xff\xed"), [0x61, 0xfffd, 0xfffd]);
    }
}
