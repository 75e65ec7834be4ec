//! `flash call FUNCTION JSON`.

use flash_model::Code;
use serde_json::Value;

use super::{block_on, refused, running_mothership};
use crate::args::CallArgs;
use crate::error::Failure;
use crate::printer::Printer;

pub(crate) fn call(args: &CallArgs, printer: Printer) -> Result<(), Failure> {
    let arguments: Value = serde_json::from_str(&args.arguments).map_err(|error| {
        Failure::because("the arguments are not JSON", &error)
            .code(Code::InvalidBody)
            .hint(r#"give an object of keyword arguments in single quotes: '{"text": "hi"}'"#)
    })?;
    if !arguments.is_object() {
        return Err(Failure::coded(Code::InvalidBody, "the arguments are not a JSON object")
            .hint(r#"name them: '{"text": "hi"}'"#));
    }
    let result = block_on(async {
        let mothership = running_mothership(args.project.as_deref()).await?;
        let result = mothership.call_json(&args.function, &arguments).await;
        result.map_err(|error| refused(&format!("calling {}", args.function), &error))
    })?;
    printer.data(format_args!("{result:#}"));
    Ok(())
}
