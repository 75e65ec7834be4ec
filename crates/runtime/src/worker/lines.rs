//! What comes through one of a worker's pipes → lines, each with the call that printed it. Bytes in, values out; no IO.
//!
//! `docs/worker-protocol.md` (Output) has the form of the pieces.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What is longer is cut.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;
/// A line without its end is taken for whole when nothing has come for it for so long.
const OPEN_LINE_TIMEOUT: Duration = Duration::from_secs(1);
/// Lines that wait for their end at the same time; with more they are all taken for whole.
const OPEN_LINES_MAX: usize = 256;
/// Before and behind a piece's call id and size.
const MARK: u8 = 0x1e;
const MARK_END: u8 = 0x1f;
/// PIPE_BUF: what is written at once stays in one piece. Larger ones are none.
const PIECE_BYTES_MAX: usize = 4096;
/// `MARK`, a `u32`, a colon, four digits, `MARK_END`.
const HEADER_BYTES_MAX: usize = 17;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// None where it was printed outside of any call, and where nobody knows.
    pub(super) call: Option<u32>,
    pub(super) text: &'a [u8],
    pub(super) cut_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Lines {
    open: HashMap<Option<u32>, Open>,
    /// Of the piece that is being read: its call and what is left of it.
    piece: Option<(Option<u32>, usize)>,
    /// The begin of what may become a piece's header.
    held: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    text: Vec<u8>,
    cut_bytes: u64,
    /// What came last was a carriage return, so that a line feed ends nothing more.
    is_returned: bool,
    touched: Instant,
}

enum Header {
    Piece {
        call: Option<u32>,
        size: usize,
        length: usize,
    },
    /// More bytes are needed to tell.
    Incomplete,
    Text,
}

impl Lines {
    /// Gives `each` line that is complete now. Text that does not say whose it is, because it was written past Python, is
    /// `unmarked`'s.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        unmarked: Option<u32>,
        now: Instant,
        mut each: impl FnMut(Line<'_>),
    ) {
        let joined = (!self.held.is_empty()).then(|| [&std::mem::take(&mut self.held), bytes].concat());
        let mut rest = joined.as_deref().unwrap_or(bytes);
        while !rest.is_empty() {
            if let Some((call, left)) = self.piece {
                let (text, behind) = rest.split_at(left.min(rest.len()));
                self.piece = (left > text.len()).then(|| (call, left - text.len()));
                self.text(call, text, now, &mut each);
                rest = behind;
                continue;
            }
            let at = rest.iter().position(|byte| *byte == MARK).unwrap_or(rest.len());
            let (text, marked) = rest.split_at(at);
            self.text(unmarked, text, now, &mut each);
            if marked.is_empty() {
                break;
            }
            match header(marked) {
                Header::Piece { call, size, length } => {
                    self.piece = (size > 0).then_some((call, size));
                    rest = &marked[length..];
                }
                Header::Incomplete => {
                    self.held = marked.to_vec();
                    rest = &[];
                }
                Header::Text => {
                    self.text(unmarked, &marked[..1], now, &mut each);
                    rest = &marked[1..];
                }
            }
        }
        if self.open.len() > OPEN_LINES_MAX {
            self.close(|_, _| true, &mut each);
        }
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.open.values().map(|open| open.touched + OPEN_LINE_TIMEOUT).min()
    }

