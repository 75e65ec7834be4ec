//! Memory and open descriptors of the mothership and of the gateways, over their lives.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::place::{MOTHERSHIP, Place};
use crate::process::{Process, open_descriptors, rss_mb};
use crate::stats::median;

const PERIOD: Duration = Duration::from_secs(2);
/// Of the whole time: how old a process is when it counts as warm, and how long its first and last windows are.
const WINDOW_SHARE: u32 = 12;

/// Of each process that lived long enough, by what it is.
#[derive(Debug, Default)]
pub(super) struct Sizes(pub(super) BTreeMap<String, Vec<Growth>>);

/// Medians of the first window after the warm-up, and of the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    pub(super) minutes: f64,
    pub(super) memory_mb: (f64, f64),
    pub(super) descriptors: (f64, f64),
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    age: Duration,
    memory_mb: f64,
    descriptors: f64,
}

struct Life {
    what: String,
    process: Process,
    begun: Instant,
    samples: Vec<Sample>,
}

/// Looks until `end`.
pub(super) async fn go_on(place: Place, time: Duration, end: Instant) -> Result<Sizes> {
    let mut lives: Vec<Life> = Vec::new();
    while Instant::now() < end {
        place.note();
        for (what, process) in place
            .gateways()
            .into_iter()
            .chain(place.mothership().map(|process| (MOTHERSHIP.to_owned(), process)))
        {
            let (Some(memory_mb), Some(descriptors)) = (rss_mb(process.id), open_descriptors(process.id))
            else {
                continue;
            };
            let at = lives.iter().position(|life| life.what == what && life.process == process);
            let at = at.unwrap_or_else(|| {
                lives.push(Life { what, process, begun: Instant::now(), samples: Vec::new() });
                lives.len() - 1
            });
            let life = &mut lives[at];
            let sample = Sample { age: life.begun.elapsed(), memory_mb, descriptors: descriptors as f64 };
            life.samples.push(sample);
        }
        tokio::time::sleep(PERIOD).await;
    }
    let mut sizes = Sizes::default();
    for life in lives {
        if let Some(growth) = growth(&life.samples, time / WINDOW_SHARE) {
            sizes.0.entry(life.what).or_default().push(growth);
        }
    }
    Ok(sizes)
}

/// None for a life in which the two windows would touch.
fn growth(samples: &[Sample], window: Duration) -> Option<Growth> {
    let end = samples.last()?.age;
    if end < window * 3 {
        return None;
    }
    let first = |sample: &&Sample| sample.age >= window && sample.age < window * 2;
    let last = |sample: &&Sample| sample.age >= end - window;
    let (first, last): (Vec<_>, Vec<_>) =
        (samples.iter().filter(first).collect(), samples.iter().filter(last).collect());
    let of = |samples: &[&Sample], figure: fn(&Sample) -> f64| {
        median(&samples.iter().map(|sample| figure(sample)).collect::<Vec<_>>())
    };
    Some(Growth {
        minutes: end.as_secs_f64() / 60.0,
        memory_mb: (of(&first, |sample| sample.memory_mb), of(&last, |sample| sample.memory_mb)),
        descriptors: (of(&first, |sample| sample.descriptors), of(&last, |sample| sample.descriptors)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_measured_from_its_warm_up_to_its_end() {
        let samples: Vec<Sample> = (0..=60)
            .map(|second| Sample {
                age: Duration::from_secs(second),
                memory_mb: if second < 10 { 1.0 } else { second as f64 },
                descriptors: 7.0,
            })
            .collect();
        let growth = growth(&samples, Duration::from_secs(10)).unwrap();
        assert_eq!(growth.memory_mb, (14.5, 55.0));
        assert_eq!(growth.descriptors, (7.0, 7.0));
        assert_eq!(super::growth(&samples[..25], Duration::from_secs(10)), None);
    }
}
