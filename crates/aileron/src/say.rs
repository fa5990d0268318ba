//! Messages on standard error: none of them can fail the program, whoever closed it.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// A line.
pub fn line(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// A warning.
pub fn warning(text: &str) {
    line(&format!("aileron: warning: {text}"));
}

/// An error.
pub fn error(text: &str) {
    line(&format!("aileron: {text}"));
}

/// A text that was asked for, on standard output. A reader that has seen enough is no error.
pub fn answer(text: &str) {
    let mut output = std::io::stdout();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// Shows the libraries' warnings and errors; there are no spans.
struct Messages;

impl Subscriber for Messages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What is not implemented comes through the log, which knows what was told already.
        *metadata.level() <= Level::WARN && metadata.target() != "unimp"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        if *event.metadata().level() == Level::ERROR { error(&text.0) } else { warning(&text.0) }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// From now on libraries' warnings are shown.
pub fn show_messages() {
    // Fails only if it was done before.
    let _ = tracing::subscriber::set_global_default(Messages);
}
