//! Work that is the same for many files, on all cores. The result is in the order of the input, whatever the timing.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Items that one thread takes at a time, and the fewest that are worth a second thread.
const CHUNK: usize = 16;
/// Of address space, per thread: enough to walk and hash the deepest tree that `nesting` lets pass, whatever stack the caller
/// has.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// `work` must not depend on which thread runs it, nor when.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let chunks: Vec<&[T]> = items.chunks(CHUNK).collect();
    let next = AtomicUsize::new(0);
    let take_chunks = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.get(number) else { return done };
            done.push((number, chunk.iter().map(&work).collect::<Vec<R>>()));
        }
    };
    let mut done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, take_chunks).ok();
        let threads: Vec<_> = (0..cores.min(chunks.len())).filter_map(start).collect();
        let mut done = Vec::with_capacity(chunks.len());
        // Where no thread can be had, its own must do.
        if threads.is_empty() {
            done = take_chunks();
        }
        for thread in threads {
            match thread.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

/// Drops what takes long to drop.
pub(crate) fn discard<T: Send>(mut items: Vec<T>) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(cores).max(CHUNK);
    thread::scope(|scope| {
        while items.len() > share {
            let part = items.split_off(items.len() - share);
            // Where no thread can be had, the part is dropped with the attempt.
            let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, move || drop(part));
        }
        drop(items);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_input() {
        for length in [0, 1, CHUNK, CHUNK + 1, 10_000] {
            let items: Vec<usize> = (0..length).collect();
            assert_eq!(map(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }
}
