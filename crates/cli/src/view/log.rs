//! Lines of endpoints' logs.

use flash_model::wire::{LogLine, LogStream};

use super::time::{clock, moment};

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// `12:03:04.123 job-id│text`, with the date where it is not the day of `now_ms`. Times are UTC.
pub(crate) fn line(line: &LogLine, now_ms: u64) -> String {
    let date = if line.at_ms / MS_PER_DAY == now_ms / MS_PER_DAY {
        String::new()
    } else {
        moment(line.at_ms).chars().take_while(|c| *c != 'T').chain([' ']).collect()
    };
    let whose = line.call().unwrap_or("-");
    let whose = match line.stream {
        LogStream::Stdout => whose.to_owned(),
        LogStream::Stderr => format!("{whose} err"),
        LogStream::Flash => "flash".to_owned(),
    };
    let head = format!("{date}{} {whose}│", clock(line.at_ms));
    let text = line.text.replace('\n', &format!("\n{head}"));
    match line.cut_bytes {
        0 => format!("{head}{text}"),
        more => format!("{head}{text}… [{more} bytes more]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_and_whose() {
        let now = 1_767_225_599_123;
        let plain = LogLine::new(now, LogStream::Stdout, "text");
        let stderr = LogLine { stream: LogStream::Stderr, job: Some("j-1".to_owned()), ..plain.clone() };
        let request = LogLine { request: Some("ab-3".to_owned()), cut_bytes: 7, ..plain.clone() };
        let own = LogLine { stream: LogStream::Flash, text: "two\nlines".to_owned(), ..plain.clone() };
        for (shown, expected) in [
            (&plain, "23:59:59.123 -│text"),
            (&stderr, "23:59:59.123 j-1 err│text"),
            (&request, "23:59:59.123 ab-3│text… [7 bytes more]"),
            (&own, "23:59:59.123 flash│two\n23:59:59.123 flash│lines"),
        ] {
            assert_eq!(line(shown, now), expected);
        }
        assert_eq!(line(&plain, now + 1000), "2025-12-31 23:59:59.123 -│text");
    }
}
