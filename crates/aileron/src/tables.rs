//! Commands in place of options: `aileron ail` and `aileron host` print what the emulator goes by, and end.

use crate::accelerator::{nested, profile};
use crate::settings::processor;
use crate::values::{hint, key_values, switch};
use anyhow::{Context as _, Result, bail};
use cpu::CpuModel;
use cpu::ail_table::{ROWS_A_CASE, Reach, Row, rows};
use cpu::model::{MODELS, POWER9};
use hypervisor::capability::{
    AilModes, AilReport, CapBasis, HostCapabilities as _, HostProfile, Translation, check_host, extension, resolve,
};
use std::fmt::Write as _;

/// What a command does with its arguments: gives the text to show.
type Print = fn(&[String]) -> Result<String>;

/// For `-help`.
pub const HELP: &str = "\nCommands, in place of options:\n  \
    aileron ail [-cpu model] [-modes set] [-rows|-markdown]\n        \
    what each interrupt does with each AIL; of a set of modes, those that a guest can have\n  \
    aileron host [--profile name[,above-ail-3=on|off]]\n        \
    hosts to imitate (-accel jit,host=name), and what a machine on one may offer\n";

/// The command that `word` names.
pub fn command(word: &str) -> Option<Print> {
    match word {
        "ail" => Some(ail),
        "host" => Some(host),
        _ => None,
    }
}

/// `aileron ail`.
fn ail(arguments: &[String]) -> Result<String> {
    let (mut model, mut modes, mut form) = (&POWER9, None, Form::Lines);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument}: expected a value after it"));
        match argument.trim_start_matches('-') {
            "cpu" => model = processor(value()?)?,
            "modes" => modes = Some(value()?),
            "rows" => form = Form::Rows,
            "markdown" => form = Form::Markdown,
            name => bail!("unknown option '{argument}'{}", hint(name, ["-cpu", "-modes", "-rows", "-markdown"])),
        }
    }
    let basis = CapBasis { cpu: model.level.into(), compat: None };
    let text = modes.cloned().unwrap_or_else(|| AilModes::default_for(basis).to_string());
    let all = text == "all";
    let options = [("ail-modes", text.as_str())];
    let modes = if all { AilModes::WITH_2_AND_3 } else { resolve(&options, basis)?.0.ail_modes() };
    Ok(form.print(model, |row| all || row.reach != Reach::Hypervisor && modes.contains(row.ail.into())))
}

/// How the table is printed.
enum Form {
    /// A line for each that differs.
    Lines,
    /// A line for each row.
    Rows,
    /// Lines, for a page of the documentation.
    Markdown,
}

const HEAD: [&str; 7] = ["interrupt", "LPCR[AIL]", "IR DR", "mode", "address", "new MSR", "writes"];

impl Form {
    fn print(&self, model: &CpuModel, wanted: impl Fn(&Row) -> bool) -> String {
        let all: Vec<Row> = rows().filter(|row| row.model.pvr == model.pvr && wanted(row)).collect();
        let mut text = String::new();
        let mut line = |cells: &[String]| match self {
            Form::Markdown => writeln!(text, "| {} |", cells.join(" | ")),
            _ => {
                let widths = [32, 10, 6, 5, 19, 52, 0];
                let padded: Vec<String> =
                    cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
                writeln!(text, "{}", padded.join(" ").trim_end())
            }
        };
        let mut put = |cells: &[String]| line(cells).unwrap_or_default();
        put(&HEAD.map(String::from));
        if matches!(self, Form::Markdown) {
            put(&HEAD.map(|_| "---".into()));
        }
        match self {
            Form::Rows => {
                for row in &all {
                    let bit = |name: &str, on: bool| format!(" {name}={}", u8::from(on));
                    let mut msr = format!("{:#018x}", row.new_msr(row.old_msr()));
                    [("ILE", row.ile), ("SF", row.sf), ("LE", row.le)].iter().for_each(|b| msr += &bit(b.0, b.1));
                    put(&cells(row, &[row.ail], &translation(row.ir, row.dr), &msr));
                }
            }
            Form::Lines | Form::Markdown => merged(&all).iter().for_each(|cells| put(cells)),
        }
        let (count, cases) = (all.len(), all.len() / ROWS_A_CASE);
        let of = |reach| all.iter().filter(|row| row.reach == reach).count();
        let _ = write!(
            text,
            "\n{}: {count} rows ({cases} cases, each with LPCR[ILE], MSR[SF] and MSR[LE] 0 and 1). A partition can take {}; {} \
             go to the hypervisor, {} have a mode that there is not, {} need translation that is off.\n",
            model.name,
            of(Reach::Partition),
            of(Reach::Hypervisor),
            of(Reach::NoSuchMode),
            of(Reach::NoTranslation),
        );
        text
    }
}

fn translation(ir: bool, dr: bool) -> String {
    format!("{} {}", u8::from(ir), u8::from(dr))
}

fn cells(row: &Row, ails: &[u8], translation: &str, msr: &str) -> [String; 7] {
    let ails: Vec<String> = ails.iter().map(u8::to_string).collect();
    let host = match (row.reach, row.host) {
        (Reach::Hypervisor, true) if row.model.level >= isa::IsaLevel::V3_1 => " HAIL",
        (Reach::Hypervisor, true) => " HR",
        _ => "",
    };
    [
        format!("{}{host}", row.interrupt()),
        ails.join(" "),
        translation.into(),
        row.mode.to_string(),
        format!("{:#x}", row.address),
        msr.into(),
        row.writes_text(),
    ]
}

