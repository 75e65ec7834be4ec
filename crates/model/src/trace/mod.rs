//! Where a call belongs in a distributed trace: W3C Trace Context, level 2 (<https://www.w3.org/TR/trace-context-2/>).
//!
//! Texts in, values out. Who makes a new id brings the random bytes.

mod state;

use std::fmt;

pub use state::{TRACE_STATE_BYTES_MAX, TraceState};

pub const TRACEPARENT_HEADER: &str = "traceparent";
pub const TRACESTATE_HEADER: &str = "tracestate";
/// The version that is written, and read whole.
const VERSION: u8 = 0;
const VERSION_INVALID: u8 = 0xff;
const SAMPLED: u8 = 0x01;
/// The trace id was drawn at random, so that samplers may decide by its last bytes.
const RANDOM: u8 = 0x02;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// A place in a trace: what is done next for it is a child of `span`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    flags: u8,
    state: TraceState,
}

impl TraceId {
    /// `None` of zeros, which mean none.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// `None` of zeros, which mean none.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    pub fn bytes(&self) -> [u8; 8] {
        self.0
    }
}

impl TraceContext {
    /// Of a trace that begins here, with an id that was drawn at random.
    pub fn begin(trace: TraceId, span: SpanId, is_sampled: bool) -> Self {
        let flags = RANDOM | if is_sampled { SAMPLED } else { 0 };
        Self { trace, span, flags, state: TraceState::default() }
    }

    /// Of a `traceparent` header, without its `tracestate`. `None` if it must be ignored.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let (version, rest) = traceparent.split_at_checked(2)?;
        let [version] = lower_hex(version)?;
        let fields = rest.strip_prefix('-')?;
        let (trace, rest) = fields.split_at_checked(32)?;
        let (span, rest) = rest.strip_prefix('-')?.split_at_checked(16)?;
        let (flags, rest) = rest.strip_prefix('-')?.split_at_checked(2)?;
        // Later versions may have more behind another dash.
        let ends_well = rest.is_empty() || (version != VERSION && rest.starts_with('-'));
        if version == VERSION_INVALID || !ends_well {
            return None;
        }
        let [flags] = lower_hex(flags)?;
        Some(Self {
            trace: TraceId::new(lower_hex(trace)?)?,
            span: SpanId::new(lower_hex(span)?)?,
            // What other bits mean is not known, so nothing is promised of them.
            flags: flags & (SAMPLED | RANDOM),
            state: TraceState::default(),
        })
    }

    pub fn with_state(self, state: TraceState) -> Self {
        Self { state, ..self }
    }

    pub fn with_sampled(self, is_sampled: bool) -> Self {
        let others = self.flags & !SAMPLED;
        Self { flags: others | if is_sampled { SAMPLED } else { 0 }, ..self }
    }

    /// The same trace, one step further.
    pub fn child(&self, span: SpanId) -> Self {
        Self { span, ..self.clone() }
    }

    pub fn trace(&self) -> TraceId {
        self.trace
    }

    pub fn span(&self) -> SpanId {
        self.span
    }

    pub fn state(&self) -> &TraceState {
        &self.state
    }

    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The header's value.
    pub fn traceparent(&self) -> String {
        format!("{VERSION:02x}-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }

    /// `traceparent`, and in a second line `tracestate` if there is one: what workers are sent and queues keep.
    pub fn to_text(&self) -> String {
        let mut text = self.traceparent();
        if !self.state.is_empty() {
            text.push('\n');
            text.push_str(self.state.as_str());
        }
        text
    }

    /// The opposite of [`Self::to_text`].
    pub fn from_text(text: &str) -> Option<Self> {
        let (traceparent, state) = text.split_once('\n').unwrap_or((text, ""));
        Some(Self::parse(traceparent)?.with_state(TraceState::parse([state])))
    }
}

/// Digits in lower case alone, as the format has them.
fn lower_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; BYTES];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 2 * BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn write_hex(bytes: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
}

macro_rules! shown_as_hex {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, formatter)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, formatter)
            }
        }
    };
}

shown_as_hex!(TraceId);
shown_as_hex!(SpanId);

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn the_examples_of_the_specification_are_read() {
        let check = |flags: &str, is_sampled: bool, written: &str| {
            let context = TraceContext::parse(&format!("00-{TRACE}-{SPAN}-{flags}")).unwrap();
            assert_eq!(
                (context.trace().to_string(), context.span().to_string()),
                (TRACE.into(), SPAN.into())
            );
            assert_eq!(context.is_sampled(), is_sampled);
            assert_eq!(context.traceparent(), format!("00-{TRACE}-{SPAN}-{written}"));
        };
        check("01", true, "01");
        check("00", false, "00");
        check("03", true, "03");
        check("02", false, "02");
        // Bits without a meaning are not passed on.
        check("09", true, "01");
        check("ff", true, "03");
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for text in [format!("cc-{TRACE}-{SPAN}-01"), format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings")]
        {
            let context = TraceContext::parse(&text).unwrap();
            assert_eq!(context.traceparent(), format!("00-{TRACE}-{SPAN}-01"), "{text}");
        }
    }

    #[test]
    fn what_is_invalid_is_ignored() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}é-{SPAN}-01", &TRACE[2..]),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_child_has_everything_but_the_span() {
        let parent = TraceContext::parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        let parent = parent.with_state(TraceState::parse(["congo=t61rcWkgMzE"]));
        let child = parent.child(SpanId::new([7; 8]).unwrap());
        assert_eq!(child.traceparent(), format!("00-{TRACE}-0707070707070707-01"));
        assert_eq!(child.state(), parent.state());
    }

    #[test]
    fn one_that_begins_says_that_its_id_is_random() {
        let (trace, span) = (TraceId::new([1; 16]).unwrap(), SpanId::new([2; 8]).unwrap());
        assert!(TraceContext::begin(trace, span, false).traceparent().ends_with("-02"));
        assert!(TraceContext::begin(trace, span, true).traceparent().ends_with("-03"));
        let begun = TraceContext::begin(trace, span, false);
        assert!(begun.clone().with_sampled(true).traceparent().ends_with("-03"));
        assert_eq!(begun.clone().with_sampled(true).with_sampled(false), begun);
        assert_eq!((TraceId::new([0; 16]), SpanId::new([0; 8])), (None, None));
    }

    #[test]
    fn texts_lead_back_to_where_they_came_from() {
        let bare = TraceContext::parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        let full = bare.clone().with_state(TraceState::parse(["rojo=00f067aa0ba902b7, congo=t61rcWkgMzE"]));
        for context in [bare, full] {
            assert_eq!(TraceContext::from_text(&context.to_text()), Some(context));
        }
        assert_eq!(TraceContext::from_text("nonsense"), None);
    }
}
