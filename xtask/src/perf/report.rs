//! The table of a run, as Markdown.

use crate::perf::rows::{Compare, ROWS, Row, Side};
use crate::perf::saved::Run;

/// Rows of which something was measured.
pub fn measured(run: &Run) -> impl Iterator<Item = &'static Row> {
    let sides = [Side::Aileron, Side::Qemu, Side::Native];
    ROWS.iter().filter(move |row| {
        let measured = |row: &Row| sides.iter().any(|&side| run.values.median(row.name, side).is_some());
        measured(row) || matches!(row.compare, Compare::Mean(_)) && run.values.ratio(row).is_some()
    })
}

/// The table, and below it what the run was made on.
pub fn table(run: &Run) -> String {
    let mut text = String::from(
        "| | unit | Aileron | QEMU | native | ratio | at least | aim | | Aileron / native | QEMU / native |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---|---:|---:|\n",
    );
    for row in measured(run) {
        text.push_str(&line(run, row));
        text.push('\n');
    }
    text.push_str(&format!(
        "\nMedians of {} on {}, accelerator: {}, commit {}, {} UTC. {}. Host: {}; load average {:.2} before, {:.2} after.\n",
        run.runs, run.guest, run.accel, run.commit, run.date, run.qemu, run.host, run.load[0], run.load[1]
    ));
    text
}

fn line(run: &Run, row: &Row) -> String {
    let value = |side| number(run.values.median(row.name, side));
    let ratio = run.values.ratio(row);
    let (least, aim) = row.wanted.map_or((None, None), |(least, aim)| (Some(least), aim));
    let verdict = match (ratio, least) {
        (Some(ratio), Some(least)) if ratio < least => "below",
        (Some(ratio), Some(_)) if aim.is_none_or(|aim| ratio >= aim) => "aim reached",
        (Some(_), Some(_)) => "ok",
        _ => "",
    };
    let cells = [
        row.name.to_owned(),
        row.unit.to_owned(),
        value(Side::Aileron),
        value(Side::Qemu),
        value(Side::Native),
        factor(ratio),
        factor(least),
        factor(aim),
        verdict.to_owned(),
        factor(run.values.slowdown(row, Side::Aileron)),
        factor(run.values.slowdown(row, Side::Qemu)),
    ];
    format!("| {} |", cells.join(" | "))
}

/// Three digits that mean something.
fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn factor(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::perf::rows::{BOOT_MEMORY, Values};

    #[test]
    fn lines_of_the_table() {
        let mut values = Values::default();
        for (row, own, qemu) in [("fib", 10.0, 26.04), ("getppid-scv", 100.0, 250.0), (BOOT_MEMORY, 200.0, 300.0)] {
            values.add(row, Side::Aileron, own);
            values.add(row, Side::Qemu, qemu);
        }
        values.add("fib", Side::Native, 1.0);
        let run = Run {
            format: Run::FORMAT,
            date: "2026-01-01 00:00:00".to_owned(),
            guest: "debian-6.12".to_owned(),
            accel: "default".to_owned(),
            commit: "0".to_owned(),
            qemu: "QEMU 7.2".to_owned(),
            host: "a host".to_owned(),
            load: [0.0, 0.5],
            runs: 5,
            values,
        };
        let table = table(&run);
        let lines: BTreeMap<&str, &str> =
            table.lines().filter_map(|line| Some((line.split('|').nth(1)?.trim(), line))).collect();
        assert_eq!(lines["fib"], "| fib | ns | 10.0 | 26.0 | 1.00 | 2.60 |  |  |  | 10.00 | 26.04 |");
        assert_eq!(lines["getppid-scv"], "| getppid-scv | ns | 100 | 250 | - | 2.50 | 3.00 | 5.00 | below |  |  |");
        assert_eq!(
            lines["integer, geomean"],
            "| integer, geomean |  | - | - | - | 2.60 | 2.00 | 2.50 | aim reached | 10.00 | 26.04 |"
        );
        assert!(lines[BOOT_MEMORY].contains("| 1.50 | 1.00 |  | aim reached |"), "{table}");
        assert!(!lines.contains_key("sieve"), "what was not measured has no row");
        assert!(table.contains("Medians of 5 on debian-6.12"));
    }
}
