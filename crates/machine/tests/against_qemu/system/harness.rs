//! The program around the cases: sets registers and tables as a case has them, enters it, keeps what each interrupt brought, goes
//! on behind it, and keeps what is there at the end.

use super::case::{Case, PATCHES};
use crate::bare::{Image, constant};

/// Everything lies above what a kernel that is entered directly may take.
pub const BASE: u64 = 0x40_0000;
/// Copied to 0 at the beginning: vectors and the handler.
const LOW: u64 = 0x41_0000;
const LOW_BYTES: u64 = 0x1_8000;
/// The handler, in the lowest part.
const COMMON: u64 = 0x6000;
const MAIN: u64 = 0x40_0200;
/// What the program knows. Multiples of 64 KiB, so that one instruction can add them.
const SAVE: u64 = 0x44_0000;
const POWER_OFF: u64 = 0x44_8000;
/// Process table, and trees of processes 0 and 1.
pub const PROCESSES: u64 = 0x50_0000;
const KERNEL: u64 = 0x51_0000;
const KERNEL_LOWER: u64 = 0x52_0000;
pub const TREE: u64 = 0x53_0000;
/// Directories of the levels below, 4 KiB each.
pub const LOWER: u64 = 0x54_0000;
/// Code of the cases, a slot each; effective addresses are the same.
pub const CODE: u64 = 0x80_0000;
pub const SLOT: u64 = 0x100;
/// Memory that the cases' pages show: eight pages of 4 KiB, one of 64 KiB, one of 2 MiB.
pub const SANDBOX: u64 = 0xA0_0000;
const CASES: u64 = 0x100_0000;
const CASE_BYTES: u64 = 0x400;
pub const RECORDS: u64 = 0x200_0000;
/// Words of a record.
pub const RECORD_WORDS: usize = 256;
/// Cases of an image, at most.
pub const MOST: usize = 4096;
/// Interrupts that are kept of a case.
pub const LOGGED: usize = 8;

/// Process that the cases belong to.
pub const PID: u64 = 1;

/// Words of a record.
pub mod at {
    pub const GPR: usize = 0;
    /// CR, XER, LR, CTR, interrupts, then [`super::SPRS`].
    pub const CR: usize = 32;
    pub const XER: usize = 33;
    pub const LR: usize = 34;
    pub const CTR: usize = 35;
    pub const INTERRUPTS: usize = 36;
    pub const SPRS: usize = 37;
    /// The words of the tables that the case set.
    pub const PATCHES: usize = 64;
    pub const MEMORY: usize = 96;
    /// What each interrupt brought.
    pub const LOG: usize = 128;
    pub const LOG_WORDS: usize = 16;
}

/// What is kept of an interrupt: where its handler began, and these.
pub const LOG_NAMES: [&str; 12] =
    ["vector", "SRR0", "SRR1", "MSR", "DAR", "DSISR", "LR", "CTR", "CR", "XER", "FSCR", "PIDR"];

/// Special purpose registers that a case sets and that are kept at its end.
pub const SPRS: [(u32, &str); 12] = [
    (153, "FSCR"),
    (29, "AMR"),
    (61, "IAMR"),
    (157, "UAMOR"),
    (48, "PIDR"),
    (17, "DSCR"),
    (815, "TAR"),
    (274, "SPRG2"),
    (275, "SPRG3"),
    (256, "VRSAVE"),
    (19, "DAR"),
    (18, "DSISR"),
];

/// Words of a case's table.
mod case_at {
    pub const ENTRY: u64 = 0;
    pub const MSR: u64 = 8;
    pub const MODE: u64 = 16;
    pub const END: u64 = 24;
    pub const CR: u64 = 32;
    pub const XER: u64 = 40;
    pub const LR: u64 = 48;
    pub const CTR: u64 = 56;
    pub const SPRS: u64 = 64;
    pub const GPR: u64 = 192;
    pub const PATCHES: u64 = 448;
}

