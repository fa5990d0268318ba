//! Every row against GNU objdump: words with random fields, both disassemblies must say the same.

mod common;

use common::rng;
use isa::{Facility, Field, Insn, IsaLevel, Op, Row, decode, disassemble, random_word};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Words a row.
const WORDS: usize = 24;
/// Where the words lie; branches go relative to it. Prefixed instructions must not cross 64 bytes.
const BASE: u64 = 0x1000_0000;

/// Rows that objdump cannot judge, with the reason. Printed with the counts.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("reserved_nop_530", "objdump has no name for reserved no-ops (Book I, Reserved No-Op Instructions)"),
    ("reserved_nop_562", "as above"),
    ("reserved_nop_594", "as above"),
    ("reserved_nop_626", "as above"),
    ("reserved_nop_658", "as above"),
    ("reserved_nop_690", "as above"),
    ("reserved_nop_722", "as above"),
    ("reserved_nop_754", "as above"),
];

/// Rows that current options of objdump hide, and options that show them.
const OTHER_OPTIONS: &[(&str, &str, &str)] = &[
    ("mftb", "ppc,raw", "since POWER4 objdump reads it as a form of mfspr, and then does not print it"),
    ("lfdp", "power6,raw", "phased out: objdump knows it for POWER6 only"),
    ("stfdp", "power6,raw", "as above"),
    ("lfdpx", "power6,raw", "as above"),
    ("stfdpx", "power6,raw", "as above"),
];

/// Spellings of objdump that `raw` does not switch off: of what, its text, ours, why.
const SPELLINGS: &[(&str, &str, &str, &str)] = &[
    ("tend_", "tendall.", "tend. 1", "alias that raw keeps"),
    ("dss", "dssall", "dss n", "alias that raw keeps; the stream n is ignored then"),
    ("mfcr", "mfcr r,-1", "mfcr r", "objdump writes the operand that it does not have"),
    ("MMA", "dmxv..", "xv..", "newer binutils name MMA by the dense math facility that is to follow it"),
    ("b, bc", "ba 0xffff0000", "ba 0xffffffffffff0000", "objdump cuts negative absolute targets to 32 bits"),
];

/// objdump's text in our spelling, by [`SPELLINGS`].
fn respell(insn: Insn, theirs: &str) -> String {
    match insn.op {
        Op::tend_ if theirs == "tendall." => "tend. 1".into(),
        Op::dss if theirs == "dssall" => format!("dss {}", insn.get(Field::STRM)),
        Op::mfcr => theirs.strip_suffix(",-1").unwrap_or(theirs).into(),
        Op::b | Op::bc if insn.get(Field::AA) == 1 => widen(theirs),
        // This one also loses its `xx`.
        Op::xxsetaccz => theirs.replacen("dmset", "xxset", 1),
        op if op.row().facility == Facility::Mma => {
            let (pm, rest) = if op.row().prefixed { ("pm", theirs.strip_prefix("pm")) } else { ("", Some(theirs)) };
            let rest = rest.unwrap_or("no prefix");
            format!("{pm}{}", rest.strip_prefix("dm").unwrap_or(rest))
        }
        _ => theirs.into(),
    }
}

/// Sign extends the 32-bit hexadecimal number at the end of the text.
fn widen(text: &str) -> String {
    match text.rsplit_once("0x").map(|(head, hex)| (head, u32::from_str_radix(hex, 16))) {
        Some((head, Ok(target))) => format!("{head}0x{:x}", target as i32 as i64 as u64),
        _ => text.into(),
    }
}

/// Instructions that objdump knows at power10, and why the table does not have them.
const NOT_IN_TABLE: &[(&str, &str)] = &[
    ("attn", "service processor attention: not in the architecture"),
    ("mtsrd", "segment register bridge: gone since 2.06"),
    ("mtsrdin", "as above"),
    ("eciwx", "external control: gone since 2.06"),
    ("ecowx", "as above"),
    ("pbt.", "Power A2 only"),
    ("icswx", "coprocessor request: hypervisor grants it, no partition of pseries has it"),
    ("icswx.", "as above"),
    ("dcbi", "Book III-E"),
    ("msgsndu", "ultravisor"),
    ("msgclru", "ultravisor"),
    ("rmieg", "nest, not in the architecture"),
    ("tlbld", "603 only"),
    ("tlbli", "603 only"),
    ("tbegin.", "transactional memory is gone in 3.1, objdump keeps it"),
    ("tend.", "as above"),
    ("tendall.", "as above"),
    ("tcheck", "as above"),
    ("tsr.", "as above"),
    ("tabort.", "as above"),
    ("tabortwc.", "as above"),
    ("tabortwci.", "as above"),
    ("tabortdc.", "as above"),
    ("tabortdci.", "as above"),
    ("treclaim.", "as above"),
    ("trechkpt.", "as above"),
];

