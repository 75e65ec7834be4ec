//! `flash explain CODE`.

use std::str::FromStr;

use flash_model::Code;

use crate::args::ExplainArgs;
use crate::error::Failure;
use crate::printer::Printer;

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

pub(crate) fn explain(args: &ExplainArgs, printer: Printer) -> Result<(), Failure> {
    let code = Code::from_str(&args.code).map_err(|()| {
        Failure::new(format!("there is no error code {:?}", args.code))
            .hint("codes look like FL107 and stand in brackets after `error`")
    })?;
    let page = PAGES.iter().find(|(name, _)| *name == code.as_str());
    printer.data(page.map_or(code.title(), |(_, page)| page.trim_end()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let pages: Vec<&str> = PAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(codes, pages);
        for (code, (_, page)) in Code::ALL.iter().zip(PAGES) {
            let title = format!("# {code}: {}\n", code.title());
            assert!(page.starts_with(&title), "{code} starts with {:?}", page.lines().next());
        }
    }
}