/// Words behind [`SAVE`].
mod save_at {
    pub const CASE: u64 = 0;
    pub const RECORD: u64 = 8;
    pub const LEFT: u64 = 16;
    pub const ROUND: u64 = 24;
    pub const LOGGED: u64 = 32;
    pub const CR: u64 = 40;
    pub const END: u64 = 48;
    pub const GPR: u64 = 64;
    pub const XER: u64 = 56;
    /// Addresses of the patches, then ranges of the sandbox.
    pub const PATCHES: u64 = 0x400;
    pub const RANGES: u64 = 0x600;
}

/// Bits of SRR1 that an interrupt sets by its cause.
pub const CAUSES: u64 = 0x783F_0000;

/// Doublewords of a range of the sandbox.
const RANGE_WORDS: u64 = 16;

/// Beginnings of what cases can touch: beginning and end of each page of the sandbox.
pub fn ranges() -> Vec<u64> {
    let pages = (0..8).map(|n| (SANDBOX + 0x1000 * n, 0x1000));
    pages
        .chain([(SANDBOX + 0x1_0000, 0x1_0000), (SANDBOX + 0x20_0000, 0x20_0000)])
        .flat_map(|(at, size)| [at, at + size - 8 * RANGE_WORDS])
        .collect()
}

fn stub(vector: u64) -> String {
    format!("mtspr 273,r31\nlis r31,{}\nori r31,r31,{}\n", vector >> 16, vector & 0xFFFF)
}

fn jump(from: u64, to: u64) -> String {
    format!("b .{:+}", to as i64 - from as i64)
}

