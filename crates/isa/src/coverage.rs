//! What is implemented and what is not.

use crate::{Chapter, Facility, Op, Row};
use std::fmt;

/// Rows of one chapter and facility.
#[derive(Clone, Debug)]
pub struct Group {
    /// The chapter.
    pub chapter: Chapter,
    /// The facility.
    pub facility: Facility,
    /// Rows whose semantics exist.
    pub done: Vec<&'static Row>,
    /// Rows that are decoded, but execute as illegal.
    pub todo: Vec<&'static Row>,
}

/// The coverage list.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Groups, in the order of the table.
    pub groups: Vec<Group>,
}

/// Lists the rows by chapter and facility.
pub fn coverage() -> Coverage {
    let mut groups: Vec<Group> = Vec::new();
    for row in Op::ALL.iter().map(|op| op.row()) {
        let at =
            groups.iter().position(|g| g.chapter == row.chapter && g.facility == row.facility).unwrap_or_else(|| {
                groups.push(Group { chapter: row.chapter, facility: row.facility, done: Vec::new(), todo: Vec::new() });
                groups.len() - 1
            });
        if row.implemented { &mut groups[at].done } else { &mut groups[at].todo }.push(row);
    }
    Coverage { groups }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut done, mut all) = (0, 0);
        for g in &self.groups {
            let count = g.done.len() + g.todo.len();
            writeln!(
                f,
                "{:<9} {:<9} {:>4} of {:>4}",
                format!("{:?}", g.chapter),
                format!("{:?}", g.facility),
                g.done.len(),
                count
            )?;
            let names: Vec<&str> = g.todo.iter().map(|r| r.name).collect();
            if !names.is_empty() && !g.done.is_empty() {
                writeln!(f, "    missing: {}", names.join(" "))?;
            }
            done += g.done.len();
            all += count;
        }
        writeln!(f, "{done} of {all} instructions")
    }
}
