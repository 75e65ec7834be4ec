//! Moments and durations for a person.

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// Milliseconds since the Unix epoch as `2026-11-23T20:23:06Z`.
pub(crate) fn moment(ms: u64) -> String {
    let (year, month, day) = date(ms / MS_PER_DAY);
    let seconds = ms % MS_PER_DAY / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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

#[cfg(test)]
mod tests {
    use super::*;

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
