//! Whose turn it is to bring the queue's jobs to workers: one endpoint's at a time.
//!
//! A new version asks for its turn with its first job, not before: until then it may never become healthy. The endpoint
//! whose turn it is then steps back at once, whether or not it is told to stop, and finishes what its workers run meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::folder::{Held, QueueDir};

/// How often to try while another has its turn.
const LINE_PERIOD: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Turns {
    dir: Arc<QueueDir>,
    /// Becomes true when this endpoint is known to have a turn or to be the next.
    settled: watch::Sender<bool>,
    /// Whoever stepped back does not ask again: it takes over only where nobody else does.
    had_one: bool,
}

/// Ends when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    dir: &'a QueueDir,
    seen: AtomicU64,
    _lock: Held<'a>,
}

impl Turns {
    pub(crate) fn new(dir: Arc<QueueDir>, settled: watch::Sender<bool>) -> Self {
        Self { dir, settled, had_one: false }
    }

    /// Comes back with this endpoint's turn: at once where nobody has it. `asks` says whether to make others step back.
    pub(super) async fn take(&mut self, asks: impl Fn() -> bool) -> Turn<'_> {
        let mut line = Line { dir: &self.dir, next: None };
        loop {
            let turn = line.step(!self.had_one && asks());
            if turn.is_some() || line.next.is_some() {
                self.settled.send_replace(true);
            }
            if let Some(turn) = turn {
                self.had_one = true;
                return turn;
            }
            tokio::time::sleep(LINE_PERIOD).await;
        }
    }
}

struct Line<'a> {
    dir: &'a QueueDir,
    next: Option<Held<'a>>,
}

impl<'a> Line<'a> {
    fn step(&mut self, asks: bool) -> Option<Turn<'a>> {
        if self.next.is_none() && asks {
            self.next = self.dir.take_next();
        }
        if self.next.is_none() && self.dir.is_next_taken() {
            return None;
        }
        let lock = self.dir.take_lock()?;
        self.next = None;
        self.dir.forget_news();
        Some(Turn { dir: self.dir, seen: self.dir.news().into(), _lock: lock })
    }
}

impl Turn<'_> {
    pub(super) fn is_asked_for(&self) -> bool {
        self.dir.is_next_taken()
    }

    /// Whether others have accepted jobs since this was asked.
    pub(super) fn has_news(&self) -> bool {
        let news = self.dir.news();
        self.seen.swap(news, Ordering::Relaxed) != news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nobody_pushes_in_before_the_one_that_asked() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second, third] = ["1", "2", "3"].map(|id| QueueDir::open(folder.path(), id).unwrap());
        let line = |dir| Line { dir, next: None };
        let (mut old, mut new, mut other) = (line(&first), line(&second), line(&third));
        let turn = old.step(false).unwrap();
        assert!(new.step(false).is_none());
        assert!(!turn.is_asked_for(), "a new version that nobody uses asks for nothing");
        assert!(new.step(true).is_none());
        assert!(turn.is_asked_for());
        drop(turn);
        assert!(
            old.step(false).is_none() && other.step(true).is_none(),
            "it is the turn of the one that asked"
        );
        let turn = new.step(true).unwrap();
        assert!(!turn.is_asked_for());
        assert!(other.step(true).is_none() && turn.is_asked_for());
        drop(other);
        assert!(!turn.is_asked_for(), "whoever leaves the line does not block it");
        second.tell_news();
        assert!(turn.has_news() && !turn.has_news());
        drop(turn);
        let turn = old.step(false).expect("where nobody has it, anybody may");
        assert!(!turn.has_news(), "what was accepted before is found without being told");
    }

    #[tokio::test]
    async fn whoever_had_a_turn_does_not_ask_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = |id| {
            let dir = QueueDir::open(folder.path(), id).unwrap();
            Turns::new(Arc::new(dir), watch::Sender::new(false))
        };
        let (mut old, mut new) = (open("1"), open("2"));
        drop(old.take(|| true).await);
        let turn = new.take(|| true).await;
        let asked = std::cell::Cell::new(0);
        let taking = old.take(|| {
            asked.set(asked.get() + 1);
            true
        });
        assert!(tokio::time::timeout(LINE_PERIOD * 3, taking).await.is_err());
        assert!(asked.get() == 0 && !turn.is_asked_for());
    }
}
