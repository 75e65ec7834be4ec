//! What the jobs' own lines say: how often each ran, and whether one ran after its end had been seen.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::jobs::{End, Tally};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    /// Runs beyond the first of a job, before its end: at least once is what is promised.
    pub(super) repeated: u64,
    /// Lines that came when the job's end had been seen.
    pub(super) after_end: u64,
    /// Jobs that are said to have completed, and left no line.
    pub(super) never: u64,
}

pub(super) fn read(lines: &Path, jobs: &Tally) -> Result<Ran> {
    let text = fs::read_to_string(lines).with_context(|| format!("cannot read {}", lines.display()))?;
    ran(&text, &jobs.ends)
}

fn ran(text: &str, ends: &[End]) -> Result<Ran> {
    let ends: HashMap<u64, End> = ends.iter().map(|end| (end.number, *end)).collect();
    let mut runs: HashMap<u64, u64> = HashMap::new();
    let (mut ran, mut position) = (Ran::default(), 0_u64);
    for line in text.split_inclusive('\n') {
        let number = line.trim_end().parse().with_context(|| format!("line {line:?} is no job's number"))?;
        match ends.get(&number) {
            Some(end) if position >= end.lines_bytes => ran.after_end += 1,
            Some(_) => *runs.entry(number).or_default() += 1,
            // Of the time before, or of a job whose end was not seen.
            None => {}
        }
        position += line.len() as u64;
    }
    ran.repeated = runs.values().map(|runs| runs - 1).sum();
    let never = ends.values().filter(|end| end.completed && !runs.contains_key(&end.number));
    ran.never = never.count() as u64;
    Ok(ran)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_apart_by_when_the_end_was_seen() {
        let text = "10\n11\n10\n12\n11\n";
        let end = |number, lines_bytes, completed| End { number, lines_bytes, completed };
        let ends = [end(10, 9, true), end(11, 12, true), end(13, 15, true), end(14, 15, false)];
        assert_eq!(ran(text, &ends).unwrap(), Ran { repeated: 1, after_end: 1, never: 1 });
        assert!(ran("1x\n", &ends).is_err());
    }
}
