//! The monitor: commands for a running machine, as a person types them. What there is stands in [`COMMANDS`] and [`INFO`],
//! names, help and action in one row. It reaches the machine through [`Control`] only, which another protocol can use too.

use crate::{say, values};
use machine::Handle;
use machine::migration::Uri;
use platform::RunState;
use std::io::{self, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

/// What stands before the place where a command is typed.
const PROMPT: &str = "(aileron) ";
/// Longest line; what comes behind is dropped.
const LINE_BYTES_MAX: usize = 4096;

/// What a monitor does with a machine. `Err` says why not.
pub trait Control: Send + Sync {
    /// The emulator ends.
    fn quit(&self);
    /// A system reset interrupt for each vCPU.
    fn nmi(&self);
    /// The machine starts again.
    fn reset(&self) -> Result<(), String>;
    /// vCPUs and time stand still.
    fn stop(&self) -> Result<(), String>;
    /// They go on.
    fn cont(&self) -> Result<(), String>;
    /// Whether they stand still.
    fn is_stopped(&self) -> bool;
    /// What each vCPU does.
    fn vcpus(&self) -> Vec<RunState>;
    /// The partition's name.
    fn name(&self) -> Option<String>;
    /// The machine is saved to a file.
    fn save(&self, path: &Path) -> Result<(), String>;
    /// The guest goes somewhere else; with `detached` it is not waited for.
    fn migrate(&self, uri: &str, detached: bool) -> Result<(), String>;
    /// It does not.
    fn cancel_migration(&self);
    /// Bytes a second, and milliseconds of downtime; what is `None` stays.
    fn limit_migration(&self, bandwidth: Option<u64>, downtime_ms: Option<u64>);
    /// How migrations are limited.
    fn migration_limits(&self) -> (u64, u64);
    /// How the last one stands.
    fn migration(&self) -> String;
    /// Whether the guest is somewhere else for good.
    fn is_handed_over(&self) -> bool;
}

/// The machine of this process.
pub struct Running {
    /// It.
    pub handle: Handle,
    /// The partition's name.
    pub name: Option<String>,
}

/// What [`machine::End::Quit`] says after `quit`.
pub const QUIT: &str = "ended from the monitor";

fn or_why<T>(done: Result<T, impl ToString>) -> Result<T, String> {
    done.map_err(|why| why.to_string())
}

impl Control for Running {
    fn quit(&self) {
        self.handle.quit(QUIT);
    }

    fn nmi(&self) {
        self.handle.system_reset();
    }

    fn reset(&self) -> Result<(), String> {
        or_why(self.handle.reset())
    }

    fn stop(&self) -> Result<(), String> {
        or_why(self.handle.pause())
    }

    fn cont(&self) -> Result<(), String> {
        or_why(self.handle.resume())
    }

    fn is_stopped(&self) -> bool {
        self.handle.is_paused()
    }

    fn vcpus(&self) -> Vec<RunState> {
        self.handle.run_states()
    }

    fn name(&self) -> Option<String> {
        self.name.clone()
    }

    fn save(&self, path: &Path) -> Result<(), String> {
        or_why(self.handle.save(path))
    }

    fn migrate(&self, uri: &str, detached: bool) -> Result<(), String> {
        let uri: Uri = or_why(uri.parse())?;
        let begun = or_why(self.handle.begin_migration(&uri))?;
        let migrate = move || {
            let result = begun.run();
            let said = match &result {
                Ok(progress) => {
                    let ms = progress.downtime.unwrap_or_default().as_secs_f64() * 1e3;
                    format!("the guest was handed over, downtime {ms:.1} ms; this machine stays stopped")
                }
                Err(error) => format!("migrate: {error}"),
            };
            say::line(&format!("aileron: {said}"));
            or_why(result.map(drop))
        };
        if detached {
            or_why(std::thread::Builder::new().name("migrate".into()).spawn(migrate).map(drop))
        } else {
            migrate()
        }
    }

    fn cancel_migration(&self) {
        self.handle.cancel_migration();
    }

    fn limit_migration(&self, bandwidth: Option<u64>, downtime_ms: Option<u64>) {
        self.handle.limit_migration(bandwidth, downtime_ms);
    }

    fn migration_limits(&self) -> (u64, u64) {
        self.handle.migration_limits()
    }

    fn migration(&self) -> String {
        self.handle.migration_progress().to_string()
    }

    fn is_handed_over(&self) -> bool {
        self.handle.is_handed_over()
    }
}

/// A command, or something that `info` tells.
struct Command {
    /// Names, the usual one first.
    names: &'static [&'static str],
    /// What follows the name.
    argument: &'static str,
    help: &'static str,
    /// With what follows the name. The text to show.
    run: fn(&dyn Control, &str) -> Result<String, String>,
}

