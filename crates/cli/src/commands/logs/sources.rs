//! The logs of a resource's endpoints, as endpoints come and go.

use std::collections::{BTreeMap, VecDeque};

use flash_model::EndpointId;
use flash_model::wire::LogLine;
use flash_providers::local::LocalEndpoints;
use flash_runtime::LogReader;

use crate::error::Failure;

/// Which lines are to be shown.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) since_ms: Option<u64>,
    /// A job's or a request's.
    pub(super) call: Option<String>,
}

#[derive(Debug)]
pub(super) struct Sources {
    endpoints: LocalEndpoints,
    resource: String,
    /// Of every endpoint here; none of those that are another resource's.
    readers: BTreeMap<EndpointId, Option<LogReader>>,
}

impl Wanted {
    fn is(&self, line: &LogLine) -> bool {
        self.since_ms.is_none_or(|since| line.at_ms >= since)
            && self.call.as_ref().is_none_or(|call| line.call() == Some(call))
    }
}

impl Sources {
    pub(super) fn new(endpoints: LocalEndpoints, resource: &str) -> Self {
        Self { endpoints, resource: resource.to_owned(), readers: BTreeMap::new() }
    }

    pub(super) fn are_none(&self) -> bool {
        self.readers.values().all(Option::is_none)
    }

    /// Lines that came since the last call, as they are in the files, by time; of more than `count` the last ones.
    pub(super) fn read(&mut self, wanted: &Wanted, count: usize) -> Result<Vec<String>, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::because("the logs cannot be read", error);
        let ids = self.endpoints.ids().map_err(|error| failed(&error))?;
        for id in &ids {
            // One whose folder says nothing yet is looked at again.
            if !self.readers.contains_key(id)
                && let Ok(Some(owner)) = self.endpoints.owner(id)
            {
                let is_ours = owner.resource.as_str() == self.resource;
                let reader = is_ours.then(|| LogReader::new(&self.endpoints.path(id)));
                self.readers.insert(id.clone(), reader);
            }
        }
        let mut lines = Vec::new();
        for reader in self.readers.values_mut().flatten() {
            let mut last = VecDeque::new();
            let read = reader.read(|raw, line| {
                if wanted.is(&line) {
                    last.push_back((line.at_ms, raw.to_owned()));
                    if last.len() > count {
                        last.pop_front();
                    }
                }
            });
            read.map_err(|error| failed(&error))?;
            lines.extend(last);
        }
        // Those that are gone were read to their end just now.
        self.readers.retain(|id, _| ids.contains(id));
        // Lines of one endpoint stay in order where their times are equal.
        lines.sort_by_key(|(at_ms, _)| *at_ms);
        let surplus = lines.len().saturating_sub(count);
        Ok(lines.into_iter().skip(surplus).map(|(_, raw)| raw).collect())
    }
}
