//! A command that did not do what it was asked: what, why, and what to do now.

use flash_model::Code;
use flash_model::wire::RemoteException;

use crate::printer::Printer;

/// Printed as `error[CODE]: …`, its causes, the output of another program if it was that, and a hint.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    code: Option<Code>,
    message: String,
    causes: Vec<String>,
    output: Option<String>,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(crate) fn coded(code: Code, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(message) }
    }

    /// `message` says what was tried; the error and its sources say why it failed.
    pub(crate) fn because(message: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let mut failure = Self::new(message);
        let mut cause = Some(error);
        while let Some(error) = cause {
            failure.causes.push(error.to_string());
            cause = error.source();
        }
        failure
    }

    pub(crate) fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Another program's own words, shown as they are.
    pub(crate) fn output(mut self, output: impl Into<String>) -> Self {
        self.output = Some(output.into());
        self
    }

    pub(crate) fn exception(self, exception: &RemoteException) -> Self {
        self.output(exception.traceback.trim_end())
    }

    pub(crate) fn print(&self, printer: Printer) {
        if let Some(output) = self.output.as_ref().filter(|output| !output.is_empty()) {
            printer.notice(output);
        }
        printer.error(self.code, &self.message);
        for cause in &self.causes {
            printer.notice(format_args!("  caused by: {cause}"));
        }
        if let Some(hint) = &self.hint {
            printer.hint(hint);
        }
    }
}
