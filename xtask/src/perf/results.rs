//! What the programs of `guest-programs` print, and the statistics over it.

use anyhow::{Context as _, Result, bail, ensure};

/// Starts each line that a program prints.
const MARK: &str = "AILERON-PERF ";

/// One kernel of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Name of the kernel.
    pub name: String,
    /// Operations of a round.
    pub operations: u64,
    /// Checksum over all rounds, the same wherever the program is right.
    pub checksum: u64,
    /// Time of each round; the first one warms up.
    pub rounds_ns: Vec<u64>,
}

impl Sample {
    /// Nanoseconds an operation: the median of the rounds but the first.
    pub fn ns(&self) -> f64 {
        let rounds: Vec<f64> = self.rounds_ns[1..].iter().map(|&round| round as f64).collect();
        median(&rounds).expect("parsed with two rounds or more") / self.operations as f64
    }
}

/// The samples on a console, in their order.
pub fn samples(console: &str) -> Result<Vec<Sample>> {
    let lines = console.lines().filter_map(|line| Some(line.split_once(MARK)?.1));
    lines
        .map(|line| {
            sample(line).with_context(|| {
                format!("expected `{MARK}name operations checksum ns ns ...`, found `{MARK}{}`", line.trim_end())
            })
        })
        .collect()
}

fn sample(line: &str) -> Result<Sample> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, operations, checksum, rounds @ ..] = &words[..] else { bail!("{} words", words.len()) };
    let number = |word: &str| word.parse::<u64>().with_context(|| format!("{word:?} is no number"));
    let operations = number(operations)?;
    let rounds_ns: Vec<u64> = rounds.iter().map(|round| number(round)).collect::<Result<_>>()?;
    ensure!(operations > 0, "no operations");
    ensure!(rounds_ns.len() >= 2, "{} rounds, expected a first one and others", rounds_ns.len());
    let checksum = u64::from_str_radix(checksum, 16).with_context(|| format!("{checksum:?} is no checksum"))?;
    Ok(Sample { name: (*name).to_owned(), operations, checksum, rounds_ns })
}

/// Throughput of two loops at once by that of one alone: 2 is perfect. The two are measured one after the
/// other in each round, so each round gives a ratio; the result is their median.
pub fn scaling(alone: &Sample, both: &Sample) -> Result<f64> {
    ensure!(
        alone.rounds_ns.len() == both.rounds_ns.len() && alone.operations == both.operations,
        "{} and {} do not belong together",
        alone.name,
        both.name
    );
    let pairs = alone.rounds_ns.iter().zip(&both.rounds_ns).skip(1);
    let ratios: Vec<f64> = pairs.map(|(&alone, &both)| 2.0 * alone as f64 / both as f64).collect();
    median(&ratios).context("no rounds")
}

/// The middle value, or the mean of the middle two.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The geometric mean; none of nothing.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|&value| value <= 0.0) {
        return None;
    }
    Some((values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_console() {
        let console = "[    1.0] Run /init\r\nAILERON-PERF sieve 100 00ff 900 200 400 300\r\nAILERON-TEST end: ok\r\n\
                       [    2.1] odd AILERON-PERF fib 7 ffffffffffffffff 1 2\r\n";
        let found = samples(console).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0],
            Sample { name: "sieve".to_owned(), operations: 100, checksum: 255, rounds_ns: vec![900, 200, 400, 300] }
        );
        assert_eq!(found[0].ns(), 3.0);
        assert_eq!((found[1].checksum, found[1].name.as_str()), (u64::MAX, "fib"));
    }

    #[test]
    fn damaged_lines_are_told() {
        for line in ["sieve", "sieve 1 ff", "sieve 1 ff 5", "sieve 0 ff 1 2", "sieve 1 xx 1 2", "sieve 1 ff 1 2,3"] {
            let message = format!("{:#}", samples(&format!("{MARK}{line}")).unwrap_err());
            assert!(message.contains(line), "{message}");
        }
        assert!(samples("nothing of that kind").unwrap().is_empty());
    }

    #[test]
    fn statistics() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert!((geometric_mean(&[2.0, 8.0]).unwrap() - 4.0).abs() < 1e-12);
    }

    #[test]
    fn scaling_is_the_median_of_pairs() {
        let of = |rounds: &[u64]| Sample {
            name: "compute".to_owned(),
            operations: 1,
            checksum: 0,
            rounds_ns: rounds.to_vec(),
        };
        // The host slows down by half from round to round: each pair still tells the same.
        let found = scaling(&of(&[1, 100, 200, 400]), &of(&[9, 100, 200, 400])).unwrap();
        assert_eq!(found, 2.0);
        assert!(scaling(&of(&[1, 2]), &of(&[1, 2, 3])).is_err());
    }
}
