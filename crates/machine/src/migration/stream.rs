//! The stream of a migration: where it goes, and what stands in it.
//!
//! A frame is a byte for its kind, the length of its content as eight bytes, the content, and XXH3 of all that; numbers are
//! little-endian. Who reads allocates as bytes arrive, and not as a length says.

use super::MigrationError;
use memory::PAGE_SIZE;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Begins the content of the first frame; the last bytes are the version.
pub(super) const MAGIC: [u8; 12] = *b"AILERON\x1am\x01\0\0";
/// Pages of a frame at most.
pub(super) const BATCH_PAGES: usize = 64;
/// Longest content of a frame that is not a state.
const FRAME_BYTES_MAX: u64 = 1 << 20;
/// Longest state.
const STATE_BYTES_MAX: u64 = 1 << 36;
/// How long the other side may be silent where it has to answer, and how long it may take nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How often who waits looks whether it is still to wait.
const GLANCE: Duration = Duration::from_millis(50);

/// Where a migration goes to, or comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uri {
    /// `tcp:HOST:PORT`.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `file:PATH`.
    File(PathBuf),
    /// `exec:COMMAND`, for the shell.
    Exec(String),
}

impl FromStr for Uri {
    type Err = MigrationError;

    fn from_str(text: &str) -> Result<Uri, MigrationError> {
        let bad = || MigrationError::Uri(text.into());
        match text.split_once(':').ok_or_else(bad)? {
            (_, "") => Err(bad()),
            ("tcp", place) if place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                // As QEMU has it, no host is any.
                Ok(Uri::Tcp(if place.starts_with(':') { format!("0.0.0.0{place}") } else { place.into() }))
            }
            ("unix", path) => Ok(Uri::Unix(path.into())),
            ("file", path) => Ok(Uri::File(path.into())),
            ("exec", command) => Ok(Uri::Exec(command.into())),
            _ => Err(bad()),
        }
    }
}

/// One end of a stream.
#[derive(Debug)]
pub(super) enum Channel {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Written under the second name; it becomes the last one at the end.
    ToFile(File, PathBuf, PathBuf),
    FromFile(File),
    ToProgram(Child, Option<ChildStdin>),
    FromProgram(Child, ChildStdout),
}

fn host(what: &'static str) -> impl Fn(std::io::Error) -> MigrationError {
    move |source| MigrationError::Io { what, source }
}

impl Channel {
    /// The source's end.
    pub fn connect(uri: &Uri) -> Result<Channel, MigrationError> {
        let failed = host("connecting");
        Ok(match uri {
            Uri::Tcp(place) => Channel::Tcp(TcpStream::connect(place).map_err(failed)?),
            Uri::Unix(path) => Channel::Unix(UnixStream::connect(path).map_err(failed)?),
            Uri::File(path) => {
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(format!(".{}.new", std::process::id()));
                let new = path.with_file_name(name);
                Channel::ToFile(File::create(&new).map_err(failed)?, new, path.clone())
            }
            Uri::Exec(command) => {
                let mut child = Command::new("/bin/sh")
                    .args(["-c", command])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()
                    .map_err(failed)?;
                let stdin = child.stdin.take();
                Channel::ToProgram(child, stdin)
            }
        }
        .with_timeouts())
    }

