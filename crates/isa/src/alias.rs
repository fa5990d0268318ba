//! Extended mnemonics that tests are pleasant to write with (Book I appendix, Assembler Extended Mnemonics). The
//! assembler reads them; the disassembler never writes them.

/// Mnemonic, what it stands for. `$1`, `$2`, .. are the operands; an expression in braces is computed from numbers.
const ALIASES: &[(&str, &str)] = &[
    ("nop", "ori 0,0,0"),
    ("xnop", "xori 0,0,0"),
    ("li", "addi $1,0,$2"),
    ("lis", "addis $1,0,$2"),
    ("la", "addi $1,$3,$2"),
    ("pli", "paddi $1,0,$2,0"),
    ("mr", "or $1,$2,$2"),
    ("mr.", "or. $1,$2,$2"),
    ("not", "nor $1,$2,$2"),
    ("sub", "subf $1,$3,$2"),
    ("sub.", "subf. $1,$3,$2"),
    ("subc", "subfc $1,$3,$2"),
    ("subi", "addi $1,$2,{0-$3}"),
    ("sldi", "rldicr $1,$2,$3,{63-$3}"),
    ("srdi", "rldicl $1,$2,{64-$3},$3"),
    ("clrldi", "rldicl $1,$2,0,$3"),
    ("clrrdi", "rldicr $1,$2,0,{63-$3}"),
    ("rotldi", "rldicl $1,$2,$3,0"),
    ("slwi", "rlwinm $1,$2,$3,0,{31-$3}"),
    ("srwi", "rlwinm $1,$2,{32-$3},$3,31"),
    ("clrlwi", "rlwinm $1,$2,0,$3,31"),
    ("rotlwi", "rlwinm $1,$2,$3,0,31"),
    ("trap", "tw 31,0,0"),
    ("tweq", "tw 4,$1,$2"),
    ("twnei", "twi 24,$1,$2"),
    ("tdeq", "td 4,$1,$2"),
    ("tdnei", "tdi 24,$1,$2"),
    ("blr", "bclr 20,0,0"),
    ("blrl", "bclrl 20,0,0"),
    ("bctr", "bcctr 20,0,0"),
    ("bctrl", "bcctrl 20,0,0"),
    ("beqlr", "bclr 12,2,0"),
    ("bnelr", "bclr 4,2,0"),
    ("bdnz", "bc 16,0,$1"),
    ("bdz", "bc 18,0,$1"),
    ("mflr", "mfspr $1,8"),
    ("mtlr", "mtspr 8,$1"),
    ("mfctr", "mfspr $1,9"),
    ("mtctr", "mtspr 9,$1"),
    ("mfxer", "mfspr $1,1"),
    ("mtxer", "mtspr 1,$1"),
    ("mtcr", "mtcrf 255,$1"),
    ("crclr", "crxor $1,$1,$1"),
    ("crset", "creqv $1,$1,$1"),
    ("hwsync", "sync 0,0"),
    ("lwsync", "sync 1,0"),
    ("ptesync", "sync 2,0"),
    ("vmr", "vor $1,$2,$2"),
    ("xxlmr", "xxlor $1,$2,$2"),
    ("xxspltd", "xxpermdi $1,$2,$2,{3*$3}"),
    ("xxswapd", "xxpermdi $1,$2,$2,2"),
    ("xxmrghd", "xxpermdi $1,$2,$3,0"),
    ("xxmrgld", "xxpermdi $1,$2,$3,3"),
];

/// Compares that may leave out the CR field, and what they stand for.
const COMPARES: &[(&str, &str)] = &[
    ("cmpw", "cmp $1,0,$2,$3"),
    ("cmpd", "cmp $1,1,$2,$3"),
    ("cmplw", "cmpl $1,0,$2,$3"),
    ("cmpld", "cmpl $1,1,$2,$3"),
    ("cmpwi", "cmpi $1,0,$2,$3"),
    ("cmpdi", "cmpi $1,1,$2,$3"),
    ("cmplwi", "cmpli $1,0,$2,$3"),
    ("cmpldi", "cmpli $1,1,$2,$3"),
];

