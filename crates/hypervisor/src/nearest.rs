//! The name that was meant: what error messages propose.

/// The word of `known` that is closest to `given`, if any is close.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (steps, name) = known.into_iter().map(|name| (distance(given, name), name)).min()?;
    (steps <= 1 + given.chars().count() / 3).then_some(name)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words. Words of more than 64 bytes are far
/// apart.
fn distance(one: &str, two: &str) -> usize {
    let (one, two) = (one.as_bytes(), two.as_bytes());
    if one.len().max(two.len()) > 64 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=two.len()).collect::<Vec<usize>>()];
    for (line, a) in one.iter().enumerate() {
        let mut row = vec![line + 1];
        for (column, b) in two.iter().enumerate() {
            let mut best =
                (rows[line][column] + usize::from(a != b)).min(row[column] + 1).min(rows[line][column + 1] + 1);
            if line > 0 && column > 0 && *a == two[column - 1] && one[line - 1] == *b {
                best = best.min(rows[line - 1][column - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word() {
        assert_eq!(nearest("kernal", ["kernel", "append"]), Some("kernel"));
        assert_eq!(nearest("smpp", ["smp", "m"]), Some("smp"));
        assert_eq!(nearest("frobnicate", ["kernel", "m"]), None);
        assert_eq!(nearest(&"x".repeat(1000), ["kernel"]), None);
    }
}
