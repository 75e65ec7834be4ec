//! The highest fence that acted for each app+environment on this machine. Whoever comes with a lower one lost its lease
//! without noticing, and changes nothing, not even by making an endpoint that nobody has heard of yet.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use flash_model::{Scope, sha256_hex};
use fs_err as fs;

use crate::Error;
use crate::provider::Mandate;

#[derive(Debug, Clone)]
pub(super) struct Fences {
    dir: PathBuf,
}

impl Fences {
    pub(super) fn beside(endpoints_dir: &Path) -> Self {
        Self { dir: endpoints_dir.with_file_name("fences") }
    }

    /// Refuses a mandate that is older than one seen before, else remembers it. The file's lock is held for as long as
    /// the comparison takes, never while something is started.
    pub(super) fn claim(&self, scope: &Scope, mandate: &Mandate) -> Result<(), Error> {
        let path = self.dir.join(format!("{}.json", &sha256_hex(scope.to_string().as_bytes())[..16]));
        let failed = |source| Error::Files { path: path.clone(), source };
        fs::create_dir_all(&self.dir).map_err(failed)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        // A file that was cut off in the middle of a write says nothing.
        let seen: Option<Mandate> = serde_json::from_str(&text).ok();
        mandate.check_after(seen.as_ref())?;
        if seen.as_ref() == Some(mandate) {
            return Ok(());
        }
        let text =
            serde_json::to_vec(mandate).map_err(|source| Error::Document { path: path.clone(), source })?;
        file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(&text)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use flash_model::{AppName, EnvironmentName, MothershipId};

    use super::*;

    #[test]
    fn whoever_acts_under_an_earlier_lease_of_the_same_state_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let fences = Fences::beside(&parent.path().join("endpoints"));
        let mandate = |id: &str, fence| Mandate { mothership_id: MothershipId::new(id).unwrap(), fence };
        let scope = |environment| Scope {
            app: AppName::new("p").unwrap(),
            environment: EnvironmentName::new(environment).unwrap(),
        };
        for (environment, id, fence, expected) in [
            ("dev", "a", 5, true),
            ("dev", "a", 4, false),
            ("dev", "a", 5, true),
            ("other", "a", 1, true),
            ("dev", "a", 6, true),
            ("dev", "a", 5, false),
            ("dev", "b", 1, true),
        ] {
            let claimed = fences.claim(&scope(environment), &mandate(id, fence));
            assert_eq!(claimed.is_ok(), expected, "{environment} {id} {fence}: {claimed:?}");
        }
        assert!(!parent.path().join("endpoints").exists(), "nothing else is made");
    }
}