const NOTHING: Result<String, String> = Ok(String::new());

#[rustfmt::skip]
static COMMANDS: &[Command] = &[
    Command { names: &["help", "?"], argument: "[command]", help: "lists the commands", run: |_, name| help(COMMANDS, name) },
    Command { names: &["info"], argument: "[what]", help: "tells about the machine; without a word, what it can tell", run: info },
    Command { names: &["nmi"], argument: "", help: "system reset interrupt for each vCPU: a guest dumps itself or debugs",
        run: |machine, _| { machine.nmi(); NOTHING } },
    Command { names: &["system_reset"], argument: "", help: "starts the machine again, without asking the guest",
        run: |machine, _| machine.reset().map(|()| String::new()) },
    Command { names: &["stop", "s"], argument: "", help: "vCPUs and time stand still",
        run: |machine, _| machine.stop().map(|()| String::new()) },
    Command { names: &["cont", "c"], argument: "", help: "they go on",
        run: |machine, _| machine.cont().map(|()| String::new()) },
    Command { names: &["savevm"], argument: "file", help: "saves the machine to a file, for -loadvm; it goes on then",
        run: save },
    Command { names: &["migrate"], argument: "[-d] uri", run: migrate,
        help: "moves the guest to tcp:HOST:PORT, unix:PATH, file:PATH or exec:COMMAND; -d: without waiting for it" },
    Command { names: &["migrate_cancel"], argument: "", help: "the guest stays here",
        run: |machine, _| { machine.cancel_migration(); NOTHING } },
    Command { names: &["migrate_set_parameter"], argument: "name value", run: set_parameter,
        help: "max-bandwidth: a second, in MiB or with a unit, 0 for all there is; downtime-limit: in ms" },
    Command { names: &["quit", "q"], argument: "", help: "ends the emulator", run: |machine, _| { machine.quit(); NOTHING } },
];

#[rustfmt::skip]
static INFO: &[Command] = &[
    Command { names: &["status"], argument: "", help: "whether the machine runs", run: |machine, _| {
        let words = [(machine.is_handed_over(), "paused (postmigrate)"), (machine.is_stopped(), "paused")];
        Ok(format!("VM status: {}\n", words.iter().find(|(so, _)| *so).map_or("running", |(_, word)| *word)))
    } },
    Command { names: &["cpus"], argument: "", help: "what each vCPU does", run: |machine, _| {
        Ok(machine.vcpus().iter().enumerate().map(|(index, state)| format!("CPU #{index}: {state:?}\n")).collect())
    } },
    Command { names: &["migrate"], argument: "", help: "how the last migration stands",
        run: |machine, _| Ok(machine.migration() + "\n") },
    Command { names: &["migrate_parameters"], argument: "", help: "what migrations may take", run: |machine, _| {
        let (bandwidth, ms) = machine.migration_limits();
        Ok(format!("max-bandwidth: {bandwidth} bytes/second\ndowntime-limit: {ms} ms\n"))
    } },
    Command { names: &["name"], argument: "", help: "the partition's name", run: |machine, _| {
        Ok(machine.name().map_or(String::new(), |name| format!("{name}\n")))
    } },
    Command { names: &["version"], argument: "", help: "the emulator's version", run: |_, _| {
        Ok(format!("Aileron {}\n", env!("CARGO_PKG_VERSION")))
    } },
];

