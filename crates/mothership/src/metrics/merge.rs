//! Several OpenMetrics documents as one: in one document everything of a metric stands together, described once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

const END: &str = "# EOF\n";
/// In the order in which they describe a metric.
const DESCRIPTIONS: [&str; 3] = ["# HELP ", "# TYPE ", "# UNIT "];

#[derive(Debug, Default)]
struct Metric<'a> {
    described: String,
    samples: Vec<&'a str>,
}

/// A line that belongs to no metric is left out.
pub(crate) fn merge<'a>(documents: impl IntoIterator<Item = &'a str>) -> String {
    let mut metrics: BTreeMap<&str, Metric<'a>> = BTreeMap::new();
    for document in documents {
        let mut current = None;
        let mut describes = false;
        for line in document.lines() {
            let described = DESCRIPTIONS.iter().find_map(|prefix| line.strip_prefix(prefix));
            if let Some(name) = described.and_then(|rest| rest.split(' ').next()) {
                if current != Some(name) {
                    describes = matches!(metrics.entry(name), Entry::Vacant(_));
                }
                current = Some(name);
                let metric = metrics.entry(name).or_default();
                if describes {
                    metric.described.push_str(line);
                    metric.described.push('\n');
                }
            } else if let Some(metric) = current.and_then(|name| metrics.get_mut(name))
                && !line.starts_with('#')
            {
                metric.samples.push(line);
            }
        }
    }
    let mut merged = String::new();
    for metric in metrics.into_values() {
        merged.push_str(&metric.described);
        for sample in metric.samples {
            merged.push_str(sample);
            merged.push('\n');
        }
    }
    merged + END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_of_two_is_described_once_and_has_the_samples_of_both() {
        let one = |resource: &str, count: u32| {
            format!(
                "# HELP flash_jobs Jobs.\n# TYPE flash_jobs gauge\nflash_jobs{{resource=\"{resource}\"}} {count}\n\
                 # HELP flash_call_seconds Runs.\n# TYPE flash_call_seconds histogram\n# UNIT flash_call_seconds seconds\n\
                 flash_call_seconds_sum{{resource=\"{resource}\"}} 0.5\n# EOF\n"
            )
        };
        let (a, b) = (one("a", 1), one("b", 2));
        assert_eq!(
            merge([a.as_str(), "<html>not metrics</html>\nflash_jobs 9\n", b.as_str()]),
            "# HELP flash_call_seconds Runs.\n# TYPE flash_call_seconds histogram\n# UNIT flash_call_seconds seconds\n\
             flash_call_seconds_sum{resource=\"a\"} 0.5\nflash_call_seconds_sum{resource=\"b\"} 0.5\n\
             # HELP flash_jobs Jobs.\n# TYPE flash_jobs gauge\n\
             flash_jobs{resource=\"a\"} 1\nflash_jobs{resource=\"b\"} 2\n# EOF\n"
        );
        assert_eq!(merge([]), "# EOF\n");
    }
}
