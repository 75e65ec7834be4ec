//! Where the state lies, by URL. The one place that opens it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flash_model::{Code, LeaseRefusal, Secret};
use flash_mothership::store::{Error, RemoteStore, SqliteStore, Store};

use crate::args::StateUrlArgs;
use crate::environment;
use crate::error::Failure;
use crate::run_dir::RunDir;

const FORMS: &str = "use sqlite:PATH, http://HOST:PORT or postgres://…, or leave it out: the state is in the project's \
                     .flash folder then";

#[derive(Debug, Clone)]
pub(crate) enum StatePlace {
    /// The project's own file, which its lock lies beside.
    Project(PathBuf),
    File(PathBuf),
    /// The URL holds no secret; the token does.
    Manager {
        url: String,
        token: Option<Secret>,
    },
    /// The URL may hold a password.
    Postgres(Secret),
}

impl StatePlace {
    pub(crate) fn of(args: &StateUrlArgs, run_dir: &RunDir) -> Result<Self, Failure> {
        match args.url.as_ref().map(Secret::expose).filter(|url| !url.is_empty()) {
            Some(url) => Self::parse(url),
            None => Ok(Self::Project(run_dir.state_path())),
        }
    }

    /// What is wrong is said without the URL.
    fn parse(url: &str) -> Result<Self, Failure> {
        let refused = |what: &str| Failure::coded(Code::StateUrl, what).hint(FORMS);
        let (scheme, rest) = url.split_once(':').ok_or_else(|| refused("the state's URL names no kind"))?;
        match scheme {
            "sqlite" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err(refused("the state's URL names no file")),
                path => Ok(Self::File(path.into())),
            },
            "http" => {
                let host = rest.strip_prefix("//").unwrap_or_default().trim_end_matches('/');
                if host.contains('@') {
                    return Err(refused("the state's URL holds a user or password")
                        .hint("the token of a State Manager belongs into FLASH_STATE_TOKEN"));
                }
                if host.is_empty() || host.starts_with(':') || host.contains(['?', '#', ' ']) {
                    return Err(refused("the state's URL names no host"));
                }
                let token =
                    environment::text(environment::STATE_TOKEN).map(|token| Secret::new(token.trim()));
                Ok(Self::Manager { url: format!("http://{host}"), token })
            }
            "https" => Err(refused("TLS is not spoken to a State Manager")
                .hint("use http:// to a proxy on this machine that speaks it, or within a private network")),
            "postgres" | "postgresql" => Ok(Self::Postgres(Secret::new(url))),
            _ => Err(refused("the state's URL is of no kind that is known")),
        }
    }

    /// Whether holding the project's lock says anything about who leads.
    pub(crate) fn is_the_projects_own(&self) -> bool {
        matches!(self, Self::Project(_))
    }

    /// The file that it is, for what only files can do.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Project(path) | Self::File(path) => Some(path),
            Self::Manager { .. } | Self::Postgres(_) => None,
        }
    }

    /// For a person. Holds no secret.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Project(path) | Self::File(path) => path.display().to_string(),
            Self::Manager { url, .. } => url.clone(),
            Self::Postgres(_) => "PostgreSQL".to_owned(),
        }
    }

    /// Files and tables are made if they are not there.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Store>, Failure> {
        match self {
            Self::Project(path) | Self::File(path) => Ok(Arc::new(sqlite(path, SqliteStore::open).await?)),
            Self::Manager { url, token } => {
                let token = token.clone().ok_or_else(|| {
                    Failure::coded(Code::Unauthorized, format!("the State Manager at {url} needs a token"))
                        .hint("set FLASH_STATE_TOKEN; `flash state serve` says where its token is")
                })?;
                Ok(Arc::new(RemoteStore::new(url.as_str(), token)))
            }
            Self::Postgres(url) => postgres(url).await,
        }
    }

    /// For commands that only look. None for a file that is not there or empty, which is a state that nobody has made yet;
    /// nothing is written to it.
    pub(crate) async fn open_if_any(&self) -> Result<Option<Arc<dyn Store>>, Failure> {
        let Some(path) = self.file() else { return self.open().await.map(Some) };
        let store = sqlite(path, SqliteStore::open_if_any).await?;
        Ok(store.map(|store| Arc::new(store) as Arc<dyn Store>))
    }

    /// For commands that have nothing to show without a state.
    pub(crate) async fn open_existing(&self) -> Result<Arc<dyn Store>, Failure> {
        self.open_if_any().await?.ok_or_else(|| {
            let is_empty = self.file().is_some_and(Path::exists);
            let why = if is_empty { ": the file is empty" } else { "" };
            Failure::coded(Code::StateNotFound, format!("there is no state at {}{why}", self.shown()))
                .hint("`flash run` makes it; name the project's folder, or the state's place with --state")
        })
    }
}