fn find<'a>(table: &'a [Command], name: &str) -> Result<&'a Command, String> {
    let named = |command: &&Command| command.names.contains(&name);
    table.iter().find(named).ok_or_else(|| format!("unknown command: '{name}' ('help' lists what there is)"))
}

fn help(table: &[Command], name: &str) -> Result<String, String> {
    let line = |command: &Command| {
        let names = format!("{} {}", command.names.join("|"), command.argument);
        format!("{:<24} {}\n", names.trim_end(), command.help)
    };
    if name.is_empty() { Ok(table.iter().map(line).collect()) } else { find(table, name).map(line) }
}

fn info(machine: &dyn Control, rest: &str) -> Result<String, String> {
    if rest.is_empty() { help(INFO, "") } else { run(INFO, machine, rest) }
}

fn save(machine: &dyn Control, file: &str) -> Result<String, String> {
    if file.is_empty() {
        return Err("savevm: expected the name of a file".into());
    }
    machine.save(Path::new(file)).map(|()| String::new())
}

fn migrate(machine: &dyn Control, words: &str) -> Result<String, String> {
    let (detached, uri) = words.strip_prefix("-d ").map_or((false, words), |uri| (true, uri.trim()));
    // As people who are used to QEMU type commands.
    let uri = uri.strip_prefix('"').and_then(|uri| uri.strip_suffix('"')).unwrap_or(uri);
    machine.migrate(uri, detached).map(|()| String::new())
}

fn set_parameter(machine: &dyn Control, words: &str) -> Result<String, String> {
    let (name, value) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    let value = value.trim();
    let why = |error: anyhow::Error| format!("migrate_set_parameter {name}: {error:#}");
    match name {
        "max-bandwidth" => machine.limit_migration(Some(values::size(value, 1 << 20).map_err(why)?), None),
        "downtime-limit" => machine.limit_migration(None, Some(values::number(value).map_err(why)?)),
        _ => return Err(format!("unknown parameter '{name}': expected max-bandwidth or downtime-limit")),
    }
    NOTHING
}

fn run(table: &[Command], machine: &dyn Control, line: &str) -> Result<String, String> {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (command, rest) = (find(table, name)?, rest.trim());
    if !rest.is_empty() && command.argument.is_empty() {
        return Err(format!("{name}: takes nothing, found '{rest}'"));
    }
    (command.run)(machine, rest)
}

/// A monitor, for any number of people at once.
#[derive(Clone)]
pub struct Monitor(Arc<dyn Control>);

impl Monitor {
    /// Of this machine.
    pub fn new(machine: Arc<dyn Control>) -> Monitor {
        Monitor(machine)
    }

    /// What a new reader sees first.
    pub fn greeting(&self) -> String {
        format!("Aileron {} monitor - type 'help' for the commands\n{PROMPT}", env!("CARGO_PKG_VERSION"))
    }

    /// Executes a line; what is shown then, the next prompt too.
    pub fn answer(&self, line: &str) -> String {
        let line = line.trim();
        let text = if line.is_empty() { NOTHING } else { run(COMMANDS, &*self.0, line) };
        format!("{}{PROMPT}", text.unwrap_or_else(|why| format!("Error: {why}\n")))
    }

