//! Connections that JavaScript carries. What is to be written is written here, as far as it can be at once:
//! that is a system call, where it would be a stream's write. The rest is left to JavaScript, which hears of
//! it when there is room. Knows nothing of operations, or of what the bytes mean.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io::{self, ErrorKind::Interrupted},
    sync::Arc,
};

use crate::transport::{Protocol, Socket};

/// Bytes that are written at a time.
const ROOM: usize = 64 << 10;

struct Line {
    protocol: Arc<dyn Protocol>,
    /// What JavaScript is to take over, until it has: a worker thread may be ended before.
    offer: Offer,
    /// To write to it; None where JavaScript does all of it.
    socket: Option<Socket>,
    /// Once not all could be written: what JavaScript is to write, with all that follows, until it has.
    rest: Option<Vec<u8>>,
}

enum Offer {
    /// Not asked for yet.
    Open(Socket),
    /// Its descriptor was named, and nobody has said that it is used.
    Named(i32),
    Taken,
}

/// See the top of the file.
#[derive(Default)]
pub struct Lines {
    lines: RefCell<HashMap<u32, Line>>,
    next: Cell<u32>,
    room: RefCell<Vec<u8>>,
}

impl Lines {
    /// Enters a connection, under the number that is returned.
    pub fn enter(&self, offered: Socket, protocol: Arc<dyn Protocol>) -> u32 {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        let socket = again(&offered);
        let rest = socket.is_none().then(Vec::new);
        let line = Line { protocol, offer: Offer::Open(offered), socket, rest };
        self.lines.borrow_mut().insert(id, line);
        id
    }

    /// Names the descriptor of a connection to JavaScript, once.
    pub fn claim(&self, id: u32) -> Option<i32> {
        let mut lines = self.lines.borrow_mut();
        let offer = &mut lines.get_mut(&id)?.offer;
        match std::mem::replace(offer, Offer::Taken) {
            Offer::Open(socket) => {
                let fd = into_fd(socket);
                *offer = Offer::Named(fd);
                Some(fd)
            }
            other => {
                *offer = other;
                None
            }
        }
    }

    /// It is JavaScript's to close from here on.
    pub fn taken(&self, id: u32) {
        if let Some(line) = self.lines.borrow_mut().get_mut(&id) {
            line.offer = Offer::Taken;
        }
    }

    /// Who is spoken with over a connection.
    pub fn protocol(&self, id: u32) -> Option<Arc<dyn Protocol>> {
        self.lines.borrow().get(&id).map(|line| line.protocol.clone())
    }

    /// A connection has ended.
    pub fn leave(&self, id: u32) -> Option<Arc<dyn Protocol>> {
        self.lines.borrow_mut().remove(&id).map(|line| line.protocol)
    }

    /// All of them have, and JavaScript with them.
    pub fn take(&self) -> impl Iterator<Item = Arc<dyn Protocol>> + use<> {
        self.lines.take().into_values().map(|line| {
            if let (Offer::Named(fd), Some(socket)) = (&line.offer, &line.socket) {
                close_if(*fd, socket);
            }
            line.protocol
        })
    }

    /// Writes what there is to write, and says whether there is something left for JavaScript.
    pub fn write(&self) -> bool {
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty() {
            return false;
        }
        let mut room = self.room.borrow_mut();
        room.resize(ROOM, 0);
        lines.values_mut().for_each(|line| line.write(&mut room));
        lines.values().any(Line::has_rest)
    }

    /// Whether there is something left for JavaScript to write.
    pub fn has_rest(&self) -> bool {
        self.lines.borrow().values().any(Line::has_rest)
    }

    /// Leaves in `room` what JavaScript is to write next: over which of them, and how many bytes.
    pub fn rest(&self, room: &mut [u8]) -> Option<(u32, usize)> {
        self.lines.borrow_mut().iter_mut().find_map(|(id, line)| match line.take_rest(room) {
            0 => None,
            length => Some((*id, length)),
        })
    }

    /// JavaScript has written all that it was left.
    pub fn written(&self, id: u32) {
        if let Some(line) = self.lines.borrow_mut().get_mut(&id)
            && line.socket.is_some()
            && line.rest.as_ref().is_some_and(Vec::is_empty)
        {
            line.rest = None;
        }
    }
}

impl Line {
    fn write(&mut self, room: &mut [u8]) {
        let Some(socket) = &self.socket else { return };
        while self.rest.is_none() {
            let length = self.protocol.output(room);
            if length == 0 {
                return;
            }
            let mut left = &room[..length];
            while !left.is_empty() && self.rest.is_none() {
                match send(socket, left) {
                    Ok(sent) => left = &left[sent..],
                    Err(error) if error.kind() == Interrupted => {}
                    // There is no room; or whatever else it is, of which JavaScript's write tells.
                    Err(_) => self.rest = Some(left.to_vec()),
                }
            }
        }
    }

    fn has_rest(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| !rest.is_empty() || self.protocol.has_output())
    }

    fn take_rest(&mut self, room: &mut [u8]) -> usize {
        let Some(rest) = &mut self.rest else { return 0 };
        if rest.is_empty() {
            return self.protocol.output(room);
        }
        let length = rest.len().min(room.len());
        room[..length].copy_from_slice(&rest[..length]);
        rest.drain(..length);
        length
    }
}

/// The same socket, to write to; closed with the line.
#[cfg(unix)]
fn again(socket: &Socket) -> Option<Socket> {
    socket.try_clone().ok()
}

#[cfg(unix)]
fn into_fd(socket: Socket) -> i32 {
    std::os::fd::IntoRawFd::into_raw_fd(socket)
}

/// Closes a descriptor, if it is one of this socket: Node.js closes its own before it lets go of a store, so
/// one that still is has come to nobody. Only where sockets can be told apart: on macOS none has an inode.
#[cfg(target_os = "linux")]
fn close_if(fd: i32, socket: &Socket) {
    use std::os::fd::{BorrowedFd, FromRawFd};
    // SAFETY: it is only looked at, whatever it has become.
    let named = unsafe { BorrowedFd::borrow_raw(fd) };
    let is_it = match (rustix::fs::fstat(named), rustix::fs::fstat(socket)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    };
    if is_it {
        // SAFETY: it was ours before it was named, and nobody else has come to own it.
        drop(unsafe { Socket::from_raw_fd(fd) });
    }
}

/// A write to a socket whose other end is gone is an error and no signal: Node has SIGPIPE ignored.
#[cfg(unix)]
fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    socket2::SockRef::from(socket).send(bytes)
}

#[cfg(not(unix))]
fn again(socket: &Socket) -> Option<Socket> {
    match *socket {}
}

#[cfg(not(unix))]
fn into_fd(socket: Socket) -> i32 {
    match socket {}
}

#[cfg(all(unix, not(target_os = "linux")))]
fn close_if(_: i32, _: &Socket) {}

#[cfg(not(unix))]
fn close_if(_: i32, socket: &Socket) {
    match *socket {}
}

#[cfg(not(unix))]
fn send(socket: &Socket, _: &[u8]) -> io::Result<usize> {
    match *socket {}
}
