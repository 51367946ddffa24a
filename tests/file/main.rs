//! What only the file backend does, seen from the engine. With several processes: `__test__/file.test.js`.
#![cfg(unix)]

mod expiry;
mod folder;
mod guards;
mod records;
mod room;
