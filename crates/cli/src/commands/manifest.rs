//! `flash manifest [PATH]` and `flash manifest --schema`.

use flash_model::Manifest;

use crate::args::ManifestArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;

pub(crate) fn manifest(args: &ManifestArgs, printer: Printer) -> Result<(), Failure> {
    if args.schema {
        printer.data(schema());
        return Ok(());
    }
    let project = Project::locate(&args.path)?;
    let scan = project.scan(&project.select()?, printer)?;
    let json = scan
        .manifest
        .to_json()
        .map_err(|error| Failure::because("the manifest cannot be written as JSON", &error))?;
    printer.data(json.trim_end());
    Ok(())
}

/// Generated from the types; `docs/manifest.schema.json` is the same text.
fn schema() -> String {
    format!("{:#}", schemars::schema_for!(Manifest).to_value())
}

#[cfg(test)]
mod tests {
    /// `UPDATE_EXPECT=1` writes the file anew.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "the person who runs the tests says so this way")]
    fn the_checked_in_schema_is_what_the_types_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/manifest.schema.json");
        let actual = super::schema() + "\n";
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, &actual).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), actual);
    }
}
