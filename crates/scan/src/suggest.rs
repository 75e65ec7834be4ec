//! "Did you mean": the closest of a list of names.

/// The candidate nearest to `typed`, if it is near enough to be a slip. Upper and lower case count as equal.
pub(crate) fn closest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let typed = typed.to_lowercase();
    let distance_max = (typed.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&typed, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?" for a near name, else the list of what there is.
pub(crate) fn hint<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str> + Clone) -> String {
    match closest(typed, candidates.clone()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("known: {}", candidates.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// Edits (insert, delete, replace, swap of neighbours) from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(LENGTH_MAX).collect();
    let to: Vec<char> = to.chars().take(LENGTH_MAX).collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

const LENGTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, expect: Option<&str>) {
        let names = ["dependencies", "system_dependencies", "method", "path", "workersMax", "workersMin"];
        assert_eq!(closest(typed, names), expect, "{typed}");
    }

    #[test]
    fn near_names_are_found() {
        check("depndencies", Some("dependencies"));
        check("workersmax", Some("workersMax"));
        check("maxWorkers", None);
        check("ptah", Some("path"));
        check("zzz", None);
        check("", None);
    }
}
