//! Which session has to leave when a bound is reached. Knows sids by their hash only, and records
//! by how often they were read.
//!
//! Two queues, after the S3-FIFO paper (Yang et al., SOSP 2023): what is new waits in `small`,
//! and moves to `main` when it was read again before its turn came. While newcomers hold more
//! than a tenth of the room, the oldest of them that nobody read leaves first: a flood of
//! sessions that are never used again pushes out only itself.

use std::collections::VecDeque;

/// Newcomers keep a tenth of the room when everything else is in use.
const SMALL_SHARE: usize = 10;
/// Entries of removed records that may pile up before the queues are swept.
const SLACK: usize = 1024;

#[derive(Default)]
pub struct Queues {
    small: VecDeque<u64>,
    main: VecDeque<u64>,
}

/// What the queues ask of the table.
pub trait Table {
    /// Reads of the record with this hash, if it is there.
    fn hits(&self, hash: u64) -> Option<u8>;
    /// Sets them.
    fn set_hits(&self, hash: u64, hits: u8);
    /// How many records there are.
    fn len(&self) -> usize;
}

impl Queues {
    /// A record was added.
    pub fn admit(&mut self, hash: u64, table: &impl Table) {
        self.small.push_back(hash);
        if self.small.len() + self.main.len() > 2 * table.len() + SLACK {
            self.small.retain(|hash| table.hits(*hash).is_some());
            self.main.retain(|hash| table.hits(*hash).is_some());
        }
    }

    /// Everything was removed.
    pub fn clear(&mut self) {
        *self = Queues::default();
    }

    /// The record that leaves next; never `keep`. Its entry is taken off the queues.
    pub fn victim(&mut self, keep: u64, table: &impl Table) -> Option<u64> {
        // Each entry is looked at no more often than its hits can be counted down.
        let mut looks = (self.small.len() + self.main.len()) * 5 + 1;
        let mut spare_small = false;
        while looks > 0 {
            looks -= 1;
            let newcomers = self.small.len() * SMALL_SHARE > self.small.len() + self.main.len();
            let from_small = self.main.is_empty() || (newcomers && !spare_small);
            let queue = if from_small { &mut self.small } else { &mut self.main };
            let hash = queue.pop_front()?;
            if hash == keep {
                queue.push_back(hash);
                spare_small = from_small;
                continue;
            }
            match table.hits(hash) {
                None => {}
                Some(0) => return Some(hash),
                Some(_) if from_small => {
                    table.set_hits(hash, 0);
                    self.main.push_back(hash);
                }
                Some(hits) => {
                    table.set_hits(hash, hits - 1);
                    self.main.push_back(hash);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::HashMap};

    use super::*;

    #[derive(Default)]
    struct Fake(RefCell<HashMap<u64, u8>>);

    impl Table for Fake {
        fn hits(&self, hash: u64) -> Option<u8> {
            self.0.borrow().get(&hash).copied()
        }
        fn set_hits(&self, hash: u64, hits: u8) {
            self.0.borrow_mut().insert(hash, hits);
        }
        fn len(&self) -> usize {
            self.0.borrow().len()
        }
    }

    fn add(queues: &mut Queues, table: &Fake, hash: u64) {
        table.set_hits(hash, 0);
        queues.admit(hash, table);
    }

    #[test]
    fn a_flood_pushes_out_only_itself() {
        let (mut queues, table) = (Queues::default(), Fake::default());
        for user in 0..50 {
            add(&mut queues, &table, user);
            table.set_hits(user, 1);
        }
        for bot in 1000..11_000 {
            add(&mut queues, &table, bot);
            while table.len() > 100 {
                let victim = queues.victim(bot, &table).unwrap();
                assert!(victim >= 1000, "user {victim} was pushed out by bot {bot}");
                table.0.borrow_mut().remove(&victim);
            }
        }
    }

    #[test]
    fn the_one_that_is_kept_is_never_the_victim() {
        let (mut queues, table) = (Queues::default(), Fake::default());
        add(&mut queues, &table, 1);
        table.set_hits(1, 3);
        add(&mut queues, &table, 2);
        assert_eq!(queues.victim(2, &table), Some(1));
        table.0.borrow_mut().remove(&1);
        assert_eq!(queues.victim(2, &table), None);
    }

    #[test]
    fn entries_of_removed_records_do_not_pile_up() {
        let (mut queues, table) = (Queues::default(), Fake::default());
        for hash in 0..100_000 {
            add(&mut queues, &table, hash);
            table.0.borrow_mut().remove(&hash);
        }
        assert!(queues.small.len() <= SLACK + 1);
    }
}
