//! The thread that removes what is over from every memory table of the process, about once a
//! second. Knows of a table only how to prune it and which clock its callers go by.

use std::{
    sync::{Mutex, Once, Weak},
    thread,
    time::{Duration, SystemTime},
};

use parking_lot::Condvar;

use super::Memory;
use crate::record::Millis;

const EVERY: Duration = Duration::from_secs(1);

struct Tables {
    alive: parking_lot::Mutex<Vec<Weak<Memory>>>,
    added: Condvar,
}

static TABLES: Tables =
    Tables { alive: parking_lot::Mutex::new(Vec::new()), added: Condvar::new() };

/// Has a table pruned for as long as it lives.
pub fn watch(table: Weak<Memory>) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let thread = thread::Builder::new().name("session-prune".into());
        // Without the thread nothing expired is ever shown; it only keeps its room.
        drop(thread.spawn(run));
    });
    TABLES.alive.lock().push(table);
    TABLES.added.notify_one();
}

fn run() {
    loop {
        let mut alive = TABLES.alive.lock();
        while alive.is_empty() {
            TABLES.added.wait(&mut alive);
        }
        alive.retain(|table| table.strong_count() > 0);
        let tables = alive.clone();
        drop(alive);
        let real = real_now();
        for table in tables.iter().filter_map(Weak::upgrade) {
            table.prune(real);
        }
        drop(tables);
        thread::sleep(EVERY);
    }
}

fn real_now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as Millis
}

/// Follows the clock of a table's callers, which is not the machine's where a test has put a clock
/// of its own in place of JavaScript's. Late by no more than the time since the last call was
/// heard of, and never ahead.
#[derive(Default)]
pub struct CallerClock(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    /// The caller's time that was seen last.
    last: Millis,
    /// The caller's clock less the machine's, in ms.
    ahead: i64,
}

impl CallerClock {
    /// The caller's time now, given the last time a caller named and the machine's.
    pub fn now(&self, named: Millis, real: Millis) -> Millis {
        let mut heard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if heard.last != named {
            *heard = Heard { last: named, ahead: named as i64 - real as i64 };
        }
        real.saturating_add_signed(heard.ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_from_what_a_caller_named() {
        let clock = CallerClock::default();
        assert_eq!(clock.now(50, 1000), 50);
        assert_eq!(clock.now(50, 3000), 2050, "time passes while nobody calls");
        assert_eq!(clock.now(1000, 3500), 1000, "a caller's clock that was moved is followed");
    }
}