    /// The destination's end: waits for the source as long as `goes_on`.
    pub fn accept(uri: &Uri, goes_on: &dyn Fn() -> bool) -> Result<Channel, MigrationError> {
        let failed = host("waiting for the source");
        let wait = |accept: &mut dyn FnMut() -> std::io::Result<Channel>| loop {
            match accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock && goes_on() => std::thread::sleep(GLANCE / 10),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(MigrationError::Stopped),
                done => return done.map_err(host("waiting for the source")),
            }
        };
        Ok(match uri {
            Uri::Tcp(place) => {
                let listener = TcpListener::bind(place).map_err(failed)?;
                listener.set_nonblocking(true).map_err(host("waiting for the source"))?;
                wait(&mut || {
                    let (stream, _) = listener.accept()?;
                    stream.set_nonblocking(false)?;
                    Ok(Channel::Tcp(stream))
                })?
            }
            Uri::Unix(path) => {
                if UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                    // Nobody listens there any more. If it stays, bind tells.
                    let _ = std::fs::remove_file(path);
                }
                let listener = UnixListener::bind(path).map_err(failed)?;
                listener.set_nonblocking(true).map_err(host("waiting for the source"))?;
                let channel = wait(&mut || {
                    let (stream, _) = listener.accept()?;
                    stream.set_nonblocking(false)?;
                    Ok(Channel::Unix(stream))
                });
                // One source has come: the name is of no more use.
                let _ = std::fs::remove_file(path);
                channel?
            }
            Uri::File(path) => Channel::FromFile(File::open(path).map_err(failed)?),
            Uri::Exec(command) => {
                let mut child = Command::new("/bin/sh")
                    .args(["-c", command])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .spawn()
                    .map_err(failed)?;
                match child.stdout.take() {
                    Some(stdout) => Channel::FromProgram(child, stdout),
                    None => return Err(MigrationError::Stopped),
                }
            }
        }
        .with_timeouts())
    }

    /// A socket whose other side is silent wakes who reads, and one that takes nothing fails.
    fn with_timeouts(self) -> Channel {
        // A system that refuses them has sockets that wait for ever: no reason not to migrate.
        let _ = match &self {
            Channel::Tcp(stream) => stream
                .set_nodelay(true)
                .and_then(|()| stream.set_read_timeout(Some(GLANCE)))
                .and_then(|()| stream.set_write_timeout(Some(PATIENCE))),
            Channel::Unix(stream) => {
                stream.set_read_timeout(Some(GLANCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            }
            _ => Ok(()),
        };
        self
    }

    /// Whether the other side answers.
    pub fn is_two_way(&self) -> bool {
        matches!(self, Channel::Tcp(_) | Channel::Unix(_))
    }

    /// Sends a frame. Nobody can have read it if that fails.
    pub fn send(&mut self, kind: Kind, content: &[u8]) -> Result<u64, MigrationError> {
        let mut bytes = Vec::with_capacity(content.len() + 17);
        bytes.push(kind as u8);
        bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        let sent = match self {
            Channel::Tcp(stream) => stream.write_all(&bytes),
            Channel::Unix(stream) => stream.write_all(&bytes),
            Channel::ToFile(file, ..) => file.write_all(&bytes),
            Channel::ToProgram(_, Some(stdin)) => stdin.write_all(&bytes),
            _ => Err(ErrorKind::Unsupported.into()),
        };
        sent.map(|()| bytes.len() as u64).map_err(host("sending"))
    }

    /// Fills `bytes`, as long as `goes_on`.
    fn read(&mut self, bytes: &mut [u8], goes_on: &dyn Fn() -> bool) -> Result<(), MigrationError> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &mut bytes[at..];
            let read = match self {
                Channel::Tcp(stream) => stream.read(rest),
                Channel::Unix(stream) => stream.read(rest),
                Channel::FromFile(file) => file.read(rest),
                Channel::FromProgram(_, stdout) => stdout.read(rest),
                _ => Err(ErrorKind::Unsupported.into()),
            };
            match read {
                Ok(0) => return Err(MigrationError::CutOff),
                Ok(count) => at += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if !goes_on() {
                        return Err(MigrationError::Stopped);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(host("receiving")(error)),
            }
        }
        Ok(())
    }

    /// The next frame, as long as `goes_on`.
    pub fn receive(&mut self, goes_on: &dyn Fn() -> bool) -> Result<(Kind, Vec<u8>), MigrationError> {
        let mut head = [0; 9];
        self.read(&mut head, goes_on)?;
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == head[0]).ok_or(MigrationError::NoFrame(head[0]))?;
        let mut length = [0; 8];
        length.copy_from_slice(&head[1..]);
        let length = u64::from_le_bytes(length);
        let most = if matches!(kind, Kind::Check | Kind::State) { STATE_BYTES_MAX } else { FRAME_BYTES_MAX };
        if length > most {
            return Err(MigrationError::LongFrame { kind, length, most });
        }
        let mut content = Vec::new();
        while (content.len() as u64) < length {
            let begin = content.len();
            content.resize(begin + (length - begin as u64).min(FRAME_BYTES_MAX) as usize, 0);
            self.read(&mut content[begin..], goes_on)?;
        }
        let mut sum = [0; 8];
        self.read(&mut sum, goes_on)?;
        let mut expected = Xxh3::new();
        expected.update(&head);
        expected.update(&content);
        if u64::from_le_bytes(sum) != expected.digest() {
            return Err(MigrationError::Damaged(kind));
        }
        Ok((kind, content))
    }

    /// All was sent: a file gets its name. Without it nobody can read it.
    pub fn publish(&mut self) -> Result<(), MigrationError> {
        match self {
            Channel::ToFile(file, new, path) => {
                file.sync_all().and_then(|()| std::fs::rename(new, path)).map_err(host("saving"))
            }
            _ => Ok(()),
        }
    }

    /// Waits for a program's end; whether it did what it was to do.
    pub fn finish(self) -> bool {
        match self {
            Channel::ToProgram(mut child, stdin) => {
                drop(stdin);
                child.wait().is_ok_and(|status| status.success())
            }
            _ => true,
        }
    }

    /// It came to nothing.
    pub fn abandon(self) {
        match self {
            Channel::ToFile(file, new, _) => {
                drop(file);
                // Of no use; and it is not what went wrong.
                let _ = std::fs::remove_file(new);
            }
            Channel::ToProgram(mut child, stdin) => {
                drop(stdin);
                let _ = child.kill().and_then(|()| child.wait());
            }
            Channel::FromProgram(mut child, _) => {
                let _ = child.kill().and_then(|()| child.wait());
            }
            _ => {}
        }
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Source: magic and version, whether it waits for answers.
    Hello = 1,
    /// Source: the state as it was at the beginning, to be checked only.
    Check = 2,
    /// Destination: it may go on here.
    Accept = 3,
    /// Destination: why not.
    Refuse = 4,
    /// Source: pages, each behind its number.
    Pages = 5,
    /// Source: numbers of pages that are zero.
    Zeros = 6,
    /// Source: the state as it is to go on.
    State = 7,
    /// Destination: all is there.
    Ready = 8,
    /// Source: it stays stopped for ever; whether the guest is to stand still at first.
    Commit = 9,
    /// Destination: it is about to let the guest go on.
    Runs = 10,
}

