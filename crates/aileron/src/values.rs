//! Values of options in QEMU's grammar: `key=value` lists, sizes, dates.

use anyhow::{Context as _, Result, bail, ensure};

/// A list `first,key=value,key=value`; `,,` stands for a comma within a value. What has no `=` is a key without value.
pub fn key_values(text: &str) -> Vec<(String, Option<String>)> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == ',' && characters.peek() != Some(&',') {
            parts.push(String::new());
            continue;
        }
        if character == ',' {
            characters.next();
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    let split = |part: &String| match part.split_once('=') {
        Some((key, value)) => (key.to_string(), Some(value.to_string())),
        None => (part.clone(), None),
    };
    parts.iter().map(split).collect()
}

/// A number, decimal or hexadecimal with `0x`.
pub fn number(text: &str) -> Result<u64> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
        None if text.bytes().all(|digit| digit.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    parsed.with_context(|| format!("'{text}' is not a number from 0 to 2^64-1"))
}

/// A size such as `512`, `1G` or `1.5g`, in bytes; without a suffix it counts in units of `default_unit` bytes.
pub fn size(text: &str, default_unit: u64) -> Result<u64> {
    let wrong =
        || format!("'{text}' is not a size: expected a number with one of the suffixes B, K, M, G, T, P, E, or none");
    let unit = match text.chars().next_back().map(|unit| unit.to_ascii_uppercase()) {
        Some('B') => 1,
        Some('K') => 1 << 10,
        Some('M') => 1 << 20,
        Some('G') => 1 << 30,
        Some('T') => 1 << 40,
        Some('P') => 1 << 50,
        Some('E') => 1 << 60,
        Some(unit) if unit.is_ascii_alphabetic() => bail!(wrong()),
        _ => default_unit,
    };
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    ensure!(text.len() - digits.len() <= 1 && !digits.is_empty(), wrong());
    if let Some((whole, fraction)) = digits.split_once('.') {
        let all_digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
        ensure!(all_digits(whole) && all_digits(fraction) && !whole.is_empty() && fraction.len() <= 15, wrong());
        let scale = 10u128.pow(fraction.len() as u32);
        let value = format!("{whole}{fraction}").parse::<u128>().ok().and_then(|value| value.checked_mul(unit.into()));
        let bytes = value.with_context(wrong)? / scale;
        return u64::try_from(bytes).with_context(|| format!("'{text}' is too large: 2^64 bytes and more"));
    }
    ensure!(digits.bytes().all(|digit| digit.is_ascii_digit()), wrong());
    let value = digits.parse::<u64>().ok().and_then(|value| value.checked_mul(unit));
    value.with_context(|| format!("'{text}' is too large: 2^64 bytes and more"))
}

/// `on` or `off`, in the spellings that QEMU understands.
pub fn switch(text: &str) -> Result<bool> {
    match text {
        "on" | "yes" | "true" | "y" => Ok(true),
        "off" | "no" | "false" | "n" => Ok(false),
        _ => bail!("'{text}' is neither on nor off"),
    }
}

/// Seconds since 1970 of a date `YYYY-MM-DD` or `YYYY-MM-DDThh:mm:ss`, UTC.
pub fn date(text: &str) -> Result<u64> {
    let wrong = || format!("'{text}' is not a date: expected utc, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss, not before 1970");
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
    let fields = |text: &str, separator, widths: [usize; 3]| -> Option<[u64; 3]> {
        let parts: Vec<&str> = text.split(separator).collect();
        let fits = parts.len() == 3 && parts.iter().zip(widths).all(|(part, width)| part.len() == width);
        let parsed: Vec<u64> = parts.iter().filter_map(|part| number(part).ok()).collect();
        if fits { parsed.try_into().ok() } else { None }
    };
    let [year, month, day] = fields(day, '-', [4, 2, 2]).with_context(wrong)?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2]).with_context(wrong)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    ensure!(year >= 1970 && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 60, wrong());
    ensure!((1..=lengths[month as usize - 1]).contains(&day), wrong());
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
        + lengths[..month as usize - 1].iter().sum::<u64>()
        + day
        - 1;
    Ok(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// A UUID in its usual spelling.
pub fn uuid(text: &str) -> Result<[u8; 16]> {
    let wrong = || format!("'{text}' is not a UUID: expected xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    let dashes = [8, 13, 18, 23];
    let right = text.len() == 36
        && text.bytes().enumerate().all(
            |(at, byte)| {
                if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
            },
        );
    ensure!(right, wrong());
    let value = u128::from_str_radix(&text.replace('-', ""), 16).with_context(wrong)?;
    Ok(value.to_be_bytes())
}

/// " (did you mean 'x'?)" when one of `known` is close to `given`, else nothing.
pub fn hint<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match hypervisor::nearest(given, known) {
        Some(name) => format!(" (did you mean '{name}'?)"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let list = key_values("pseries,a=b,,c,d,e=");
        let pair = |key: &str, value: Option<&str>| (key.to_string(), value.map(str::to_string));
        assert_eq!(list, [pair("pseries", None), pair("a", Some("b,c")), pair("d", None), pair("e", Some(""))]);
        assert_eq!(key_values(""), [pair("", None)]);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1G", 1 << 30),
            ("1024", 1 << 30),
            ("1.5g", 3 << 29),
            ("64m", 64 << 20),
            ("65536b", 65536),
            ("0.5M", 1 << 19),
            ("0", 0),
        ] {
            assert_eq!(size(text, 1 << 20).unwrap(), bytes, "{text}");
        }
        for text in [
            "",
            "G",
            "-1",
            "1GG",
            "1GB",
            "x",
            "0x10",
            "1023X",
            "1.G.",
            "1e3",
            "99999999999999999999",
            "17179869184G",
            " 1",
            "１G",
        ] {
            assert!(size(text, 1 << 20).is_err(), "{text}");
        }
    }

    #[test]
    fn dates() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-03-01", 951_868_800),
            ("2026-11-22T13:07:01", 1_795_352_821),
            ("2024-02-29T23:59:59", 1_709_251_199),
        ] {
            assert_eq!(date(text).unwrap(), seconds, "{text}");
        }
        for text in [
            "1969-12-31",
            "2023-02-29",
            "2023-13-01",
            "2023-00-01",
            "2023-1-1",
            "now",
            "2023-01-01T24:00:00",
            "2023-01-01T",
        ] {
            assert!(date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn uuids() {
        assert_eq!(uuid("00112233-4455-6677-8899-aabbccddeeff").unwrap()[..5], [0, 0x11, 0x22, 0x33, 0x44]);
        for text in [
            "",
            "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeegg",
            "+0112233-4455-6677-8899-aabbccddeeff",
        ] {
            assert!(uuid(text).is_err(), "{text}");
        }
    }
}
