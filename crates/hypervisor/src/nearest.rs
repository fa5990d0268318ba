//! The name that was meant: what error messages propose.

/// The word of `known` that is closest to `given`, if any is close.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = 1 + given.chars().count() / 3;
    let within = |name: &&str| name.len().abs_diff(given.len()) <= most;
    let (steps, name) = known.into_iter().filter(within).map(|name| (distance(given, name), name)).min()?;
    (steps <= most).then_some(name)
}

/// Longest word that is compared, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// Insertions, deletions, replacements and swaps of neighbours between two words. Words of more than [`WORD_BYTES_MAX`] are
/// far apart.
fn distance(one: &str, two: &str) -> usize {
    let (one, two) = (one.as_bytes(), two.as_bytes());
    if one.len().max(two.len()) > WORD_BYTES_MAX {
        return usize::MAX;
    }
    // The row before the last, and the last.
    let (mut before, mut above) = ([0; WORD_BYTES_MAX + 1], [0; WORD_BYTES_MAX + 1]);
    above.iter_mut().enumerate().for_each(|(column, steps)| *steps = column);
    for (line, a) in one.iter().enumerate() {
        let mut row = [0; WORD_BYTES_MAX + 1];
        row[0] = line + 1;
        for (column, b) in two.iter().enumerate() {
            let mut best = (above[column] + usize::from(a != b)).min(row[column] + 1).min(above[column + 1] + 1);
            if line > 0 && column > 0 && *a == two[column - 1] && one[line - 1] == *b {
                best = best.min(before[column - 1] + 1);
            }
            row[column + 1] = best;
        }
        (before, above) = (above, row);
    }
    above[two.len()]
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
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abcd", "badc"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
