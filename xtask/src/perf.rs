//! Measures boots: Aileron and QEMU side by side in the same run, as a Markdown table.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::emulator::{Boot, Emulator, Outcome};
use crate::guests;
use crate::run;

mod facts;
mod nice;
mod plot;
pub mod programs;
mod report;
mod restore;
mod results;
mod rows;
mod saved;
pub mod suite;

/// One line of the table.
struct Row {
    guest: String,
    cpu: &'static str,
    retired: Option<u64>,
    aileron: Option<Outcome>,
    qemu: Outcome,
}

/// Boots the named guests (all when none is named) and prints the table; writes it into a page if asked.
pub fn boot(
    names: &[String],
    cpus: &[&'static str],
    page: Option<&Path>,
    qemu_only: bool,
    mirror: Option<&str>,
) -> Result<()> {
    let all: Vec<String> = guests::GUESTS.iter().map(|guest| guest.name.to_owned()).collect();
    let mut rows = Vec::new();
    for name in if names.is_empty() { &all } else { names } {
        let guest = guests::ready(name, mirror)?;
        for &cpu in cpus {
            let measure = |emulator, counts: bool| -> Result<Outcome> {
                let mut boot = Boot { cpu, ..Boot::of(emulator, &guest, "boot") };
                boot.append.push("cryptomgr.notests".to_owned());
                if emulator == Emulator::Aileron {
                    // From nothing each time, as QEMU.
                    boot.options.extend(["-code-cache", "none"].map(str::to_owned));
                    // What counts instructions is slower.
                    boot.options.extend(counts.then(|| "--stats".to_owned()));
                }
                let outcome = boot.run(&format!("perf-{emulator:?}-{}-{cpu}", guest.name).to_lowercase())?;
                ensure!(
                    outcome.status.success() && outcome.value("end")? == "ok",
                    "a boot that failed is not measured: {}, {}",
                    outcome.status,
                    outcome.command
                );
                Ok(outcome)
            };
            let aileron = if qemu_only { None } else { Some(measure(Emulator::Aileron, false)?) };
            let retired = if qemu_only { None } else { Some(retired(&measure(Emulator::Aileron, true)?)?) };
            let qemu = measure(Emulator::Qemu, false)?;
            let row = Row { guest: format!("{} ({})", guest.name, guest.release), cpu, retired, aileron, qemu };
            println!("{}", line(&row));
            rows.push(row);
        }
    }
    let table = table(&rows)?;
    println!("\n{table}");
    if let Some(page) = page {
        page_with(page, "boot table", &table)?;
        println!("written into {}", page.display());
    }
    Ok(())
}

fn retired(outcome: &Outcome) -> Result<u64> {
    let text = outcome.statistic("retired instructions")?;
    let digits: String = text.chars().take_while(|character| *character != ' ').filter(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("retired instructions is no number: {text:?}"))
}

fn table(rows: &[Row]) -> Result<String> {
    let version = run::capture(std::process::Command::new(Emulator::Qemu.program()).arg("--version"))?;
    let version = version.lines().next().unwrap_or_default().trim_start_matches("QEMU emulator version ");
    let mut text = String::from(
        "| guest | CPU | retired instructions | Aileron wall s | Aileron CPU s | MIPS | QEMU wall s | QEMU CPU s | CPU ratio |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        text.push_str(&line(row));
        text.push('\n');
    }
    text.push_str(&format!(
        "\nFrom start to power-off, 1 vCPU, 1 GiB, `cryptomgr.notests`; QEMU {version}, `-M pseries,x-vof=on`. CPU is user and system time \
         of all threads; MIPS is retired instructions by Aileron's CPU time; the ratio is Aileron's CPU time by QEMU's. Load average after \
         the run: {}.\n",
        fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default()
    ));
    Ok(text)
}

fn line(row: &Row) -> String {
    let seconds = |outcome: &Outcome| (outcome.spent.wall.as_secs_f64(), outcome.spent.cpu.as_secs_f64());
    let (qemu_wall, qemu_cpu) = seconds(&row.qemu);
    let own = match (&row.aileron, row.retired) {
        (Some(outcome), Some(retired)) => {
            let (wall, cpu) = seconds(outcome);
            format!("{} | {wall:.2} | {cpu:.2} | {:.0}", grouped(retired), retired as f64 / cpu / 1e6)
        }
        _ => "- | - | - | -".to_owned(),
    };
    let ratio = row.aileron.as_ref().map_or("-".to_owned(), |outcome| format!("{:.2}", seconds(outcome).1 / qemu_cpu));
    format!("| {} | {} | {own} | {qemu_wall:.2} | {qemu_cpu:.2} | {ratio} |", row.guest, row.cpu)
}

/// 1234567 as 1 234 567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    groups.join(" ")
}

/// Replaces a table of a page.
pub fn page_with(page: &Path, name: &str, table: &str) -> Result<()> {
    let old = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let new = replaced(&old, name, table).with_context(|| format!("in {}", page.display()))?;
    fs::write(page, new).with_context(|| format!("cannot write {}", page.display()))
}

/// The page with another table between the lines `<!-- name: begin -->` and `<!-- name: end -->`.
pub fn replaced(page: &str, name: &str, table: &str) -> Result<String> {
    let (first, last) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let begin = page.find(&first).with_context(|| format!("expected the line {first}"))? + first.len();
    let end = page[begin..].find(&last).with_context(|| format!("expected the line {last} after {first}"))? + begin;
    Ok(format!("{}\n{table}{}", &page[..begin], &page[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_replaced_between_its_markers() {
        let page = "before\n<!-- t: begin -->\nold\n<!-- t: end -->\nafter\n";
        let new = replaced(page, "t", "new\n").unwrap();
        assert_eq!(new, "before\n<!-- t: begin -->\nnew\n<!-- t: end -->\nafter\n");
        assert_eq!(replaced(&new, "t", "new\n").unwrap(), new);
        assert!(replaced("no markers", "t", "new").is_err());
    }

    #[test]
    fn digits_in_groups() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }
}
