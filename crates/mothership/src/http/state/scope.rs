//! Which app+environment a request is about.

use std::sync::{Arc, PoisonError};

use flash_model::wire::Problem;
use flash_model::{AppName, Code, EnvironmentName, MothershipId, Scope};

use super::super::problem::Refusal;
use super::StateApi;
use super::refusal::not_found;
use crate::store::Store;

/// Environment of a state that was begun by a client that knows no environments, under an id of its own.
const UNNAMED_ENVIRONMENT: &str = "default";

/// What `{id}` names.
enum Named {
    Scope(Scope),
    Lineage(MothershipId),
}

impl StateApi {
    /// The scope that `id` names, whether anything was ever written to it or not; for a lineage it must have been.
    pub(super) async fn scope(&self, id: &str) -> Result<(Arc<dyn Store>, Scope), Refusal> {
        let store = self.store()?;
        match named(id)? {
            Named::Scope(scope) => Ok((store, scope)),
            Named::Lineage(lineage) => match self.find(&*store, &lineage).await? {
                Some(scope) => Ok((store, scope)),
                None => Err(not_found(format!("no state has the lineage {lineage}"))),
            },
        }
    }

    /// The same for one who writes: a lineage that nobody has seen yet is that of a new state.
    pub(super) async fn scope_to_write(&self, id: &str) -> Result<(Arc<dyn Store>, Scope), Refusal> {
        let store = self.store()?;
        let lineage = match named(id)? {
            Named::Scope(scope) => return Ok((store, scope)),
            Named::Lineage(lineage) => lineage,
        };
        if let Some(scope) = self.find(&*store, &lineage).await? {
            return Ok((store, scope));
        }
        let names = (AppName::new(lineage.as_str()), EnvironmentName::new(UNNAMED_ENVIRONMENT));
        let (Ok(app), Ok(environment)) = names else {
            return Err(not_found(format!("{lineage} cannot be the name of an app")));
        };
        let scope = Scope { app, environment };
        if store.lineage(&scope, lineage.clone()).await? != lineage {
            let detail = format!("{scope} has another lineage than {lineage}");
            return Err(Problem::new(Code::StateConflict, 409, detail).into());
        }
        Ok((store, scope))
    }

    async fn find(&self, store: &dyn Store, lineage: &MothershipId) -> Result<Option<Scope>, Refusal> {
        let lineages = || self.0.lineages.lock().unwrap_or_else(PoisonError::into_inner);
        let guess = lineages().get(lineage).cloned();
        if let Some(scope) = guess
            && store.pulse(&scope).await?.lineage.as_ref() == Some(lineage)
        {
            return Ok(Some(scope));
        }
        let mut found = std::collections::BTreeMap::new();
        for scope in store.scopes().await? {
            if let Some(lineage) = store.pulse(&scope).await?.lineage {
                found.insert(lineage, scope);
            }
        }
        let scope = found.get(lineage).cloned();
        *lineages() = found;
        Ok(scope)
    }
}

fn named(id: &str) -> Result<Named, Refusal> {
    let invalid = |error: flash_model::InvalidName| not_found(error.to_string());
    match id.split_once('/') {
        Some((app, environment)) => Ok(Named::Scope(Scope {
            app: AppName::new(app).map_err(invalid)?,
            environment: EnvironmentName::new(environment).map_err(invalid)?,
        })),
        None => Ok(Named::Lineage(MothershipId::new(id).map_err(|_| {
            Refusal::from(
                Problem::new(Code::StateNotFound, 404, format!("{id:?} names no state"))
                    .hint("write app/environment as one path segment: shop%2Fdev"),
            )
        })?)),
    }
}
