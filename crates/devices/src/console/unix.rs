//! A Unix-domain socket that listens: one client at a time sits at the guest's terminal.

use super::{ConsoleError, QueuedConsole};
use crate::lock;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// A console that listens at `path`. While no client is there, output goes nowhere. With `wait`, this returns when the
/// first client is there.
///
/// A socket at `path` that nobody listens at any more is replaced.
///
/// # Errors
/// When the socket cannot be made, or somebody listens there.
pub fn open_unix_server(path: &Path, wait: bool) -> Result<Arc<QueuedConsole>, ConsoleError> {
    let error = |source| ConsoleError::new(format!("unix:{}", path.display()), source);
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        std::fs::remove_file(path).map_err(error)?;
    }
    let listener = UnixListener::bind(path).map_err(error)?;
    let console = QueuedConsole::new();
    let client = Client::default();
    console.start_writer(client.clone()).map_err(error)?;
    let first = if wait { Some(listener.accept().map_err(error)?.0) } else { None };
    let feeding = console.clone();
    thread::Builder::new()
        .name("console-accept".into())
        .spawn(move || {
            if let Some(first) = first {
                serve(&feeding, &client, first);
            }
            for stream in listener.incoming() {
                match stream {
                    Ok(stream) => serve(&feeding, &client, stream),
                    Err(error) => {
                        tracing::warn!("console socket: {error}");
                        thread::sleep(std::time::Duration::from_millis(100));
                    }
                }
            }
        })
        .map_err(error)?;
    Ok(console)
}

/// The client that is there, as the writer sees it.
#[derive(Clone, Default)]
struct Client(Arc<Mutex<Option<Arc<UnixStream>>>>);

/// Feeds what `stream` sends until it ends.
fn serve(console: &QueuedConsole, client: &Client, stream: UnixStream) {
    let stream = Arc::new(stream);
    *lock(&client.0) = Some(stream.clone());
    let mut buffer = [0; 4096];
    loop {
        match (&*stream).read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => console.feed(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    *lock(&client.0) = None;
}

impl Write for Client {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let stream = lock(&self.0).clone();
        match stream.map(|stream| (&*stream).write(data)) {
            Some(Ok(count)) if count != 0 => Ok(count),
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // Nobody there, or gone: that is no error of this console.
            _ => Ok(data.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::Console;
    use std::time::Duration;

    #[test]
    fn clients_come_and_go() {
        let path = std::env::temp_dir().join(format!("aileron-socket-test-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        // A socket that is left over.
        drop(UnixListener::bind(&path).unwrap());
        let console = open_unix_server(&path, false).unwrap();
        assert!(open_unix_server(&path, false).unwrap_err().to_string().contains("unix:"));
        console.write(b"unheard");
        console.flush();
        for round in 0..2 {
            let mut client = UnixStream::connect(&path).unwrap();
            client.write_all(b"hi\n").unwrap();
            let mut line: Vec<u8> = vec![];
            while line.len() < 3 {
                let mut buffer = [0; 16];
                let count = console.read(&mut buffer);
                line.extend(&buffer[..count]);
                thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(line, b"hi\n", "{round}");
            console.write(b"# ");
            let mut prompt = [0; 2];
            client.read_exact(&mut prompt).unwrap();
            assert_eq!(&prompt, b"# ");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"a file").unwrap();
        assert!(open_unix_server(&path, false).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
