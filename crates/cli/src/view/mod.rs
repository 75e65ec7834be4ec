//! How results look to a person.

pub(crate) mod build;
pub(crate) mod curl;
pub(crate) mod dead;
pub(crate) mod diagnostics;
pub(crate) mod environment;
pub(crate) mod generations;
pub(crate) mod log;
pub(crate) mod orphans;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod recorded;
pub(crate) mod resources;
pub(crate) mod role;
pub(crate) mod time;

/// A table's lines without the padding that the library puts around every cell.
pub(crate) fn lines(table: &comfy_table::Table) -> String {
    let lines: Vec<String> =
        table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.join("\n")
}

/// `512 B`, `1.2 KiB`, `3.4 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    // What would be shown as 1024.0 of one unit is 1.0 of the next.
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_in_the_unit_that_fits() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (500 << 20, "500.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(super::bytes(count), expected);
        }
    }
}
