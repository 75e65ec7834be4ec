//! `flash rollback [GENERATION] [PATH] [--list]`: an earlier generation's specifications, as a new generation.

use std::sync::Arc;

use flash_model::{Code, Generation, Manifest};
use flash_mothership::Drift;
use flash_mothership::store::Error;
use serde_json::json;

use super::block_on;
use super::boot::Boot;
use super::planning::Observed;
use super::steering::{Change, carry_out};
use crate::args::RollbackArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::CodeFrom;
use crate::state_store::refused;
use crate::view;

const LIST_HINT: &str = "`flash rollback --list` shows what there is";

pub(crate) fn rollback(args: &RollbackArgs, printer: Printer) -> Result<(), Failure> {
    crate::log::to_stderr("error", printer);
    if let Some(text) = args.misplaced() {
        return Err(Failure::coded(
            Code::UnknownGeneration,
            format!("{text:?} is not the number of a generation"),
        )
        .hint(LIST_HINT));
    }
    let (generation, path) = args.target();
    let boot = Boot::new(&path, &args.state, args.python.clone(), printer)?;
    let scope = boot.project.scope();
    let History { generations, target } = block_on(History::of(&boot, generation))?;
    if args.list {
        list(&scope.to_string(), &generations, args.json, printer);
        return Ok(());
    }
    let (number, manifest) = target?;
    let scan = boot.project.scan(&boot.project.select()?, CodeFrom::Folder, printer)?;
    check_code(number, &manifest, &scan.manifest)?;
    let observed = block_on(Observed::of(&boot.state, &boot.run_dir, &scope))?;
    let file = observed.plan(scope, Drift::Repair, Arc::unwrap_or_clone(manifest));
    printer.notice(format_args!("back to generation {number}, in {}\n", view::plan::text(&file)));
    let change = Change { file, rollback: Some(number), purpose: "flash rollback" };
    carry_out(&boot, &scan, &change, args.json)?;
    printer.notice(
        "the project's files still say otherwise: their next change, or `flash run`, applies them again",
    );
    Ok(())
}

/// What was applied, and where to go back to or why that is not possible.
struct History {
    generations: Vec<Generation>,
    target: Result<(u64, Arc<Manifest>), Failure>,
}

impl History {
    async fn of(boot: &Boot, wanted: Option<u64>) -> Result<Self, Failure> {
        let scope = boot.project.scope();
        let unreadable = |error: &Error| refused("the history of generations cannot be read", error);
        let unknown = |what: String| Failure::coded(Code::UnknownGeneration, what).hint(LIST_HINT);
        let Some(store) = boot.state.open_if_any().await? else {
            let target = Err(unknown(format!("nothing was ever applied to {scope}")));
            return Ok(Self { generations: Vec::new(), target });
        };
        let generations = store.generations(&scope).await.map_err(|error| unreadable(&error))?;
        let number = match (generations.as_slice(), wanted) {
            ([], _) => Err(unknown(format!("nothing was ever applied to {scope}"))),
            ([now, ..], Some(number)) if number == now.number => {
                Err(unknown(format!("generation {number} is what is applied now")))
            }
            (_, Some(number)) => Ok(number),
            ([_, before, ..], None) => Ok(before.number),
            ([now], None) => Err(unknown(format!("there is no generation before {}", now.number))),
        };
        let target = match number {
            Ok(number) => {
                let stored = store.generation(&scope, number).await.map_err(|error| unreadable(&error))?;
                stored
                    .map(|stored| (number, stored.manifest))
                    .ok_or_else(|| unknown(format!("there is no generation {number}, or it is too old")))
            }
            Err(failure) => Err(failure),
        };
        Ok(Self { generations, target })
    }
}

/// Endpoints run the project's files as they are: only what the specifications say can be brought back.
fn check_code(number: u64, wanted: &Manifest, files: &Manifest) -> Result<(), Failure> {
    let differing = wanted.resources.iter().filter_map(|(name, resource)| match files.resources.get(name) {
        None => Some(format!("{name} (not in the files any more)")),
        Some(now) if now.code_digest != resource.code_digest => Some(name.to_string()),
        Some(_) => None,
    });
    let names: Vec<String> = differing.collect();
    if names.is_empty() {
        return Ok(());
    }
    let what = format!("generation {number} had other code than the files have now: {}", names.join(", "));
    Err(Failure::coded(Code::CodeIsAnother, what).hint(
        "check out the files of that time: a project that runs applies them at once, else `flash plan` shows what they change",
    ))
}

fn list(scope: &str, generations: &[Generation], as_json: bool, printer: Printer) {
    if as_json {
        printer.data(format_args!("{:#}", json!({"scope": scope, "generations": generations})));
    } else if generations.is_empty() {
        printer.data(format_args!("nothing was applied to {scope}"));
    } else {
        printer.data(view::generations::table(generations));
    }
}
