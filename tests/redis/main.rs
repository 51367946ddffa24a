//! The Redis backend against real servers. The rules that every backend keeps are in
//! `__test__/conformance`; here is what is Redis's own, and what can only be seen from beneath.

mod client;
mod cluster;
mod codes;
mod faults;
mod places;
mod records;
mod scripts;
mod sentinel;
mod server;
