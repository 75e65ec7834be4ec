//! `flash jobs dead RESOURCE` and `flash jobs redrive RESOURCE JOB_ID…|--all`.

use flash_client::Mothership;
use flash_model::Code;

use super::{block_on, refused, running_mothership};
use crate::args::{DeadArgs, JobsCommand, RedriveArgs};
use crate::error::Failure;
use crate::printer::Printer;
use crate::view;

pub(crate) fn jobs(command: &JobsCommand, printer: Printer) -> Result<(), Failure> {
    match command {
        JobsCommand::Dead(args) => dead(args, printer),
        JobsCommand::Redrive(args) => redrive(args, printer),
    }
}

fn dead(args: &DeadArgs, printer: Printer) -> Result<(), Failure> {
    let resource = &args.resource;
    let letters = block_on(async {
        let mothership = running_mothership(args.project.as_deref()).await?;
        let letters = mothership.dead(resource, args.limit).await;
        letters.map_err(|error| refused(&format!("listing dead letters of {resource}"), &error))
    })?;
    if args.json {
        let json = serde_json::to_string_pretty(&letters);
        printer.data(json.map_err(|error| Failure::because("the list cannot be written as JSON", &error))?);
    } else if letters.dead.is_empty() {
        printer.data(format_args!("{resource} has no dead letters"));
    } else {
        printer.data(view::dead::table(&letters.dead));
        let hidden = letters.total.saturating_sub(letters.dead.len() as u64);
        if hidden > 0 {
            printer.notice(format_args!("and {hidden} older ones; --limit shows more"));
        }
    }
    Ok(())
}

fn redrive(args: &RedriveArgs, printer: Printer) -> Result<(), Failure> {
    block_on(async {
        let mothership = running_mothership(args.project.as_deref()).await?;
        if args.all {
            redrive_all(&mothership, &args.resource, printer).await
        } else {
            redrive_each(&mothership, &args.resource, &args.jobs, printer).await
        }
    })
}

async fn redrive_all(mothership: &Mothership, resource: &str, printer: Printer) -> Result<(), Failure> {
    let redriven = mothership.redrive_all(resource).await;
    let redriven =
        redriven.map_err(|error| refused(&format!("queueing jobs of {resource} again"), &error))?;
    if redriven.redriven == 0 {
        return Err(Failure::coded(Code::JobNotFound, format!("{resource} has no dead letters")));
    }
    printer.notice(format_args!("dead letters of {resource} that are queued again: {}", redriven.redriven));
    Ok(())
}

/// Those that can be, up to the first that cannot.
async fn redrive_each(
    mothership: &Mothership,
    resource: &str,
    jobs: &[String],
    printer: Printer,
) -> Result<(), Failure> {
    for job in jobs {
        let redriven = mothership.redrive(resource, job).await;
        redriven.map_err(|error| refused(&format!("queueing {job} of {resource} again"), &error))?;
        printer.notice(format_args!("{job} is queued again"));
    }
    Ok(())
}
