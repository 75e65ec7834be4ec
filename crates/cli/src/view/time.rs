//! Moments and durations for a person.

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// Milliseconds since the Unix epoch as `2026-11-23T20:23:06Z`.
pub(crate) fn moment(ms: u64) -> String {
    let (year, month, day) = date(ms / MS_PER_DAY);
    let seconds = ms % MS_PER_DAY / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same to the millisecond, without the date: `20:23:06.123`.
pub(crate) fn clock(ms: u64) -> String {
    let seconds = ms % MS_PER_DAY / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, ms % 1000)
}

/// The other way round, for every moment of RFC 3339 since the Unix epoch; what is finer than a millisecond is left out.
pub(crate) fn milliseconds(moment: &str) -> Option<u64> {
    let (day, time) = moment.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(day, '-', [4, 2, 2])?;
    let days = days(year, month, day).filter(|days| date(*days) == (year, month, day))?;
    let (time, ahead_minutes) = match time.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let (time, offset) = time.split_at(time.rfind(['+', '-'])?);
            let [hours, minutes] = numbers(&offset[1..], ':', [2, 2]).filter(|[_, minutes]| *minutes < 60)?;
            let minutes = i64::try_from(hours * 60 + minutes).ok()?;
            (time, if offset.starts_with('-') { -minutes } else { minutes })
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 || !is_number(fraction) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let ms = days * MS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    ms.checked_add_signed(-ahead_minutes * 60_000)
}

fn numbers<const COUNT: usize>(text: &str, separator: char, widths: [usize; COUNT]) -> Option<[u64; COUNT]> {
    let mut numbers = [0; COUNT];
    let mut parts = text.split(separator);
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && is_number(part))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `0.4 s`, `12.3 s`, `5 min`, `3 h`, `2 days`.
pub(crate) fn duration(ms: u64) -> String {
    const MINUTE: u64 = 60 * 1000;
    match ms {
        0..MINUTE => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        MINUTE..7_200_000 => format!("{} min", ms / MINUTE),
        7_200_000..172_800_000 => format!("{} h", ms / (60 * MINUTE)),
        _ => format!("{} days", ms / MS_PER_DAY),
    }
}

/// Days since the Unix epoch in the Gregorian calendar. Source: Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`, for years from 1970 on.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The inverse of [`date`], `days_from_civil` in the same source; None before 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for ms in [0, 951_782_399_000, 951_782_400_000, 1_767_225_599_000, 4_107_542_400_000] {
            assert_eq!(milliseconds(&moment(ms)), Some(ms));
        }
        for (text, expected) in [
            ("1970-01-01t00:00:00.0019z", Some(1)),
            ("1970-01-01 00:00:01.5Z", Some(1_500)),
            ("1970-01-01T02:00:01+02:00", Some(1_000)),
            ("1970-01-01T00:00:01-00:30", Some(1_801_000)),
            ("1970-01-01T00:00:01+00:30", None),
            ("1969-12-31T23:59:59Z", None),
            ("2025-02-29T00:00:00Z", None),
            ("2025-13-01T00:00:00Z", None),
            ("2025-00-01T00:00:00Z", None),
            ("2025-01-00T00:00:00Z", None),
            ("2025-01-01T24:00:00Z", None),
            ("2025-01-01T00:60:00Z", None),
            ("2025-01-01T00:00:00", None),
            ("2025-01-01T00:00Z", None),
            ("2025-01-01", None),
            ("2025-1-01T00:00:00Z", None),
            ("2025-01-01T00:00:00.Z", None),
            ("2025-01-01T00:00:00+0200", None),
            ("2025-01-01T00:00:00é", None),
            ("", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn clocks_show_milliseconds() {
        assert_eq!(clock(951_782_399_007), "23:59:59.007");
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_767_225_599_000, "2025-12-31T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(moment(ms), expected);
        }
        assert!(!moment(u64::MAX).is_empty());
    }

    #[test]
    fn durations_are_in_the_unit_that_fits() {
        for (ms, expected) in [
            (0, "0.0 s"),
            (12_345, "12.3 s"),
            (119_999, "1 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(duration(ms), expected);
        }
    }
}