/// Rows with the same answer made one line.
fn merged(all: &[Row]) -> Vec<[String; 7]> {
    let answer = |row: &Row| (row.interrupt(), row.host, row.mode);
    let mut lines: Vec<(Row, Vec<u8>, Vec<String>)> = Vec::new();
    for row in all {
        let place = lines.iter().position(|(first, ..)| answer(first) == answer(row));
        let place = place.unwrap_or_else(|| {
            lines.push((*row, Vec::new(), Vec::new()));
            lines.len() - 1
        });
        let (_, ails, translations) = &mut lines[place];
        let translation = translation(row.ir, row.dr);
        if !ails.contains(&row.ail) {
            ails.push(row.ail);
        }
        if !translations.contains(&translation) {
            translations.push(translation);
        }
    }
    let text = |(row, ails, translations): &(Row, Vec<u8>, Vec<String>)| {
        let translations = if translations.len() == 4 { "any".into() } else { translations.join(", ") };
        cells(row, ails, &translations, &row.msr_text())
    };
    lines.iter().map(text).collect()
}

/// `aileron host`.
fn host(arguments: &[String]) -> Result<String> {
    let mut given = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.trim_start_matches('-') {
            "profile" => {
                given = Some(arguments.next().with_context(|| format!("{argument}: expected the name of a profile"))?);
            }
            name => bail!("unknown option '{argument}'{}", hint(name, ["--profile"])),
        }
    }
    let Some(given) = given else {
        let mut text = String::from("Hosts to imitate (-accel jit,host=name):\n");
        for (name, help) in HostProfile::names() {
            writeln!(text, "  {name:<22} {help}")?;
        }
        return Ok(text);
    };
    let mut properties = key_values(given).into_iter();
    let mut host = profile(&properties.next().map(|(name, _)| name).unwrap_or_default())?;
    for (key, value) in properties {
        match (key.as_str(), value) {
            ("above-ail-3", Some(value)) => host = nested(host, switch(&value)?)?,
            _ => bail!("unknown key '{key}'{}", hint(&key, ["above-ail-3"])),
        }
    }
    Ok(offers(host))
}

fn offers(host: HostProfile) -> String {
    let report = match host.ail_report() {
        AilReport::Bitmap(modes) => format!("a bitmap of modes, {:#x}", modes.bits()),
        AilReport::Mode3(yes) => {
            format!("KVM_CAP_PPC_AIL_MODE_3 ({}) = {}", extension::PPC_AIL_MODE_3, u8::from(yes))
        }
        AilReport::Nothing => "nothing: it is older than the question, and its kind decides".into(),
    };
    let has = host.translation();
    let mut text = format!("host {}\n  reports: {report}\n", host.name());
    for (name, radix) in [("radix", true), ("hash", false)] {
        let there = if radix { has.radix } else { has.hash };
        let modes = if there { format!("honours {}", host.honours(radix).words()) } else { "none".into() };
        let _ = writeln!(text, "  {:<7} {modes}", format!("{name}:"));
    }
    let _ = writeln!(text, "  a machine may offer: {}\n", host.ail_modes().words());
    let _ = writeln!(text, "{:<9} {:<7} {:<15} {:<7} {:<7}", "-cpu", "", "cap-ail-modes", "radix", "hash");
    for model in MODELS {
        let basis = CapBasis { cpu: model.level.into(), compat: None };
        let possible = Translation { radix: model.radix, hash: true };
        for set in AilModes::for_cpu(basis) {
            let spelled = set.to_string();
            let Ok((capabilities, _)) = resolve(&[("ail-modes", &spelled)], basis) else { continue };
            let starts = |radix: bool| {
                if radix && !possible.radix {
                    return "-";
                }
                let wanted = Translation { radix, hash: !radix };
                if check_host(&host, &capabilities, wanted, possible).is_ok() { "starts" } else { "no" }
            };
            let default = if set == AilModes::default_for(basis) { "default" } else { "" };
            let name = model.name.split('_').next().unwrap_or(model.name);
            let line = format!("{name:<9} {default:<7} {spelled:<15} {:<7} {:<7}", starts(true), starts(false));
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        command(&words[0]).unwrap()(&words[1..]).unwrap()
    }

    #[test]
    fn the_table_is_printed_for_a_cpu_and_a_set() {
        let text = shown("ail");
        assert!(text.contains("power9_v2.2: 1344 rows"), "{text}");
        assert!(text.contains("0xc000000000003fe0") && !text.contains("0x18c00") && !text.contains("hypervisor-dec"));
        assert!(shown("ail -cpu power9 -modes 0").contains("672 rows"));
        let text = shown("ail -cpu power8 -modes 0+2");
        assert!(text.contains("0x18c00") && !text.contains("scv"), "{text}");
        let text = shown("ail -cpu power10 -modes all");
        assert!(text.contains("4736 rows") && text.contains("hypervisor-decrementer HAIL"), "{text}");
        let text = shown("ail -cpu power8 -modes all -rows");
        assert_eq!(text.lines().count(), 1 + 3200 + 2);
        assert!(shown("ail -markdown").starts_with("| interrupt |"));
    }

    #[test]
    fn what_a_machine_on_a_host_may_offer() {
        let text = shown("host --profile kvm-pr");
        assert!(text.contains("KVM_CAP_PPC_AIL_MODE_3 (210) = 0") && text.contains("radix:  none"), "{text}");
        assert!(text.contains("a machine may offer: 0\n"), "{text}");
        assert!(shown("host --profile jit").contains("a bitmap of modes, 0xd"));
        assert!(shown("host -profile kvm-hv-nested,above-ail-3=off").contains("may offer: 0\n"));
        assert!(shown("host --profile kvm-hv-pre-cap").contains("older than the question"));
    }
}
