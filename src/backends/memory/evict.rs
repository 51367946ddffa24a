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
/// Entries that are swept for each record that is added.
const SWEEP: usize = 4;
/// Records that one search for a victim looks at in their turn...
const LOOKS: usize = 64;
/// ... and after that among the newcomers, out of turn.
const SAMPLES: usize = 32;

#[derive(Default)]
pub struct Queues {
    small: Queue,
    main: Queue,
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

/// Hashes in order, in two parts so that it can be swept a little at a time.
#[derive(Default)]
struct Queue {
    /// What this sweep has been through. Comes before all of `rest`.
    swept: VecDeque<u64>,
    rest: VecDeque<u64>,
}

impl Queue {
    fn len(&self) -> usize {
        self.swept.len() + self.rest.len()
    }

    fn push(&mut self, hash: u64) {
        self.rest.push_back(hash);
    }

    fn pop(&mut self) -> Option<u64> {
        self.swept.pop_front().or_else(|| self.rest.pop_front())
    }

    /// Drops an entry that was pushed not long ago.
    fn take_back(&mut self, hash: u64) {
        if let Some(place) = self.rest.iter().rposition(|other| *other == hash) {
            self.rest.remove(place);
        }
    }

    fn at(&self, place: usize) -> u64 {
        let rest = place.checked_sub(self.swept.len());
        rest.map_or_else(|| self.swept[place], |place| self.rest[place])
    }

    /// Drops the next few entries whose record is gone.
    fn sweep(&mut self, table: &impl Table) {
        for _ in 0..SWEEP {
            let Some(hash) = self.rest.pop_front() else {
                std::mem::swap(&mut self.swept, &mut self.rest);
                return;
            };
            if table.hits(hash).is_some() {
                self.swept.push_back(hash);
            }
        }
    }
}

impl Queues {
    /// A record was added.
    pub fn admit(&mut self, hash: u64, table: &impl Table) {
        self.small.push(hash);
        if self.small.len() + self.main.len() > table.len() + SLACK {
            self.small.sweep(table);
            self.main.sweep(table);
        }
    }

    /// Everything was removed.
    pub fn clear(&mut self) {
        *self = Queues::default();
    }

    /// The record that leaves next; never `keep`. Where all that come next were read, it is the
    /// one of them, and of some newcomers, that was read least: to go on until one has lost all
    /// its reads could take as long as the queues are.
    pub fn victim(&mut self, keep: u64, table: &impl Table) -> Option<u64> {
        let mut looked_at = Vec::new();
        let mut spare_small = false;
        for _ in 0..LOOKS {
            let (hash, hits, from_small) = self.next(spare_small, table)?;
            if hash == keep {
                let queue = if from_small { &mut self.small } else { &mut self.main };
                queue.push(hash);
                spare_small = from_small;
                continue;
            }
            if hits == 0 {
                return Some(hash);
            }
            // What moves on is known by its reads there, too: those that come once more and never again are
            // to leave before those that come all the time.
            table.set_hits(hash, hits - 1);
            self.main.push(hash);
            looked_at.push((hits, hash));
        }
        // A flood may stand behind more people than were looked at.
        let moved = looked_at.len();
        let newcomers = self.small.len();
        let samples =
            (0..SAMPLES.min(newcomers)).map(|step| newcomers * step / SAMPLES.min(newcomers));
        let samples = samples.map(|place| self.small.at(place)).filter(|hash| *hash != keep);
        looked_at.extend(samples.filter_map(|hash| Some((table.hits(hash)?, hash))));
        let (place, (_, victim)) =
            looked_at.into_iter().enumerate().min_by_key(|(_, (hits, _))| *hits)?;
        // That of a newcomer stays behind, and is dropped when its turn comes.
        if place < moved {
            self.main.take_back(victim);
        }
        Some(victim)
    }

    /// Takes off the entry whose turn it is, and those of removed records before it.
    fn next(&mut self, spare_small: bool, table: &impl Table) -> Option<(u64, u8, bool)> {
        loop {
            let newcomers = self.small.len() * SMALL_SHARE > self.small.len() + self.main.len();
            let from_small = self.main.len() == 0 || (newcomers && !spare_small);
            let queue = if from_small { &mut self.small } else { &mut self.main };
            let hash = queue.pop()?;
            if let Some(hits) = table.hits(hash) {
                return Some((hash, hits, from_small));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::HashMap,
    };

    use super::*;

    #[derive(Default)]
    struct Fake(RefCell<HashMap<u64, u8>>, Cell<usize>);

    impl Table for Fake {
        fn hits(&self, hash: u64) -> Option<u8> {
            self.1.set(self.1.get() + 1);
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
    fn who_comes_once_more_leaves_before_who_comes_all_the_time() {
        let (mut queues, table) = (Queues::default(), Fake::default());
        for user in 0..50 {
            add(&mut queues, &table, user);
        }
        for bot in 1000..11_000 {
            add(&mut queues, &table, bot);
            table.set_hits(bot, 1);
            if bot % 10 == 0 {
                (0..50).for_each(|user| table.set_hits(user, 3));
            }
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
    fn one_search_looks_at_a_few_however_many_were_read() {
        let (mut queues, table) = (Queues::default(), Fake::default());
        for user in 0..5000 {
            add(&mut queues, &table, user);
            table.set_hits(user, 3);
        }
        for user in 5000..6000 {
            add(&mut queues, &table, user);
            let before = table.1.get();
            let victim = queues.victim(user, &table).unwrap();
            assert!(table.1.get() - before <= LOOKS + SAMPLES);
            assert_ne!(victim, user);
            table.0.borrow_mut().remove(&victim);
        }
        assert_eq!(table.len(), 5000);
    }

    #[test]
    fn a_flood_is_found_behind_more_users_than_one_search_looks_at() {
        let (mut queues, table) = (Queues::default(), Fake::default());
        for user in 0..1000 {
            add(&mut queues, &table, user);
            table.set_hits(user, 1);
        }
        for bot in 1000..10_000 {
            add(&mut queues, &table, bot);
            while table.len() > 1500 {
                let victim = queues.victim(bot, &table).unwrap();
                assert!(victim >= 1000, "user {victim} was pushed out by bot {bot}");
                table.0.borrow_mut().remove(&victim);
            }
        }
    }

    #[test]
    fn sweeping_takes_a_few_looks_at_a_time_and_keeps_the_order() {
        let (mut queues, table) = (Queues::default(), Fake::default());
        for hash in 0..10_000 {
            add(&mut queues, &table, hash);
        }
        table.0.borrow_mut().retain(|hash, _| hash % 2 == 1);
        for hash in 10_000..14_000 {
            let before = table.1.get();
            add(&mut queues, &table, hash);
            assert!(table.1.get() - before <= 2 * SWEEP);
        }
        assert!(queues.small.len() + queues.main.len() <= table.len() + SLACK + 1);
        let mut last = None;
        while let Some(hash) = queues.small.pop() {
            assert!(last < Some(hash));
            last = Some(hash);
        }
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
