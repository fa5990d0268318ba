//! The AIL table against QEMU's `pseries` machine: a program in place of firmware takes the interrupts that need nothing but
//! instructions, with LPCR[AIL] 0 and 3 (`H_SET_MODE`), in each translation, byte order and address size.

use crate::bare::{Image, constant, on_qemu};
use cpu::Vector;
use cpu::ail_table::{Reach, Row, Saves, rows};
use std::ops::{Deref, DerefMut};

const IMAGE_BYTES: usize = 0x18_0000;
/// Where the program starts, and where a handler goes on.
const MAIN: u64 = 0x2_8000;
const COMMON: u64 = 0x6000;
/// What is interrupted: big-endian, and little-endian a page behind.
const PROGRAMS: u64 = 0x3_0000;
const DATA: u64 = 0x2_0000;
/// Argument block of `power-off`.
const POWER_OFF: u64 = 0x2_1000;
const RESULTS: u64 = 0x4_0000;
const CASES: u64 = 0xC_0000;
const TABLES: u64 = 0x10_0000;
/// Words kept by a handler: address in its window, MSR, LR, CTR, SRR0, SRR1, address of [`COMMON`].
const WORDS: usize = 7;

const ME: u64 = 0x1000;
const EE: u64 = 0x8000;
const RI: u64 = 0x2;
const SE: u64 = 0x400;
const CAUSES: u64 = 0x783F_0000;