/// Disassembles little-endian words that begin at [`BASE`]; address and text of each instruction, spaces made single.
fn objdump(words: &[u32], options: &str) -> Vec<(u64, String)> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("isa-objdump-{}-{count}", std::process::id()));
    fs::create_dir_all(&dir).expect("a temporary directory");
    let file = dir.join(format!("words-{options}.bin"));
    fs::write(&file, words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>()).expect("write the words");
    let output = Command::new("powerpc64le-linux-gnu-objdump")
        .args(["-D", "-b", "binary", "-m", "powerpc:common64", "-EL", "-M", options])
        .arg(format!("--adjust-vma={BASE:#x}"))
        .arg(&file)
        .output()
        .expect("run powerpc64le-linux-gnu-objdump: install the package binutils-powerpc64le-linux-gnu");
    fs::remove_dir_all(&dir).ok();
    assert!(output.status.success(), "objdump: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("objdump writes ASCII");
    let mut all = Vec::new();
    for line in text.lines() {
        // "    1000:\t14 2a 64 7c \tadd     r3,r4,r5"; the second word of a prefixed instruction has no text.
        let mut parts = line.split('\t');
        let (Some(address), Some(_bytes), Some(_)) = (parts.next(), parts.next(), parts.clone().next()) else {
            continue;
        };
        let Ok(address) = u64::from_str_radix(address.trim().trim_end_matches(':'), 16) else { continue };
        let joined = parts.collect::<Vec<_>>().join(" ");
        // What follows `#` is the target of a pc-relative access, `<` a symbol.
        let plain = joined.split(['#', '<']).next().unwrap_or("");
        all.push((address, plain.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    all
}

/// Address and objdump's text in our spelling of each instruction, under one set of options.
fn theirs(insns: &[Insn], options: &str) -> Vec<(u64, String)> {
    // objdump refuses an empty file.
    if insns.is_empty() {
        return Vec::new();
    }
    let (mut words, mut addresses) = (Vec::new(), Vec::new());
    for insn in insns {
        let prefixed = insn.op.row().prefixed;
        if prefixed && words.len() % 16 == 15 {
            words.push(0x6000_0000);
        }
        addresses.push(BASE + 4 * words.len() as u64);
        if prefixed {
            words.push((insn.raw >> 32) as u32);
        }
        words.push(insn.raw as u32);
    }
    let texts: std::collections::HashMap<u64, String> = objdump(&words, options).into_iter().collect();
    let text = |insn: &Insn, at: &u64| respell(*insn, texts.get(at).map_or("nothing", String::as_str));
    insns.iter().zip(&addresses).map(|(insn, at)| (*at, text(insn, at))).collect()
}

/// Compares rows under one set of options; returns the number of words compared, and what differs.
fn compare(rows: &[&Row], options: &str) -> (usize, Vec<String>) {
    let mut next = rng(0x5eed_0b1d);
    let insns: Vec<Insn> = rows
        .iter()
        .flat_map(|row| (0..WORDS).map(|_| row.op).collect::<Vec<_>>())
        .map(|op| Insn { op, raw: random_word(op, &mut next) })
        .collect();
    let differ = insns
        .iter()
        .zip(theirs(&insns, options))
        .filter_map(|(insn, (address, theirs))| differs(*insn, &disassemble(*insn, address), &theirs));
    let wrong = differ.collect();
    (insns.len(), wrong)
}

fn differs(insn: Insn, ours: &str, theirs: &str) -> Option<String> {
    let name = insn.op.row().name;
    (ours != theirs).then(|| format!("{name:<12} {:016x}: ours `{ours}`, objdump's `{theirs}`", insn.raw))
}

fn excepted(r: &Row) -> bool {
    EXCEPTIONS.iter().any(|(name, _)| *name == r.name)
}

fn options_of(r: &Row) -> &'static str {
    match (OTHER_OPTIONS.iter().find(|(name, ..)| *name == r.name), r.until) {
        (Some((_, options, _)), _) => options,
        // Each row under the options of the last level that has it.
        (None, IsaLevel::V2_07) => "power8,raw",
        (None, IsaLevel::V3_0) => "power9,raw",
        (None, IsaLevel::V3_1) => "power10,raw",
    }
}

/// The texts of `crates/engine/tests/one_line`, as they are written there. Those of relative branches are made anew:
/// the target depends on the place.
#[test]
fn one_line_texts_are_objdumps() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/one_line");
    let mut all: Vec<(Insn, String, String)> = Vec::new();
    for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("an entry of the folder").path();
        let file = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (n, line) in file.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let place = format!("{}:{}", path.display(), n + 1);
            let code = line.split_once(" : ").and_then(|(code, _)| code.split_once(' '));
            let (level, code) = code.unwrap_or_else(|| panic!("{place}: expected `level words text : ..`: {line}"));
            let level = match level.strip_suffix("be").unwrap_or(level) {
                "2.07" => IsaLevel::V2_07,
                "3.0" => IsaLevel::V3_0,
                "3.1" => IsaLevel::V3_1,
                other => panic!("{place}: expected 2.07, 3.0 or 3.1, found {other}"),
            };
            for one in code.split("; ") {
                let insn = one.split_once(' ').and_then(|(raw, text)| {
                    Some((decode(u64::from_str_radix(raw, 16).ok()?, level)?, text.to_owned()))
                });
                let (insn, text) = insn.unwrap_or_else(|| panic!("{place}: no instruction at this level: {one}"));
                all.push((insn, text, place.clone()));
            }
        }
    }
    let (mut compared, mut left_out, mut wrong) = (0, 0, Vec::new());
    for options in ["power8,raw", "power9,raw", "power10,raw", "ppc,raw", "power6,raw"] {
        let mine: Vec<_> = all.iter().filter(|(insn, ..)| options_of(insn.op.row()) == options).collect();
        let insns: Vec<Insn> = mine.iter().map(|(insn, ..)| *insn).collect();
        for ((insn, text, place), (address, theirs)) in mine.into_iter().zip(theirs(&insns, options)) {
            if excepted(insn.op.row()) {
                left_out += 1;
                continue;
            }
            let relative = matches!(insn.op, Op::b | Op::bc) && insn.get(Field::AA) == 0;
            let ours = if relative { disassemble(*insn, address) } else { text.clone() };
            wrong.extend(differs(*insn, &ours, &theirs).map(|what| format!("{place}: {what}")));
            compared += 1;
        }
    }
    println!("{compared} instructions of the lines compared with objdump, {left_out} left out (the exceptions above)");
    assert_eq!(compared + left_out, all.len());
    assert!(compared > 4000, "only {compared} instructions were found in {}", folder.display());
    assert!(wrong.is_empty(), "{} texts differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn same_as_objdump() {
    let (mut words, mut rows, mut wrong) = (0, 0, Vec::new());
    for options in ["power8,raw", "power9,raw", "power10,raw", "ppc,raw", "power6,raw"] {
        let mine: Vec<&Row> =
            Op::ALL.iter().map(|op| op.row()).filter(|r| options_of(r) == options && !excepted(r)).collect();
        let (compared, differ) = compare(&mine, options);
        words += compared;
        rows += mine.len();
        wrong.extend(differ);
    }
    println!("{words} words of {rows} rows compared with objdump; exceptions:");
    for (name, reason) in EXCEPTIONS {
        assert!(Op::from_name(name).is_some(), "the exception {name} is no row");
        println!("  {name}: {reason}");
    }
    for (name, options, reason) in OTHER_OPTIONS {
        assert!(Op::from_name(name).is_some(), "{name} is no row");
        println!("  {name}: with {options}: {reason}");
    }
    for (what, theirs, ours, reason) in SPELLINGS {
        println!("  {what}: `{theirs}` is read as `{ours}`: {reason}");
    }
    assert_eq!(rows + EXCEPTIONS.len(), Op::ALL.len());
    assert!(wrong.is_empty(), "{} words differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The other way round: whatever objdump reads as an instruction, the table has, or [`NOT_IN_TABLE`] says why not.
/// All values of the extended opcode; all of the RA field too where opcodes reach into it.
#[test]
fn nothing_is_missing() {
    let mut next = rng(0x5eed_0b1e);
    let mut words = Vec::new();
    for primary in (0..64u32).filter(|p| *p != 1) {
        let wide = matches!(primary, 4 | 31 | 59 | 60 | 63);
        for ra in 0..if wide { 32 } else { 2 } {
            let random = next() as u32;
            // RT and RB are 0 half the time, for opcodes that have no such field.
            let rt = if random & 1 == 0 { 0 } else { random >> 8 & 31 };
            let rb = if random & 2 == 0 { 0 } else { random >> 16 & 31 };
            words.extend((0..2048).map(|low| primary << 26 | rt << 21 | ra << 16 | rb << 11 | low));
        }
    }
    let theirs = objdump(&words, "power10,raw");
    assert_eq!(theirs.len(), words.len());
    let (mut known, mut missing) = (0, Vec::new());
    for (&word, (_, text)) in words.iter().zip(&theirs) {
        let mnemonic = text.split(' ').next().unwrap_or("");
        if mnemonic == ".long" {
            continue;
        }
        if decode(word.into(), IsaLevel::V3_1).is_some() {
            known += 1;
        } else if !NOT_IN_TABLE.iter().any(|(name, _)| *name == mnemonic) {
            missing.push(format!("{word:08x}: {text}"));
        }
    }
    println!("{} words tried, {known} are instructions to objdump and to the table; left out:", words.len());
    for (name, reason) in NOT_IN_TABLE {
        println!("  {name}: {reason}");
    }
    assert!(known > words.len() / 4, "objdump knew only {known} words");
    assert!(missing.is_empty(), "{} words are missing:\n{}", missing.len(), missing.join("\n"));
}
