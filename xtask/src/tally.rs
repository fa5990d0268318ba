//! Counts checks, times them, and says at the end how many passed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};

/// The checks done so far.
#[derive(Debug, Default)]
pub struct Tally {
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    name: String,
    passed: bool,
    took: Duration,
}

impl Tally {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does one check behind a spinner and prints how it went; what it gives is a fact worth reading.
    pub fn check(&mut self, name: &str, body: impl FnOnce() -> Result<String>) -> bool {
        let bar = ProgressBar::new_spinner().with_message(name.to_owned());
        bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("a fixed template"));
        bar.enable_steady_tick(Duration::from_millis(120));
        let start = Instant::now();
        let result = body();
        bar.finish_and_clear();
        self.record(name, start.elapsed(), result)
    }

    /// Does one step that prints by itself.
    pub fn step(&mut self, name: &str, body: impl FnOnce() -> Result<()>) -> bool {
        println!("==== {name}");
        let start = Instant::now();
        let result = body().map(|()| String::new());
        self.record(name, start.elapsed(), result)
    }

    fn record(&mut self, name: &str, took: Duration, result: Result<String>) -> bool {
        let passed = result.is_ok();
        match result {
            Ok(fact) if fact.is_empty() => println!("ok    {name}"),
            Ok(fact) => println!("ok    {name}: {fact}"),
            Err(error) => println!("FAIL  {name}: {error:#}"),
        }
        self.done.push(Done { name: name.to_owned(), passed, took });
        passed
    }

    /// Prints the times and, as the last line, the count; an error when something failed.
    pub fn finish(self) -> Result<()> {
        println!("\n{:>9}  check", "seconds");
        for done in &self.done {
            println!("{:>9.1}  {}{}", done.took.as_secs_f64(), done.name, if done.passed { "" } else { "  FAILED" });
        }
        let failed = self.done.iter().filter(|done| !done.passed).count();
        println!("\n{} passed, {failed} failed", self.done.len() - failed);
        ensure!(!self.done.is_empty(), "nothing was checked");
        if failed > 0 {
            // The count is the last word, so no error is printed after it.
            std::process::exit(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_do_not_stop() {
        let mut tally = Tally::new();
        assert!(tally.check("good", || Ok("a fact".to_owned())));
        assert!(!tally.check("bad", || anyhow::bail!("a reason")));
        assert!(tally.step("good step", || Ok(())));
        assert_eq!(tally.done.iter().filter(|done| done.passed).count(), 2);
        assert!(Tally::new().finish().is_err());
    }
}
