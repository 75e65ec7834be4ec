//! Which Python packages a resource needs: what the project names in its files, what the functions name in
//! `dependencies=[…]`, and what the reference's package brought along silently.
//!
//! PEP 508 is read by `pep508_rs`. Its maintained successor `uv-pep508` was tried (0.0.72, the last for Rust 1.95): it
//! brings 13 more crates of uv's internals and raises its Rust every few weeks, and it overflows the stack on deeply
//! nested conditions too. So `pep508_rs` stays, behind the checks of `line.rs` for what it panics on.

mod conflict;
mod file;
mod line;
mod project;
mod pyproject;
mod set;

pub use conflict::conflicts;
pub use line::Requirement;
pub use project::{Error, InvalidLine, Place, ProjectRequirements, Stated};
pub(crate) use pyproject::requires_python;
pub use set::{Excluded, RequirementSet, invalid_dependencies, plan, plan_for};

/// Replaces `user:password` in URLs by `***`, for text that is shown or stored.
pub fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(scheme_end) = rest.find("://") {
        let (before, after) = rest.split_at(scheme_end + 3);
        shown.push_str(before);
        let authority_end = after
            .find(|c: char| c == '/' || c.is_whitespace() || matches!(c, '"' | '\''))
            .unwrap_or(after.len());
        rest = match after[..authority_end].rfind('@') {
            Some(at) => {
                shown.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_hidden() {
        let check = |text: &str, expected: &str| assert_eq!(redacted(text), expected);
        check("torch>=2", "torch>=2");
        check("x @ git+https://user:t0ken@h/r.git@v1", "x @ git+https://***@h/r.git@v1");
        check(
            "--index-url https://a:b@c/simple https://d/e@f",
            "--index-url https://***@c/simple https://d/e@f",
        );
        check("https://p@ss@host", "https://***@host");
    }
}