    /// Serves this program's standard input and output, on a thread.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn serve_stdio(self) -> io::Result<()> {
        let work = move || self.serve(io::stdin().lock(), io::stdout());
        std::thread::Builder::new().name("monitor".into()).spawn(work).map(drop)
    }

    /// Serves the clients of a socket at `path`, one after the other, on a thread. With `wait` the first is there when
    /// this returns. A socket that nobody listens at any more is replaced.
    ///
    /// # Errors
    /// When the socket or the thread cannot be had.
    pub fn serve_socket(self, path: &Path, wait: bool) -> io::Result<()> {
        if UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let first = if wait { Some(listener.accept()?.0) } else { None };
        let work = move || {
            for stream in first.into_iter().map(Ok).chain(listener.incoming()) {
                match stream.and_then(|stream| Ok((BufReader::new(stream.try_clone()?), stream))) {
                    Ok((input, output)) => self.serve(input, output),
                    Err(error) => tracing::warn!("monitor: {error}"),
                }
            }
        };
        std::thread::Builder::new().name("monitor".into()).spawn(work).map(drop)
    }

    /// Line by line, until either end is gone.
    fn serve(&self, input: impl io::BufRead, mut output: impl Write) {
        let mut show = |text: &str| output.write_all(text.as_bytes()).and_then(|()| output.flush());
        if show(&self.greeting()).is_err() {
            return;
        }
        for line in input.split(b'\n') {
            let Ok(line) = line else { return };
            let line = &line[..line.len().min(LINE_BYTES_MAX)];
            if show(&self.answer(&String::from_utf8_lossy(line))).is_err() {
                return;
            }
        }
    }
}

/// A line as it is typed on a raw terminal.
#[derive(Debug, Default)]
pub struct LineEditor {
    line: String,
}