/// Puts the vectors and the handler to 0.
fn low(image: &mut Image, little: bool) {
    let mut places: Vec<u64> = (1..0x18).map(|n| 0x100 * n).filter(|at| *at != 0x800).collect();
    places.extend([0x380, 0x480, 0xE40, 0xE80, 0xF20, 0xF40, 0xF60, 0xF80, 0xE20, 0xEA0]);
    places.sort_unstable();
    places.dedup();
    let both: Vec<u64> = places.iter().flat_map(|at| [*at, at + 0x4000]).collect();
    let system: Vec<u64> = (0..128).flat_map(|n| [0x3000 + 0x20 * n, 0x1_7000 + 0x20 * n]).collect();
    for at in both.into_iter().chain(system) {
        let text = stub(at) + &jump(at + 12, COMMON);
        image.program(LOW + at, &text, little);
    }
    let stores: String = (0..30).map(|n| format!("std r{n},{}(r30)\n", save_at::GPR + 8 * n)).collect();
    let loads: String = (0..30).map(|n| format!("ld r{n},{}(r30)\n", save_at::GPR + 8 * n)).collect();
    let log = |n: usize, get: &str| format!("{get}\nstd r4,{}(r21)\n", 8 * n);
    let mut text = format!(
        "mtspr 272,r30\nli r30,12\nrldicr r30,r30,60,3\noris r30,r30,{}\n{stores}\
         mfspr r4,272\nstd r4,{}(r30)\nmfspr r4,273\nstd r4,{}(r30)\n\
         mfcr r4\nstd r4,{}(r30)\nmfspr r4,1\nstd r4,{}(r30)\n\
         ld r20,{logged}(r30)\nld r21,{}(r30)\nrldicr r22,r20,7,56\nadd r21,r21,r22\naddi r21,r21,{}\n",
        SAVE >> 16,
        save_at::GPR + 240,
        save_at::GPR + 248,
        save_at::CR,
        save_at::XER,
        save_at::RECORD,
        8 * at::LOG,
        logged = save_at::LOGGED,
    );
    let gets = ["mr r4,r31", "mfspr r4,26", "mfspr r4,27", "mfmsr r4", "mfspr r4,19", "mfspr r4,18", "mfspr r4,8"];
    let more = [
        "mfspr r4,9".to_owned(),
        format!("ld r4,{}(r30)", save_at::CR),
        "mfspr r4,1".to_owned(),
        "mfspr r4,153".to_owned(),
        "mfspr r4,48".to_owned(),
    ];
    for (n, get) in gets.iter().map(|get| (*get).to_owned()).chain(more).enumerate() {
        text += &log(n, &get);
    }
    // The end: enough interrupts, a fetch that failed, or an address at or behind the last instruction.
    let again = "rldicl r6,r31,0,52\nrldicl r7,r31,52,12\ncmpdi r7,3\nbeq SCV\ncmpdi r7,23\nbeq SCV\n";
    text += &format!(
        "addi r20,r20,1\nstd r20,{}(r30)\ncmpdi r20,{LOGGED}\nbeq FIN\n{again}\
         cmpdi r6,1024\nbeq FIN\ncmpdi r6,1152\nbeq FIN\n\
         mfspr r4,26\nrldicl r4,r4,0,4\nld r5,{}(r30)\ncmpld r4,r5\nbge FIN\n\
         mfspr r8,27\nlis r9,{}\nandc r8,r8,r9\nmtspr 27,r8\n\
         cmpdi r6,3072\nbeq BACK\ncmpdi r6,3328\nbeq BACK\ncmpdi r6,2304\nbeq DEC\n\
         addi r4,r4,4\nmtspr 26,r4\nb BACK\n\
         DEC: lis r4,32767\nmtspr 22,r4\n\
         BACK: ld r4,{cr}(r30)\nmtcrf 255,r4\nli r31,0\n{loads}ld r31,{r31}(r30)\nld r30,{r30}(r30)\nrfid\n\
         SCV: ld r4,{cr}(r30)\nmtcrf 255,r4\n{loads}ld r31,{r31}(r30)\nld r30,{r30}(r30)\nrfscv\n\
         FIN: li r4,0\nlis r5,{}\nori r5,r5,{}\nmtspr 26,r5\nli r4,1\nrldicr r4,r4,63,0\nori r4,r4,{}\nmtspr 27,r4\nrfid",
        save_at::LOGGED,
        save_at::END,
        CAUSES >> 16,
        FINISH >> 16,
        FINISH & 0xFFFF,
        0x1000 | u64::from(little),
        cr = save_at::CR,
        r30 = save_at::GPR + 240,
        r31 = save_at::GPR + 248,
    );
    let end = image.program(LOW + COMMON, &resolve(&text), little);
    assert!(end < LOW + COMMON + 0x1000);
}

/// Where the program goes on behind a case.
const FINISH: u64 = 0x40_0800;

/// Puts distances in place of names: `NAME:` stands before an instruction, a branch names it.
fn resolve(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut names = Vec::new();
    let mut plain = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        match line.split_once(": ") {
            Some((name, rest)) => {
                names.push((name, n));
                plain.push(rest);
            }
            None => plain.push(*line),
        }
    }
    let mut out = String::new();
    for (n, line) in plain.iter().enumerate() {
        let (rest, last) = line.rsplit_once(' ').unwrap_or((line, ""));
        match names.iter().find(|(name, _)| *name == last) {
            Some((_, to)) => out += &format!("{rest} .{:+}\n", 4 * (*to as i64 - n as i64)),
            None => out += &format!("{line}\n"),
        }
    }
    out
}

