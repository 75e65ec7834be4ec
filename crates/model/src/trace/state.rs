//! `tracestate`: what tracing systems note for themselves, passed on and otherwise not touched.

const MEMBERS_MAX: usize = 32;
/// What is passed on at most: as much as everybody must be able to take.
pub const TRACE_STATE_BYTES_MAX: usize = 512;
/// Larger members go first where room is short.
const MEMBER_BYTES_LARGE: usize = 128;
const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 256;

/// A list of `key=value`, in the order of the last change. Empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceState(Box<str>);

impl TraceState {
    /// Of a request's `tracestate` headers in their order. All of it is left out if any is invalid.
    pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Self {
        let members = headers.into_iter().flat_map(|header| header.split(','));
        let members =
            members.map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty());
        let members: Vec<&str> = members.take(MEMBERS_MAX + 1).collect();
        if members.len() > MEMBERS_MAX
            || !members.iter().all(|member| is_valid(member))
            || repeats_a_key(&members)
        {
            return Self::default();
        }
        Self(shortened(members).join(",").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whole members only: first the large ones go, then the oldest.
fn shortened(mut members: Vec<&str>) -> Vec<&str> {
    let size = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>();
    while size(&members) > TRACE_STATE_BYTES_MAX + 1 {
        let large = members.iter().rposition(|member| member.len() > MEMBER_BYTES_LARGE);
        members.remove(large.unwrap_or(members.len() - 1));
    }
    members
}

fn repeats_a_key(members: &[&str]) -> bool {
    let key = |member: &&str| member.split('=').next().map(str::len).unwrap_or_default();
    members.iter().enumerate().any(|(index, member)| {
        members[..index].iter().any(|earlier| earlier[..key(earlier)] == member[..key(member)])
    })
}

fn is_valid(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_key = key.len() <= KEY_BYTES_MAX
        && key.bytes().next().is_some_and(is_alphanumeric)
        && key.bytes().all(|byte| is_alphanumeric(byte) || b"_-*/@".contains(&byte));
    let is_value = (1..=VALUE_BYTES_MAX).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b",=".contains(&byte));
    is_key && is_value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[&str], expected: &str) {
        assert_eq!(TraceState::parse(headers.iter().copied()).as_str(), expected, "{headers:?}");
    }

    #[test]
    fn lists_are_put_together_in_order() {
        check(&[], "");
        check(&[""], "");
        check(&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
        check(&["congo=BleGNlZWRzIHRohbCBwbGVhc3VyZS4"], "congo=BleGNlZWRzIHRohbCBwbGVhc3VyZS4");
        check(&["a=1 ,\tb=2,,", " c=3"], "a=1,b=2,c=3");
        check(&["fw529a3039@dt=FfAAAA,1a_-*/=two words!"], "fw529a3039@dt=FfAAAA,1a_-*/=two words!");
    }

    #[test]
    fn what_is_invalid_takes_the_rest_with_it() {
        let long = format!("{}=1", "k".repeat(KEY_BYTES_MAX + 1));
        let wide = format!("a={}", "v".repeat(VALUE_BYTES_MAX + 1));
        for bad in [
            "a", "=1", "a=", "A=1", "_a=1", "a b=1", "a=b=c", "a=\u{e9}", "a=\u{7f}", "a=1,a=2", &long, &wide,
        ] {
            check(&["ok=1", bad], "");
        }
        let many: Vec<String> = (0..MEMBERS_MAX + 1).map(|index| format!("k{index}=1")).collect();
        check(&[&many.join(",")], "");
        check(&[&many[1..].join(",")], &many[1..].join(","));
    }

    #[test]
    fn too_long_a_list_loses_large_members_then_old_ones() {
        let large = format!("large={}", "x".repeat(MEMBER_BYTES_LARGE));
        let small = |index: usize| format!("k{index}={}", "y".repeat(96));
        let members = [small(1), large, small(2), small(3), small(4), small(5), small(6)];
        let kept = [small(1), small(2), small(3), small(4), small(5)];
        check(&[&members.join(",")], &kept.join(","));
        assert!(kept.join(",").len() <= TRACE_STATE_BYTES_MAX);
    }
}
