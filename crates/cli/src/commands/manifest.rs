//! `flash manifest [PATH]`.

use crate::args::ManifestArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;

pub(crate) fn manifest(args: &ManifestArgs, printer: Printer) -> Result<(), Failure> {
    let project = Project::locate(&args.path)?;
    let scan = project.scan(&project.select()?, printer)?;
    let json = scan
        .manifest
        .to_json()
        .map_err(|error| Failure::because("the manifest cannot be written as JSON", &error))?;
    printer.data(json.trim_end());
    Ok(())
}