/// Text, r4, further MSR bits, decrementer, FSCR, and what is saved: from the start, or r4.
type Way = (&'static str, u64, u64, u64, u64, Option<u64>);

fn way(row: &Row) -> Option<Way> {
    const LATER: u64 = 0x7FFF_FFFF;
    let simple = |text, behind| Some((text, 0, 0, LATER, 0, Some(behind)));
    match row.vector {
        _ if row.reach != Reach::Partition || !matches!(row.ail, 0 | 3) || !row.model.radix => None,
        Vector::DataStorage if row.dr => Some(("ld r5,0(r4)", 0x30_0000, 0, LATER, 0, Some(0))),
        Vector::DataSegment if row.sf => Some(("ld r5,0(r4)", 1 << 62, 0, LATER, 0, Some(0))),
        Vector::InstructionStorage => Some(("mtctr r4\nbctr", 0x30_0000, 0, LATER, 0, None)),
        Vector::InstructionSegment if row.sf => Some(("mtctr r4\nbctr", 1 << 62, 0, LATER, 0, None)),
        Vector::Alignment => Some(("ldarx r5,0,r4,0", DATA + 1, 0, LATER, 0, Some(0))),
        Vector::Program => simple("tw 31,0,0", 0),
        Vector::FpUnavailable => simple("fmr f1,f2", 0),
        Vector::Decrementer => Some(("ori r6,r6,0", 0, EE, u64::MAX, 0, Some(0))),
        Vector::SystemCall => simple("sc 0", 4),
        Vector::Trace => Some(("ori r6,r6,0", 0, SE, LATER, 0, Some(4))),
        Vector::VectorUnavailable => simple("vor v1,v1,v1", 0),
        Vector::VsxUnavailable => simple("xxlor vs1,vs1,vs1", 0),
        Vector::FacilityUnavailable => simple("scv 0", 0),
        Vector::SystemCallVectored => {
            let text = match row.level {
                0 => "scv 0",
                1 => "scv 1",
                _ => "scv 127",
            };
            Some((text, 0, EE, LATER, 0x1000, Some(4)))
        }
        _ => None,
    }
}

struct Table(Image);

impl Deref for Table {
    type Target = Image;
    fn deref(&self) -> &Image {
        &self.0
    }
}

impl DerefMut for Table {
    fn deref_mut(&mut self) -> &mut Image {
        &mut self.0
    }
}

impl Table {
    /// Radix tree of process 0: the first 2 MiB, one to one, at 0 and at 0xC000000000000000.
    fn tables(&mut self) {
        self.word(TABLES, 0x4000_0000_0000_0000 | 0xA0 | (TABLES + 0x1_0000) | 13);
        for (at, next) in [(0x1_0000, 0x2_0000), (0x2_0000, 0x2_1000), (0x2_1000, 0x2_2000)] {
            self.word(TABLES + at, 1 << 63 | (TABLES + next) | 9);
        }
        for page in 0..512 {
            self.word(TABLES + 0x2_2000 + 8 * page, 3 << 62 | page << 12 | 0x18F);
        }
    }

    fn handlers(&mut self, ile: bool) {
        let mut places: Vec<u64> =
            rows().filter(|row| row.saves != Saves::Hsrr && row.mode != 2).map(|row| row.address & 0xF_FFFF).collect();
        places.sort_unstable();
        places.dedup();
        for at in places {
            // r3 is the handler's: the place in the window.
            let text = format!("lis r3,{}\nori r3,r3,{}\nb .+{}", at >> 16, at & 0xFFFF, COMMON as i64 - at as i64 - 8);
            self.program(at, &text.replace("+-", "-"), ile);
        }
        self.program(
            COMMON,
            "std r3,0(r30)
             mfmsr r3
             std r3,8(r30)
             mfspr r3,8
             std r3,16(r30)
             mfspr r3,9
             std r3,24(r30)
             mfspr r3,26
             std r3,32(r30)
             mfspr r3,27
             std r3,40(r30)
             bcl 20,31,.+4
             mfspr r3,8
             std r3,48(r30)
             addi r30,r30,56
             mtspr 26,r31
             mtspr 27,r29
             rfid",
            ile,
        );
    }

    fn main(&mut self, cases: u64, ile: bool) {
        let start = self.program(0x100, &format!("b .+{}", MAIN - 0x100), false);
        assert_eq!(start, 0x104);
        let head = [
            "li r3,0x37c\nli r4,0x1d\n".to_owned(),
            constant(5, TABLES),
            "li r6,0\nli r7,4\nsc 1\n".to_owned(),
            format!("li r3,0x31c\nli r4,{}\nli r5,4\nli r6,0\nli r7,0\nsc 1\n", u8::from(ile)),
            constant(28, CASES),
            constant(30, RESULTS),
            constant(26, cases),
            "mfmsr r29\n".to_owned(),
        ];
        let at = self.program(MAIN, &head.concat(), false);
        // r31 is set to what follows the rfid.
        let body = "li r3,0x31c\nld r4,0(r28)\nli r5,3\nli r6,0\nli r7,0\nsc 1
            ld r5,8(r28)\nmtspr 153,r5\nld r4,16(r28)\nld r5,40(r28)\nmtspr 22,r5
            li r5,0x1111\nmtlr r5\nli r5,0x2222\nmtctr r5
            ld r5,24(r28)\nmtspr 26,r5\nld r5,32(r28)\nmtspr 27,r5
            addi r28,r28,48\naddi r26,r26,-1\nrfid";
        let lines = body.lines().count() as u64;
        let loop_at = at + 8;
        let after = loop_at + 4 * lines;
        self.program(at, &constant(31, after), false);
        assert_eq!(self.program(loop_at, body, false), after);
        let mut at = self.program(after, &format!("cmpdi r26,0\nbne .-{}", after + 4 - loop_at), false);
        let off = [constant(4, POWER_OFF), "li r3,0\nori r3,r3,0xf000\nsc 1\nb .".to_owned()];
        at = self.program(at, &off.concat(), false);
        assert!(at < MAIN + 0x1000);
        self.power_off(POWER_OFF);
    }
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn qemu_gives_the_same_rows() {
    let mut compared = 0;
    for (cpu, ile) in [("power9", false), ("power9", true), ("power10", false), ("power10", true)] {
        let mut image = Table(Image::new(0, IMAGE_BYTES));
        let model = cpu::CpuModel::by_name(cpu).unwrap();
        let cases: Vec<(Row, Way)> = rows()
            .filter(|row| row.model == model && row.ile == ile)
            .filter_map(|row| way(&row).map(|way| (row, way)))
            .collect();
        let mut texts: Vec<&str> = cases.iter().map(|(_, way)| way.0).collect();
        texts.sort_unstable();
        texts.dedup();
        let place = |row: &Row, text: &str| {
            let n = texts.iter().position(|t| *t == text).unwrap() as u64;
            PROGRAMS + 16 * n + if row.le { 0x1000 } else { 0 }
        };
        for text in &texts {
            let at = PROGRAMS + 16 * texts.iter().position(|t| t == text).unwrap() as u64;
            image.program(at, &format!("{text}\nb ."), false);
            image.program(at + 0x1000, &format!("{text}\nb ."), true);
        }
        image.tables();
        image.handlers(ile);
        image.main(cases.len() as u64, ile);
        let old_msr = |row: &Row, way: &Way| row.old_msr() | way.2 | ME | RI;
        for (n, (row, way)) in cases.iter().enumerate() {
            let (text, r4, _, decrementer, fscr, _) = *way;
            let words = [u64::from(row.ail), fscr, r4, place(row, text), old_msr(row, way), decrementer];
            words.iter().enumerate().for_each(|(k, word)| image.word(CASES + 48 * n as u64 + 8 * k as u64, *word));
        }
        assert!(CASES + 48 * (cases.len() as u64) < TABLES);
        let bytes = on_qemu(cpu, &image, RESULTS, cases.len() * WORDS * 8).unwrap_or_else(|error| panic!("{error}"));
        assert!(bytes[bytes.len() - WORDS * 8..].iter().any(|b| *b != 0), "QEMU did not take every interrupt");
        let words: Vec<u64> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| if ile { u64::from_le_bytes(*word) } else { u64::from_be_bytes(*word) })
            .collect();
        for ((row, way), kept) in cases.iter().zip(words.as_chunks::<WORDS>().0) {
            let [at, msr, lr, ctr, srr0, srr1, common] = *kept;
            let what = || format!("{row:x?}\n  {:#x?}", kept);
            let window = row.address & !0xF_FFFF;
            assert_eq!(at, row.address & 0xF_FFFF, "{}", what());
            // Behind the bcl: which window the handler runs in.
            assert_eq!(common & !0xF_FFFF, window, "{}", what());
            let (old, start) = (old_msr(row, way), place(row, way.0));
            assert_eq!(msr, row.new_msr(old), "{}", what());
            let back = way.5.map_or(way.1, |behind| start + behind);
            match row.saves {
                Saves::LrCtr => assert_eq!((lr, ctr, srr0, srr1), (back, old & !CAUSES, start, old), "{}", what()),
                _ => {
                    let branch = way.0.contains("mtctr");
                    assert_eq!((lr, ctr), (0x1111, if branch { way.1 } else { 0x2222 }), "{}", what());
                    assert_eq!((srr0, srr1 & !CAUSES), (back, old), "{}", what());
                }
            }
            compared += 1;
        }
        println!("{cpu}, ILE={}: {} rows", u8::from(ile), cases.len());
    }
    println!("{compared} rows are QEMU's too");
}