    /// Lines that have waited too long for their end.
    pub(super) fn expire(&mut self, now: Instant, mut each: impl FnMut(Line<'_>)) {
        self.close(|_, open| now >= open.touched + OPEN_LINE_TIMEOUT, &mut each);
    }

    /// Lines of calls that are over: their end does not come any more.
    pub(super) fn end_calls(&mut self, is_over: impl Fn(u32) -> bool, mut each: impl FnMut(Line<'_>)) {
        self.close(|call, _| call.is_some_and(&is_over), &mut each);
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, now: Instant, mut each: impl FnMut(Line<'_>)) {
        let held = std::mem::take(&mut self.held);
        self.text(None, &held, now, &mut each);
        self.piece = None;
        self.close(|_, _| true, &mut each);
    }

    fn close(&mut self, is_over: impl Fn(Option<u32>, &Open) -> bool, each: &mut impl FnMut(Line<'_>)) {
        self.open.retain(|call, open| {
            let is_over = is_over(*call, open);
            if is_over && !open.text.is_empty() {
                open.give(*call, each);
            }
            !is_over
        });
    }

    /// Line feeds end lines, and so do the carriage returns of progress bars.
    fn text(&mut self, call: Option<u32>, mut text: &[u8], now: Instant, each: &mut impl FnMut(Line<'_>)) {
        if text.is_empty() {
            return;
        }
        let new = || Open { text: Vec::new(), cut_bytes: 0, is_returned: false, touched: now };
        let open = self.open.entry(call).or_insert_with(new);
        open.touched = now;
        while let Some(at) = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            open.append(&text[..at]);
            let is_return = text[at] == b'\r';
            let ends_nothing = open.text.is_empty() && (is_return || open.is_returned);
            if !ends_nothing {
                open.give(call, each);
            }
            open.is_returned = is_return;
            text = &text[at + 1..];
        }
        open.append(text);
        if open.text.is_empty() && !open.is_returned {
            self.open.remove(&call);
        }
    }
}

impl Open {
    fn append(&mut self, text: &[u8]) {
        let (kept, cut) = text.split_at(text.len().min(LINE_BYTES_MAX - self.text.len()));
        self.text.extend_from_slice(kept);
        self.cut_bytes += cut.len() as u64;
        self.is_returned &= text.is_empty();
    }

    fn give(&mut self, call: Option<u32>, each: &mut impl FnMut(Line<'_>)) {
        each(Line { call, text: &self.text, cut_bytes: self.cut_bytes });
        self.text.clear();
        self.cut_bytes = 0;
    }
}

/// Of what begins with [`MARK`].
fn header(bytes: &[u8]) -> Header {
    let bytes = &bytes[..bytes.len().min(HEADER_BYTES_MAX)];
    let Some(end) = bytes.iter().position(|byte| *byte == MARK_END) else {
        let may_become_one = bytes[1..].iter().all(|byte| byte.is_ascii_digit() || *byte == b':');
        return if bytes.len() < HEADER_BYTES_MAX && may_become_one {
            Header::Incomplete
        } else {
            Header::Text
        };
    };
    let piece = || {
        let (call, size) = std::str::from_utf8(&bytes[1..end]).ok()?.split_once(':')?;
        let call: u32 = call.parse().ok()?;
        Some(((call != 0).then_some(call), size.parse().ok().filter(|size| *size <= PIECE_BYTES_MAX)?))
    };
    match piece() {
        Some((call, size)) => Header::Piece { call, size, length: end + 1 },
        None => Header::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(call: u32, text: &str) -> Vec<u8> {
        format!("\x1e{call}:{}\x1f{text}", text.len()).into_bytes()
    }

    fn owned_line(line: Line<'_>) -> (Option<u32>, String, u64) {
        (line.call, String::from_utf8_lossy(line.text).into_owned(), line.cut_bytes)
    }

    fn lines(feeds: &[&[u8]]) -> Vec<(Option<u32>, String)> {
        let (mut lines, now, mut found) = (Lines::default(), Instant::now(), Vec::new());
        for bytes in feeds {
            lines.feed(bytes, Some(9), now, |line| found.push(owned_line(line)));
        }
        lines.finish(now, |line| found.push(owned_line(line)));
        found.into_iter().map(|(call, text, _)| (call, text)).collect()
    }

    fn owned(lines: &[(Option<u32>, &str)]) -> Vec<(Option<u32>, String)> {
        lines.iter().map(|(call, text)| (*call, (*text).to_owned())).collect()
    }

    #[test]
    fn pieces_are_put_together_by_call_wherever_the_stream_is_cut() {
        let stream = [
            b"raw ".to_vec(),
            piece(1, "one "),
            piece(22, "two\ntw"),
            b"text\n\x1e\x1e7\n".to_vec(),
            piece(1, "is one\n"),
            piece(0, "nobody\r\n\n"),
            piece(22, "o\n"),
            b"end".to_vec(),
        ]
        .concat();
        let expected = owned(&[
            (Some(22), "two"),
            (Some(9), "raw text"),
            (Some(9), "\x1e\x1e7"),
            (Some(1), "one is one"),
            (None, "nobody"),
            (None, ""),
            (Some(22), "two"),
            (Some(9), "end"),
        ]);
        for cut in 0..=stream.len() {
            assert_eq!(lines(&[&stream[..cut], &stream[cut..]]), expected, "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(lines(&single), expected);
    }

    #[test]
    fn what_only_looks_like_a_piece_is_text() {
        for text in
            ["\x1e", "\x1e1:", "\x1e1:9999\x1f", "\x1ex:1\x1fa", "\x1e99999999999:1\x1fa", "\x1e1\x1fa"]
        {
            let found = lines(&[text.as_bytes(), b"\n"]);
            assert_eq!(found, owned(&[(Some(9), text)]));
        }
        assert_eq!(lines(&[b"\x1e1:0\x1fa"]), owned(&[(Some(9), "a")]));
    }

    #[test]
    fn progress_bars_come_line_by_line() {
        assert_eq!(
            lines(&[b"\r 1%\r 2%", b"\r\n", b"done\r", b"\nafter\r\n\r\n"]),
            owned(&[(Some(9), " 1%"), (Some(9), " 2%"), (Some(9), "done"), (Some(9), "after")]),
        );
    }

    #[test]
    fn long_lines_are_cut_and_say_so() {
        let (mut lines, now, mut found) = (Lines::default(), Instant::now(), Vec::new());
        for _ in 0..5 {
            lines.feed(&piece(1, &"x".repeat(4000)), None, now, |line| found.push(owned_line(line)));
        }
        lines.feed(&piece(1, "y\nnext\n"), None, now, |line| found.push(owned_line(line)));
        assert_eq!((found[0].1.len(), found[0].2), (LINE_BYTES_MAX, 20_001 - LINE_BYTES_MAX as u64));
        assert_eq!((found[1].1.as_str(), found[1].2), ("next", 0));
        assert!(lines.open.is_empty());
    }

    #[test]
    fn a_line_without_its_end_is_given_after_a_while() {
        let (mut lines, now, mut found) = (Lines::default(), Instant::now(), Vec::new());
        assert_eq!(lines.due(), None);
        lines.feed(&piece(3, "wait"), None, now, |line| found.push(owned_line(line)));
        lines.feed(&piece(3, "ing"), None, now + OPEN_LINE_TIMEOUT / 2, |line| found.push(owned_line(line)));
        lines.expire(now + OPEN_LINE_TIMEOUT, |line| found.push(owned_line(line)));
        assert!(found.is_empty());
        lines.expire(lines.due().unwrap(), |line| found.push(owned_line(line)));
        assert_eq!((found[0].1.as_str(), lines.due()), ("waiting", None));
    }

    #[test]
    fn lines_without_an_end_end_with_their_call() {
        let (mut lines, now, mut found) = (Lines::default(), Instant::now(), Vec::new());
        for call in 0..3 {
            lines.feed(&piece(call, "x"), None, now, |line| found.push(owned_line(line)));
        }
        lines.end_calls(|call| call == 2, |line| found.push(owned_line(line)));
        assert_eq!(found.iter().map(|line| line.0).collect::<Vec<_>>(), [Some(2)]);
        assert_eq!(lines.open.len(), 2);
    }

    #[test]
    fn open_lines_are_bounded() {
        let (mut lines, now, mut count) = (Lines::default(), Instant::now(), 0);
        for call in 0..10_000 {
            lines.feed(&piece(call, "x"), None, now, |_| count += 1);
            assert!(lines.open.len() <= OPEN_LINES_MAX);
        }
        assert!(count > 9_000);
    }
}