/// The part that sets up a case, and the part that keeps what it left.
fn main(image: &mut Image, cases: usize, little: bool, rounds: u64) {
    let copy = format!(
        "{}li r4,0\n{}mtctr r5\nld r6,0(r3)\nstd r6,0(r4)\naddi r3,r3,8\naddi r4,r4,8\nbdnz .-16\nsync 0,0\nisync\n",
        constant(3, LOW),
        constant(5, LOW_BYTES / 8)
    );
    let head = [
        copy,
        "li r3,0x37c\nli r4,0x1d\n".to_owned(),
        constant(5, PROCESSES),
        "li r6,0\nli r7,4\nsc 1\n".to_owned(),
        format!("li r3,0x31c\nli r4,{}\nli r5,4\nli r6,0\nli r7,0\nsc 1\n", u8::from(little)),
        constant(13, SAVE),
        constant(4, CASES),
        format!("std r4,{}(r13)\nli r5,12\nrldicr r5,r5,60,3\n", save_at::CASE),
        constant(4, RECORDS),
        format!("or r4,r4,r5\nstd r4,{}(r13)\n", save_at::RECORD),
        constant(4, cases as u64),
        format!("std r4,{}(r13)\nli r4,{rounds}\nstd r4,{}(r13)\n", save_at::LEFT, save_at::ROUND),
    ];
    // DEXCR[NPHIE,PHIE] for both states, which QEMU 7.2 takes for granted, and a key; POWER9 has neither.
    let hashes = "lis r3,0x600\nrldicr r3,r3,32,31\noris r3,r3,0x600\nmtspr 828,r3\n\
                  lis r3,0x1234\nori r3,r3,0x5678\nrldicr r3,r3,32,31\nmtspr 468,r3\n";
    let msr = if little { "mfmsr r3\nori r3,r3,1\n" } else { "mfmsr r3\n" };
    image.program(BASE, &format!("{msr}mtspr 27,r3\n{}mtspr 26,r3\nrfid", constant(3, MAIN)), false);
    let next = image.program(MAIN, &(head.concat() + hashes), little);
    let ranges = ranges();
    let sprs: String = SPRS
        .iter()
        .enumerate()
        .map(|(n, (spr, _))| format!("ld r5,{}(r14)\nmtspr {spr},r5\n", case_at::SPRS + 8 * n as u64))
        .collect();
    let gprs: String =
        (0..32).filter(|n| *n != 14).chain([14]).map(|n| format!("ld r{n},{}(r14)\n", case_at::GPR + 8 * n)).collect();
    let set = format!(
        "{}ld r14,{}(r13)\nli r3,0x31c\nld r4,{}(r14)\nli r5,3\nli r6,0\nli r7,0\nsc 1\n\
         li r4,{}\nmtctr r4\naddi r5,r13,{}\naddi r6,r14,{}\n\
         P: ld r7,0(r5)\nld r8,0(r6)\nstd r8,0(r7)\naddi r5,r5,8\naddi r6,r6,8\nbdnz P\n\
         li r4,{}\nmtctr r4\naddi r5,r13,{}\n\
         R: ld r6,0(r5)\nli r7,{RANGE_WORDS}\n\
         W: xori r8,r6,0x5a5a\nstd r8,0(r6)\naddi r6,r6,8\naddi r7,r7,-1\ncmpdi r7,0\nbne W\n\
         addi r5,r5,8\nbdnz R\n\
         sync 2,0\nli r4,0x400\n\
         li r5,{PID}\nrldicr r5,r5,32,31\ntlbie r4,r5,2,1,1\n\
         li r5,2\nrldicr r5,r5,32,31\ntlbie r4,r5,2,1,1\n\
         li r5,0\ntlbie r4,r5,2,1,1\n\
         sync 0,0\ntlbsync\nsync 2,0\nisync\n\
         li r5,0\nstd r5,{}(r13)\nld r5,{}(r14)\nstd r5,{}(r13)\n\
         lis r5,32767\nmtspr 22,r5\n\
         {sprs}ld r5,{}(r14)\nmtspr 26,r5\nld r5,{}(r14)\nmtspr 27,r5\n\
         ld r5,{}(r14)\nmtcrf 255,r5\nld r5,{}(r14)\nmtspr 1,r5\nld r5,{}(r14)\nmtlr r5\nld r5,{}(r14)\nmtctr r5\n\
         {gprs}rfid",
        constant(13, SAVE),
        save_at::CASE,
        case_at::MODE,
        PATCHES.len(),
        save_at::PATCHES,
        case_at::PATCHES,
        ranges.len(),
        save_at::RANGES,
        save_at::LOGGED,
        case_at::END,
        save_at::END,
        case_at::ENTRY,
        case_at::MSR,
        case_at::CR,
        case_at::XER,
        case_at::LR,
        case_at::CTR,
    );
    let end = image.program(next, &resolve(&set), little);
    assert!(end <= FINISH, "{end:#x}");
    let gprs: String = (0..32)
        .map(|n| format!("ld r5,{}(r13)\nstd r5,{}(r15)\n", save_at::GPR + 8 * n as u64, 8 * (at::GPR + n)))
        .collect();
    let sprs: String = SPRS
        .iter()
        .enumerate()
        .map(|(n, (spr, _))| format!("mfspr r5,{spr}\nstd r5,{}(r15)\n", 8 * (at::SPRS + n)))
        .collect();
    let keep = format!(
        "{}ld r14,{}(r13)\nld r15,{}(r13)\n{gprs}\
         ld r5,{}(r13)\nstd r5,{}(r15)\nld r5,{}(r13)\nstd r5,{}(r15)\nmfspr r5,8\nstd r5,{}(r15)\nmfspr r5,9\nstd r5,{}(r15)\n\
         ld r5,{}(r13)\nstd r5,{}(r15)\n{sprs}\
         li r4,{}\nmtctr r4\naddi r5,r13,{}\naddi r6,r15,{}\n\
         P: ld r7,0(r5)\nld r8,0(r7)\nstd r8,0(r6)\naddi r5,r5,8\naddi r6,r6,8\nbdnz P\n\
         li r4,{}\nmtctr r4\naddi r5,r13,{}\naddi r9,r15,{}\n\
         R: ld r6,0(r5)\nli r7,{RANGE_WORDS}\nli r10,0\n\
         W: ld r8,0(r6)\nrldicl r10,r10,7,0\nmulli r10,r10,31\nxor r10,r10,r8\naddi r6,r6,8\naddi r7,r7,-1\ncmpdi r7,0\nbne W\n\
         std r10,0(r9)\naddi r9,r9,8\naddi r5,r5,8\nbdnz R\n",
        constant(13, SAVE),
        save_at::CASE,
        save_at::RECORD,
        save_at::CR,
        8 * at::CR,
        save_at::XER,
        8 * at::XER,
        8 * at::LR,
        8 * at::CTR,
        save_at::LOGGED,
        8 * at::INTERRUPTS,
        PATCHES.len(),
        save_at::PATCHES,
        8 * at::PATCHES,
        ranges.len(),
        save_at::RANGES,
        8 * at::MEMORY,
    );
    let end = image.program(FINISH, &resolve(&keep), little);
    // The next round, or the next case.
    let turn = format!(
        "ld r4,{round}(r13)\naddi r4,r4,-1\nstd r4,{round}(r13)\ncmpdi r4,0\nbne NEXT\n\
         li r4,{rounds}\nstd r4,{round}(r13)\n\
         addi r14,r14,{CASE_BYTES}\nstd r14,{}(r13)\naddi r15,r15,{}\nstd r15,{}(r13)\n\
         ld r4,{left}(r13)\naddi r4,r4,-1\nstd r4,{left}(r13)\ncmpdi r4,0\nbne NEXT\n\
         {}li r3,0\nori r3,r3,0xf000\nsc 1\nb .\n",
        save_at::CASE,
        8 * RECORD_WORDS,
        save_at::RECORD,
        constant(4, POWER_OFF),
        round = save_at::ROUND,
        left = save_at::LEFT,
    );
    let mut text = String::new();
    for (n, line) in turn.lines().map(str::trim).enumerate() {
        let back = next as i64 - (end as i64 + 4 * n as i64);
        text += &format!("{}\n", line.replace("NEXT", &format!(".{back:+}")));
    }
    let end = image.program(end, &text, little);
    assert!(end < BASE + 0x1000, "{end:#x}");
}