/// Off the async threads.
async fn sqlite<T: Send + 'static>(
    path: &Path,
    open: impl FnOnce(&Path) -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    let doing = format!("the state at {} cannot be opened", path.display());
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || open(&path)).await {
        Ok(opened) => opened.map_err(|error| refused(&doing, &error)),
        Err(error) => Err(refused(&doing, &Error::Task(error))),
    }
}

/// What the store refused, as this command's failure.
pub(crate) fn refused(doing: &str, error: &Error) -> Failure {
    match error {
        Error::Lease(LeaseRefusal::Held { .. }) | Error::InUse { .. } => {
            Failure::because(doing, error).code(Code::LeaseHeld)
        }
        Error::Lease(LeaseRefusal::Lost { .. }) | Error::Fenced { .. } => {
            Failure::because(doing, error).code(Code::LeaseLost)
        }
        Error::Foreign => Failure::because(doing, error)
            .code(Code::StateUrl)
            .hint("name a file of its own with --state; one that is not there yet is made"),
        Error::Remote(remote) => match (remote.problem(), &**remote) {
            (Some(problem), _) => {
                let failure = Failure::coded(problem.code, format!("{doing}: {}", problem.detail));
                match problem.code {
                    Code::Unauthorized => failure.hint("FLASH_STATE_TOKEN is not the State Manager's token"),
                    Code::NoRoute => failure.hint("FLASH_STATE_URL names a server that is no State Manager"),
                    _ => failure,
                }
            }
            (None, flash_client::Error::Connect { .. }) => Failure::because(doing, remote)
                .code(Code::StoreFailed)
                .hint("start it with `flash state serve`, or correct FLASH_STATE_URL"),
            (None, _) => Failure::because(doing, remote).code(Code::StoreFailed),
        },
        error => Failure::because(doing, error).code(Code::StoreFailed),
    }
}

#[cfg(feature = "postgres")]
async fn postgres(url: &Secret) -> Result<Arc<dyn Store>, Failure> {
    use flash_mothership::store::PostgresStore;
    match PostgresStore::connect(url.expose()).await {
        Ok(store) => Ok(Arc::new(store)),
        // The driver's own words may repeat a part of the URL.
        Err(Error::Url(_)) => Err(Failure::coded(Code::StateUrl, "the database's URL cannot be read")
            .hint("postgres://USER:PASSWORD@HOST/DATABASE, with `%40` for `@` in a password")),
        Err(error @ Error::Tls) => {
            Err(Failure::because("the database cannot be used", &error).code(Code::StateUrl))
        }
        Err(error) => {
            Err(Failure::because("the state in PostgreSQL cannot be opened", &error).code(Code::StoreFailed))
        }
    }
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn postgres(_url: &Secret) -> Result<Arc<dyn Store>, Failure> {
    Err(Failure::coded(Code::StateUrl, "this flash was built without PostgreSQL")
        .hint("build it with `cargo build --release -p flash-cli --features postgres`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for url in [
            "http://u:hunter2@host:1",
            "https://u:hunter2@host",
            "mysql://u:hunter2@host/d",
            "hunter2",
            "http://",
            "http:",
            "http://:80",
            "http://host?token=hunter2",
            "sqlite:",
            "sqlite://",
        ] {
            let failure = StatePlace::parse(url).unwrap_err();
            let shown = format!("{failure:?}");
            assert!(shown.contains("StateUrl") && !shown.contains("hunter2"), "{shown}");
        }
        let place = StatePlace::parse("postgres://u:hunter2@host/d").unwrap();
        assert!(!format!("{place:?} {}", place.shown()).contains("hunter2"));
    }

    #[test]
    fn each_form_names_its_place() {
        for (url, expected) in [
            ("sqlite:a/b", "a/b"),
            ("sqlite:/a/b", "/a/b"),
            ("sqlite:///a/b", "/a/b"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1"),
            ("http://[::1]:1", "http://[::1]:1"),
            ("http://host/prefix", "http://host/prefix"),
            ("postgresql://host/d", "PostgreSQL"),
        ] {
            assert_eq!(StatePlace::parse(url).unwrap().shown(), expected);
        }
    }
}
