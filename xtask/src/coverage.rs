//! What the instruction table has, and what of it was compared with somebody else's answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};
use isa::Row;

use crate::ci;
use crate::paths;
use crate::run;

/// The byte orders, and the test that compares every row in each.
const TESTS: [(&str, &str); 2] =
    [("little", "every_row_agrees_with_qemu_user"), ("big", "every_row_agrees_with_qemu_user_in_big_endian_mode")];

/// Compares, and prints the table.
pub fn run() -> Result<()> {
    ci::need_tools()?;
    let mut compared: Vec<BTreeSet<String>> = Vec::new();
    let mut reasons: BTreeMap<String, String> = BTreeMap::new();
    paths::make_directory(&paths::checks())?;
    for (order, test) in TESTS {
        let report = paths::checks().join(format!("compared-{order}"));
        run::run(
            ci::cargo()
                .args(["test", "--release", "--quiet", "--package", "engine", "--test", "against_qemu_user"])
                .args(["--", "--exact", test])
                .env("AILERON_DIFF_REPORT", &report),
        )?;
        let names = fs::read_to_string(&report).with_context(|| format!("cannot read {}", report.display()))?;
        // Behind a tab stands why a row is not run.
        let (not_run, run): (Vec<&str>, Vec<&str>) = names.lines().partition(|line| line.contains('\t'));
        reasons.extend(not_run.iter().filter_map(|line| line.split_once('\t')).map(|(n, why)| (n.into(), why.into())));
        compared.push(run.into_iter().map(str::to_owned).collect());
    }
    print!("{}", table(&compared, &reasons));
    Ok(())
}

fn table(compared: &[BTreeSet<String>], reasons: &BTreeMap<String, String>) -> String {
    let mut text =
        String::from("| chapter | facility | rows | with semantics | compared, little-endian | big-endian |\n");
    text += "|---|---|---:|---:|---:|---:|\n";
    let (mut missing, mut alone) = (String::new(), String::new());
    let mut sum = [0; 4];
    for group in isa::coverage().groups {
        let name = format!("{:?} | {:?}", group.chapter, group.facility);
        let both = compared.iter().map(|names| group.done.iter().filter(|row| names.contains(row.name)).count());
        let counts: Vec<usize> =
            [group.done.len() + group.todo.len(), group.done.len()].into_iter().chain(both).collect();
        sum.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += count);
        let _ = writeln!(text, "| {name} | {} |", joined(&counts));
        list(&mut missing, &name, group.todo.iter().map(|row| row.name.to_owned()));
        let not_compared = |row: &&&Row| compared.iter().all(|names| !names.contains(row.name));
        let with_reason = |row: &&Row| match reasons.get(row.name) {
            Some(why) => format!("{} ({why})", row.name),
            None => row.name.to_owned(),
        };
        list(&mut alone, &name, group.done.iter().filter(not_compared).map(with_reason));
    }
    let _ = writeln!(text, "| all | | {} |", joined(&sum));
    format!("{text}\nwithout semantics:\n{missing}\nwith semantics, not compared:\n{alone}")
}

fn joined(counts: &[usize]) -> String {
    counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" | ")
}

fn list(text: &mut String, name: &str, rows: impl Iterator<Item = String>) {
    let names: Vec<String> = rows.collect();
    if !names.is_empty() {
        let _ = writeln!(text, "  {}: {}", name.replace(" | ", ", "), names.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_is_the_sum() {
        let text = table(
            &[BTreeSet::from(["add".to_owned()]), BTreeSet::new()],
            &BTreeMap::from([("darn".into(), "random".into())]),
        );
        let last = text.lines().find(|line| line.starts_with("| all")).unwrap();
        let rows = isa::Op::ALL.len();
        assert!(last.starts_with(&format!("| all | | {rows} |")) && last.ends_with("| 1 | 0 |"), "{last}");
        assert!(!text.split("not compared:").nth(1).unwrap().contains(" add "), "add was compared");
        assert!(text.contains(" darn (random)"), "{text}");
    }
}