/// Leaf of a page, read, written and referenced before.
pub const fn leaf(real: u64, bits: u64) -> u64 {
    3 << 62 | real | bits
}

/// Entry of a directory of 2^`bits` entries.
pub const fn directory(real: u64, bits: u64) -> u64 {
    1 << 63 | real | bits
}

/// Word of the process table: 52 bits of effective address, a root of 2^13 entries.
pub const fn root(real: u64) -> u64 {
    0x4000_0000_0000_0000 | 0xA0 | real | 13
}

fn tables(image: &mut Image) {
    image.word(PROCESSES, root(KERNEL));
    image.word(PROCESSES + 16 * PID, root(TREE));
    image.word(KERNEL, directory(KERNEL_LOWER, 9));
    image.word(KERNEL_LOWER, directory(KERNEL_LOWER + 0x1000, 9));
    for n in 0..128 {
        image.word(KERNEL_LOWER + 0x1000 + 8 * n, leaf(n << 21, 0x18F));
    }
    image.word(TREE, directory(LOWER, 9));
    image.word(LOWER, directory(LOWER + 0x1000, 9));
    // Code: a page of 2 MiB whose entry a case may change.
    image.word(LOWER + 0x1000 + 8 * (CODE >> 21), leaf(CODE, 0x187));
}

