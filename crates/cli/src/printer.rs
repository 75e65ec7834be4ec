//! stdout is data, stderr is everything else. Nothing outside this file prints.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the one place")]

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use flash_model::Code;

/// A full disk behind standard output: whoever reads it has a part for the whole, and must learn that.
static IS_DATA_LOST: AtomicBool = AtomicBool::new(false);
/// Nobody reads standard output any more.
static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Hands out the two streams. A closed pipe ends output, not the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    colored: bool,
    terminal: bool,
}

impl Printer {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colored = terminal && crate::environment::text("NO_COLOR").is_none();
        Self { colored, terminal }
    }

    /// Whether notices go to a terminal, where progress may be drawn.
    pub(crate) fn is_terminal(self) -> bool {
        self.terminal
    }

    pub(crate) fn is_colored(self) -> bool {
        self.colored
    }

    /// One line of data.
    pub(crate) fn data(self, text: impl std::fmt::Display) {
        match writeln!(std::io::stdout(), "{text}") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => IS_UNREAD.store(true, Ordering::Relaxed),
            Err(_) => IS_DATA_LOST.store(true, Ordering::Relaxed),
        }
    }

    /// Whether more data is of no use to anybody.
    pub(crate) fn is_unread(self) -> bool {
        IS_UNREAD.load(Ordering::Relaxed)
    }

    /// Whether data could not be written, for another reason than that nobody wanted more.
    pub(crate) fn is_data_lost(self) -> bool {
        IS_DATA_LOST.load(Ordering::Relaxed)
    }

    /// One line that says what is going on.
    pub(crate) fn notice(self, text: impl std::fmt::Display) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// What a person at the terminal answers, on one line. None if nobody is there.
    pub(crate) fn ask(self, question: &str) -> Option<String> {
        if !self.terminal || !std::io::stdin().is_terminal() {
            return None;
        }
        let mut stderr = std::io::stderr();
        write!(stderr, "{question}").and_then(|()| stderr.flush()).ok()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok()?;
        Some(answer)
    }

    /// `error: …`, or `error[FL204]: …`.
    pub(crate) fn error(self, code: Option<Code>, text: impl std::fmt::Display) {
        self.labelled("error", code, "\x1b[1;31m", text);
    }

    pub(crate) fn note(self, code: impl Into<Option<Code>>, text: impl std::fmt::Display) {
        self.labelled("note", code.into(), "\x1b[1;32m", text);
    }

    pub(crate) fn hint(self, text: impl std::fmt::Display) {
        self.labelled("hint", None, "\x1b[1;36m", text);
    }

    fn labelled(self, label: &str, code: Option<Code>, color: &str, text: impl std::fmt::Display) {
        let code = code.map_or_else(String::new, |code| format!("[{code}]"));
        let (color, reset) = if self.colored { (color, "\x1b[0m") } else { ("", "") };
        let _ = writeln!(std::io::stderr(), "{color}{label}{code}{reset}: {text}");
    }
}