const KINDS: [Kind; 10] = [
    Kind::Hello,
    Kind::Check,
    Kind::Accept,
    Kind::Refuse,
    Kind::Pages,
    Kind::Zeros,
    Kind::State,
    Kind::Ready,
    Kind::Commit,
    Kind::Runs,
];

/// Numbers of eight bytes that a content begins with, and what is behind.
pub(super) fn number(content: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = content.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

/// A page behind its number.
pub(super) fn page(content: &[u8]) -> Option<(u64, &[u8; PAGE_SIZE as usize], &[u8])> {
    let (number, rest) = number(content)?;
    let (page, rest) = rest.split_first_chunk()?;
    Some((number, page, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (a, b) = UnixStream::pair().unwrap();
        (Channel::Unix(a).with_timeouts(), Channel::Unix(b).with_timeouts())
    }

    #[test]
    fn places() {
        let parse = |text: &str| text.parse::<Uri>();
        assert_eq!(parse("tcp:[::1]:4444").unwrap(), Uri::Tcp("[::1]:4444".into()));
        assert_eq!(parse("tcp::4444").unwrap(), Uri::Tcp("0.0.0.0:4444".into()));
        assert_eq!(parse("exec:cat >x:y").unwrap(), Uri::Exec("cat >x:y".into()));
        assert_eq!(parse("file:a b").unwrap(), Uri::File("a b".into()));
        for bad in ["", "tcp", "tcp:", "tcp:host", "tcp:host:x", "rdma:a:1", "unix:"] {
            assert!(parse(bad).unwrap_err().to_string().contains("tcp:HOST:PORT"), "{bad}");
        }
    }

    #[test]
    fn frames_arrive_or_are_refused() {
        let (mut a, mut b) = pair();
        a.send(Kind::State, &[7; 3000]).unwrap();
        assert_eq!(b.receive(&|| true).unwrap(), (Kind::State, vec![7; 3000]));
        let raw = |bytes: &[u8]| {
            let (a, mut b) = pair();
            let Channel::Unix(mut a) = a else { unreachable!() };
            a.write_all(bytes).unwrap();
            drop(a);
            b.receive(&|| true).unwrap_err().to_string()
        };
        let long = [&[Kind::Pages as u8][..], &u64::MAX.to_le_bytes()].concat();
        let damaged = [&[Kind::Ready as u8][..], &[0; 16]].concat();
        for (bytes, word) in
            [(&[99u8; 9][..], "0x63"), (&long, "Pages"), (&damaged, "damaged"), (&damaged[..12], "cut off")]
        {
            let said = raw(bytes);
            assert!(said.contains(word), "{said}");
        }
        // Silence ends when nobody wants to wait any more.
        assert!(matches!(a.receive(&|| false), Err(MigrationError::Stopped)));
    }
}
