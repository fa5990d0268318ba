//! Reads the machine's own apt sources, to learn which mirror of Debian it uses and which keys sign it.
//! Both spellings of `sources.list(5)`: one line an entry, and deb822 stanzas.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Where keys lie when an entry does not name them.
const DEBIAN_KEYRINGS: &[&str] =
    &["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];
/// Names a suite of the main Debian archive can have; others (`-security`, `-updates`, foreign archives) are passed over.
const DEBIAN_SUITES: &[&str] = &[
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// An entry of the machine's sources that can serve other suites and architectures of Debian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The archive's address as apt takes it; never written anywhere but below `target/`.
    pub uri: String,
    /// Key ring that verifies it; `None` leaves the choice to apt's trusted keys.
    pub signed_by: Option<String>,
}

/// The first usable entry of the machine's sources.
pub fn machine_mirror() -> Result<Mirror> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        parts.sort();
        files.extend(parts);
    }
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let mirror = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => from_stanzas(&text),
            Some("list") => from_lines(&text),
            _ => None,
        };
        if let Some(mut mirror) = mirror {
            if mirror.signed_by.is_none() {
                mirror.signed_by = debian_keyring();
            }
            return Ok(mirror);
        }
    }
    bail!(
        "no entry for Debian's main archive in /etc/apt/sources.list or /etc/apt/sources.list.d \
         (looked for a suite such as bookworm or stable with the component main); add one, or give --mirror"
    )
}

/// Debian's own key ring, if it is installed; else apt falls back on the keys that the machine trusts.
pub fn debian_keyring() -> Option<String> {
    DEBIAN_KEYRINGS.iter().find(|ring| Path::new(ring).exists()).map(|ring| (*ring).to_owned())
}

/// The first usable entry of deb822 text.
fn from_stanzas(text: &str) -> Option<Mirror> {
    let mut stanza: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if let Some(mirror) = from_stanza(&stanza) {
                return Some(mirror);
            }
            stanza.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    None
}

fn from_stanza(stanza: &[(String, String)]) -> Option<Mirror> {
    let field = |name: &str| stanza.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
    let has = |name: &str, word: &str| field(name).split_whitespace().any(|value| value == word);
    let usable = has("types", "deb")
        && has("components", "main")
        && field("enabled") != "no"
        && field("suites").split_whitespace().any(is_debian_suite);
    let uri = field("uris").split_whitespace().next()?;
    // A key block inside the stanza has several lines; apt's own ring does for the same archive.
    let signed_by = Some(field("signed-by")).filter(|ring| ring.starts_with('/') && !ring.contains('\n'));
    usable.then(|| Mirror { uri: uri.to_owned(), signed_by: signed_by.map(str::to_owned) })
}

/// The first usable entry of one-line text.
fn from_lines(text: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb")?;
        let rest = rest.starts_with([' ', '\t', '[']).then(|| rest.trim_start())?;
        let (options, rest) = match rest.strip_prefix('[') {
            Some(inside) => inside.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        if !is_debian_suite(suite) || !words.any(|component| component == "main") {
            return None;
        }
        let signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .filter(|ring| ring.starts_with('/'));
        Some(Mirror { uri: uri.to_owned(), signed_by: signed_by.map(str::to_owned) })
    })
}

fn is_debian_suite(suite: &str) -> bool {
    DEBIAN_SUITES.contains(&suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(uri: &str, ring: Option<&str>) -> Option<Mirror> {
        Some(Mirror { uri: uri.to_owned(), signed_by: ring.map(str::to_owned) })
    }

    #[test]
    fn stanzas() {
        let text = "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
                    # a comment\nTypes: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By: /usr/share/keyrings/ring.gpg\n";
        assert_eq!(from_stanzas(text), mirror("http://mirror.example/debian", Some("/usr/share/keyrings/ring.gpg")));
        assert_eq!(from_stanzas(&text.replace("deb deb-src", "deb-src")), None);
        assert_eq!(from_stanzas(&text.replace("# a comment", "Enabled: no")), None);
        let inline = text.replace("/usr/share/keyrings/ring.gpg", "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc");
        assert_eq!(from_stanzas(&inline), mirror("http://mirror.example/debian", None));
    }

    #[test]
    fn lines() {
        let text = "# deb http://off.example/debian sid main\ndeb-src http://src.example/debian sid main\n\
                    deb http://other.example/apt nodistro main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie contrib main\n";
        assert_eq!(from_lines(text), mirror("http://mirror.example/debian", Some("/k.gpg")));
        assert_eq!(
            from_lines("deb http://mirror.example/debian stable main"),
            mirror("http://mirror.example/debian", None)
        );
        assert_eq!(from_lines("deb http://mirror.example/debian stable contrib"), None);
        assert_eq!(from_lines("deb"), None);
        assert_eq!(from_lines("deb [arch=amd64"), None);
    }
}