/// Conditions of the branches that may leave out the CR field: BO and bit of the field.
const CONDITIONS: &[(&str, u32, u32)] = &[
    ("blt", 12, 0),
    ("bgt", 12, 1),
    ("beq", 12, 2),
    ("bso", 12, 3),
    ("bge", 4, 0),
    ("ble", 4, 1),
    ("bne", 4, 2),
    ("bns", 4, 3),
];

/// The line that an extended mnemonic stands for; `None` if it is none, or has the wrong number of operands.
pub(crate) fn expand(mnemonic: &str, operands: &[&str]) -> Option<String> {
    if let Some((_, text)) = ALIASES.iter().find(|(name, _)| *name == mnemonic) {
        return fill(text, operands);
    }
    if let Some((_, text)) = COMPARES.iter().find(|(name, _)| *name == mnemonic) {
        return match operands {
            [a, b] => fill(text, &["0", a, b]),
            _ => fill(text, operands),
        };
    }
    let (_, bo, bit) = CONDITIONS.iter().find(|(name, ..)| *name == mnemonic)?;
    let (field, target) = match operands {
        [target] => (0, target),
        [field, target] => (field.strip_prefix("cr").unwrap_or(field).parse().ok().filter(|f| *f < 8u32)?, target),
        _ => return None,
    };
    Some(format!("bc {bo},{},{target}", 4 * field + bit))
}

/// Puts operands in the place of `$n`, and computes what is in braces.
fn fill(template: &str, operands: &[&str]) -> Option<String> {
    let count =
        ('1'..='9').rev().find(|n| template.contains(&format!("${n}"))).map_or(0, |n| n as usize - '0' as usize);
    if operands.len() != count {
        return None;
    }
    let mut text = template.to_string();
    for (i, operand) in operands.iter().enumerate() {
        text = text.replace(&format!("${}", i + 1), operand);
    }
    while let Some((open, close)) = text.find('{').zip(text.find('}')) {
        let value = compute(text.get(open + 1..close)?)?;
        text.replace_range(open..=close, &value.to_string());
    }
    Some(text)
}

/// `a-b` or `a*b`.
fn compute(expression: &str) -> Option<i64> {
    if let Some((a, b)) = expression.split_once('*') {
        return a.parse::<i64>().ok()?.checked_mul(b.parse().ok()?);
    }
    let (a, b) = expression.split_once('-')?;
    a.parse::<i64>().ok()?.checked_sub(b.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use crate::assemble;

    /// Words as the GNU assembler makes them.
    #[test]
    fn extended_mnemonics() {
        for (line, word) in [
            ("nop", 0x6000_0000),
            ("li r3,-1", 0x3860_ffff),
            ("mr r3,r4", 0x7c83_2378),
            ("sldi r3,r4,8", 0x7883_45e4),
            ("srdi r3,r4,8", 0x7883_c202),
            ("slwi r3,r4,8", 0x5483_402e),
            ("srwi r3,r4,8", 0x5483_c23e),
            ("clrldi r3,r4,32", 0x7883_0020),
            ("subi r3,r4,8", 0x3864_fff8),
            ("cmpwi r3,5", 0x2c03_0005),
            ("cmpld cr7,r3,r4", 0x7fa3_2040),
            ("beq cr1,0x10", 0x4186_0010),
            ("bne 0x10", 0x4082_0010),
            ("bdnz 0x10", 0x4200_0010),
            ("blr", 0x4e80_0020),
            ("mflr r0", 0x7c08_02a6),
            ("lwsync", 0x7c20_04ac),
            ("xxspltd vs1,vs2,1", 0xf022_1350),
        ] {
            assert_eq!(assemble(line), Ok(word), "{line}");
        }
        // Whatever a line stands for is in the table, so that expansion ends.
        for (name, text) in super::ALIASES.iter().chain(super::COMPARES) {
            let operands = ["4", "8", "1", "16"];
            let given = operands.iter().copied().take((1..=4).filter(|n| text.contains(&format!("${n}"))).count());
            assert!(assemble(&format!("{name} {}", given.collect::<Vec<_>>().join(","))).is_ok(), "{name}");
        }
        assert!(assemble("sldi r3,r4").is_err());
        assert!(assemble("srdi r3,r4,99999999999999999999").is_err());
        assert!(assemble("subi r3,r4,-9223372036854775808").is_err());
    }
}