impl LineEditor {
    /// Takes a key: what is shown of it, and the line that it ended.
    pub fn key(&mut self, key: u8) -> (String, Option<String>) {
        match key {
            b'\r' | b'\n' => ("\n".into(), Some(std::mem::take(&mut self.line))),
            // Backspace, delete.
            8 | 0x7f => (if self.line.pop().is_some() { "\x08 \x08".into() } else { String::new() }, None),
            // Ctrl-C, Ctrl-U: all of it.
            3 | 0x15 => ("\x08 \x08".repeat(std::mem::take(&mut self.line).len()), None),
            b' '..=b'~' if self.line.len() < LINE_BYTES_MAX => {
                self.line.push(char::from(key));
                (char::from(key).into(), None)
            }
            _ => (String::new(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<&'static str>>, Mutex<bool>);

    impl Recorder {
        fn note(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Control for Recorder {
        fn quit(&self) {
            self.note("quit");
        }
        fn nmi(&self) {
            self.note("nmi");
        }
        fn reset(&self) -> Result<(), String> {
            self.note("reset");
            Err("two machines in lockstep".into())
        }
        fn stop(&self) -> Result<(), String> {
            *self.1.lock().unwrap() = true;
            Ok(())
        }
        fn cont(&self) -> Result<(), String> {
            *self.1.lock().unwrap() = false;
            Ok(())
        }
        fn is_stopped(&self) -> bool {
            *self.1.lock().unwrap()
        }
        fn vcpus(&self) -> Vec<RunState> {
            vec![RunState::Running, RunState::Stopped]
        }
        fn name(&self) -> Option<String> {
            Some("p".into())
        }
        fn save(&self, path: &Path) -> Result<(), String> {
            self.note("save");
            if path == Path::new("a file") { Ok(()) } else { Err(path.display().to_string()) }
        }
        fn migrate(&self, uri: &str, detached: bool) -> Result<(), String> {
            if detached { Ok(()) } else { Err(format!("<{uri}>")) }
        }
        fn cancel_migration(&self) {
            self.note("cancel");
        }
        fn limit_migration(&self, bandwidth: Option<u64>, downtime_ms: Option<u64>) {
            self.note(match (bandwidth, downtime_ms) {
                (Some(0x20_0000), None) => "2 MiB/s",
                (None, Some(30)) => "30 ms",
                _ => "other limits",
            });
        }
        fn migration_limits(&self) -> (u64, u64) {
            (1, 2)
        }
        fn migration(&self) -> String {
            "none".into()
        }
        fn is_handed_over(&self) -> bool {
            false
        }
    }

    #[test]
    fn commands_do_what_they_say() {
        let recorder = Arc::new(Recorder::default());
        let monitor = Monitor::new(recorder.clone());
        let answer = |line: &str| monitor.answer(line).strip_suffix(PROMPT).unwrap().to_owned();
        assert_eq!([answer(""), answer(" nmi \r"), answer("q")], ["", "", ""]);
        assert!(answer("system_reset").contains("lockstep"));
        assert_eq!(*recorder.0.lock().unwrap(), ["nmi", "quit", "reset"]);
        assert_eq!(answer("info status"), "VM status: running\n");
        answer("stop");
        assert_eq!(answer("info  status"), "VM status: paused\n");
        answer("c");
        assert_eq!(answer("info status"), "VM status: running\n");
        assert_eq!(answer("info cpus"), "CPU #0: Running\nCPU #1: Stopped\n");
        assert_eq!(answer("info name"), "p\n");
        assert_eq!(answer("savevm a file"), "");
        recorder.0.lock().unwrap().clear();
        for line in [
            "migrate -d unix:x",
            "migrate_cancel",
            "migrate_set_parameter max-bandwidth 2",
            "migrate_set_parameter downtime-limit 30",
        ] {
            assert_eq!(answer(line), "", "{line}");
        }
        assert_eq!(*recorder.0.lock().unwrap(), ["cancel", "2 MiB/s", "30 ms"]);
        assert!(answer("info migrate_parameters").contains("downtime-limit: 2 ms"));
        assert_eq!(answer("migrate \"exec:cat > x\""), "Error: <exec:cat > x>\n");
        for (line, word) in [
            ("migrate_set_parameter x 1", "'x'"),
            ("savevm", "name of a file"),
            ("savevm x/y", "x/y"),
            ("nmj", "'nmj'"),
            ("info nothing", "'nothing'"),
            ("nmi 1", "'1'"),
            ("help nmj", "'nmj'"),
        ] {
            let said = answer(line);
            assert!(said.starts_with("Error: ") && said.contains(word), "{line}: {said}");
        }
    }

    #[test]
    fn help_lists_every_row_once() {
        let monitor = Monitor::new(Arc::new(Recorder::default()));
        let all = monitor.answer("help");
        assert_eq!(all.lines().count(), COMMANDS.len() + 1);
        assert!(COMMANDS.iter().all(|command| all.contains(command.help)));
        assert!(monitor.answer("? nmi").starts_with("nmi "));
        assert_eq!(monitor.answer("info").lines().count(), INFO.len() + 1);
        let names: Vec<_> = COMMANDS.iter().flat_map(|command| command.names).collect();
        assert!(names.iter().all(|name| names.iter().filter(|other| other == &name).count() == 1));
    }

    #[test]
    fn lines_are_typed_and_mended() {
        let mut editor = LineEditor::default();
        let mut shown = String::new();
        let mut lines = Vec::new();
        for key in b"nmx\x7fi\rab\x15\x08q\n\x1b" {
            let (echo, line) = editor.key(*key);
            shown.push_str(&echo);
            lines.extend(line);
        }
        assert_eq!(lines, ["nmi", "q"]);
        assert_eq!(shown, "nmx\x08 \x08i\nab\x08 \x08\x08 \x08q\n");
    }

    #[test]
    fn a_stream_of_lines() {
        let monitor = Monitor::new(Arc::new(Recorder::default()));
        let mut output = Vec::new();
        monitor.serve(&b"info name\r\n\xff\xfe\n"[..], &mut output);
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text.matches(PROMPT).count(), 3);
        assert!(text.contains("(aileron) p\n(aileron) Error: "), "{text}");
    }
}
