//! Connections whose bytes the caller's event loop reads and writes: a reply that is read on the thread
//! that waits for it costs no hop from another, which for one call at a time is most of the latency, and
//! under load a good part of the CPU. Knows nothing of what the bytes mean, and of no event loop.
//!
//! The terms are those of Python's asyncio: a [`Transport`] moves bytes, a [`Protocol`] says which.

use std::sync::Arc;

#[cfg(unix)]
pub use std::os::fd::OwnedFd as Socket;
/// Never made: here no transport takes a socket.
#[cfg(not(unix))]
pub enum Socket {}

/// Who reads and writes.
pub trait Transport: Send + Sync {
    /// Takes over a connected socket that does not block.
    fn carry(&self, socket: Socket, protocol: Arc<dyn Protocol>);

    /// There is output, of some protocol. On the thread that asks for it, it is about to be asked for.
    fn wake(&self);
}

/// Who is spoken with over a connection. Called on one thread.
pub trait Protocol: Send + Sync {
    /// Whether there is something to write.
    fn has_output(&self) -> bool;

    /// Hands over what is to be written next, as far as there is room, and says how many bytes that is.
    fn output(&self, room: &mut [u8]) -> usize;

    /// Something was read.
    fn received(&self, bytes: &[u8]);

    /// The connection has ended.
    fn lost(&self);
}