/// The image with these cases, each `rounds` times; interrupts are big-endian or `little`-endian.
pub fn image(cases: &[Case], little: bool, rounds: u64) -> Image {
    assert!(cases.len() <= MOST);
    let mut image = Image::new(BASE, (CASES + CASE_BYTES * cases.len() as u64 - BASE) as usize);
    low(&mut image, little);
    main(&mut image, cases.len(), little, rounds);
    tables(&mut image);
    image.power_off(POWER_OFF);
    // In the order of bytes that the program runs in; only what goes into tables is copied as it is.
    let native = |value: u64| if little { value.swap_bytes() } else { value };
    for (n, (address, _)) in PATCHES.iter().enumerate() {
        image.word(SAVE + save_at::PATCHES + 8 * n as u64, native(*address));
    }
    for (n, range) in ranges().iter().enumerate() {
        image.word(SAVE + save_at::RANGES + 8 * n as u64, native(*range));
    }
    for (n, case) in cases.iter().enumerate() {
        let code = case.code(CODE + SLOT * n as u64);
        image.put(code.start, &code.bytes);
        let table = CASES + CASE_BYTES * n as u64;
        let mut word = |at: u64, value: u64| image.word(table + at, value);
        for (at, value) in [
            (case_at::ENTRY, code.start),
            (case_at::MSR, case.msr),
            (case_at::MODE, case.mode),
            (case_at::END, code.end),
            (case_at::CR, u64::from(case.cr)),
            (case_at::XER, case.xer),
            (case_at::LR, case.lr),
            (case_at::CTR, case.ctr),
        ] {
            word(at, native(value));
        }
        case.sprs.iter().enumerate().for_each(|(k, value)| word(case_at::SPRS + 8 * k as u64, native(*value)));
        case.gpr.iter().enumerate().for_each(|(k, value)| word(case_at::GPR + 8 * k as u64, native(*value)));
        case.patches.iter().enumerate().for_each(|(k, value)| word(case_at::PATCHES + 8 * k as u64, *value));
    }
    image
}

/// The records of so many cases, in words.
pub fn records(bytes: &[u8], little: bool) -> Vec<[u64; RECORD_WORDS]> {
    let words: Vec<u64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| if little { u64::from_le_bytes(*word) } else { u64::from_be_bytes(*word) })
        .collect();
    let mut records = words.as_chunks::<RECORD_WORDS>().0.to_vec();
    if little {
        // These are words of tables.
        records
            .iter_mut()
            .flat_map(|r| &mut r[at::PATCHES..][..PATCHES.len()])
            .for_each(|word| *word = word.swap_bytes());
    }
    records
}
