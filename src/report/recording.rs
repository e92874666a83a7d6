//! Sinks that write files. A file is complete after each write, so it can be used even if
//! the process is killed.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::events::EventSink;

/// The time that the reader of a pipe has to read the remaining text.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A sink that writes a file.
pub trait Recording: EventSink {
    /// Completes the file. Later events are ignored. If the file is a pipe, waits some
    /// seconds for its reader.
    ///
    /// # Errors
    ///
    /// The first error of all writes.
    fn finish(&self) -> io::Result<()>;
}

/// The destination of a recording.
pub(crate) trait Output: Send {
    /// Appends text, followed by a tail that the next text overwrites.
    fn append(&mut self, text: &[u8], tail: &[u8]) -> io::Result<()>;

    /// Replaces the whole content with another text.
    fn replace(&mut self, text: Vec<u8>) -> io::Result<()>;

    /// Waits until all text is written.
    fn finish(&mut self) -> io::Result<()>;
}

/// Opens a file and truncates it. Opening a pipe blocks until it has a reader.
pub(crate) fn create(path: &Path) -> io::Result<Box<dyn Output>> {
    let file = File::create(path)?;
    Ok(match file.metadata()?.is_file() {
        true => Box::new(RegularFile { file, end: 0 }),
        false => Box::new(Stream::start(file)?),
    })
}

/// A file on a disk.
struct RegularFile {
    file: File,
    /// The end of the text, where its tail begins.
    end: u64,
}

impl Output for RegularFile {
    fn append(&mut self, text: &[u8], tail: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        // A single write, so that the file is never without its tail.
        self.file.write_all(&[text, tail].concat())?;
        self.end += text.len() as u64;
        Ok(())
    }

    fn replace(&mut self, text: Vec<u8>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&text)?;
        self.file.set_len(text.len() as u64)?;
        self.end = text.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe or a device, which may block, so a dedicated thread writes to it.
struct Stream {
    /// `None` after the end.
    texts: Option<Sender<Vec<u8>>>,
    written: Receiver<io::Result<()>>,
    /// Written text cannot be changed, so replacements are written at the end.
    replacement: Vec<u8>,
}

impl Stream {
    fn start(mut file: File) -> io::Result<Self> {
        let (texts, to_write) = mpsc::channel::<Vec<u8>>();
        let (done, written) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            let outcome = to_write.iter().try_for_each(|text| file.write_all(&text));
            // The run may have ended without waiting.
            let _ = done.send(outcome);
        })?;
        Ok(Self {
            texts: Some(texts),
            written,
            replacement: Vec::new(),
        })
    }

    fn send(&self, text: Vec<u8>) {
        if let Some(texts) = &self.texts {
            // The thread ends at the first error, which `finish` returns.
            let _ = texts.send(text);
        }
    }
}

impl Output for Stream {
    fn append(&mut self, text: &[u8], _: &[u8]) -> io::Result<()> {
        self.send(text.to_owned());
        Ok(())
    }

    fn replace(&mut self, text: Vec<u8>) -> io::Result<()> {
        self.replacement = text;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let last = std::mem::take(&mut self.replacement);
        self.send(last);
        self.texts = None;
        self.written.recv_timeout(READ_TIMEOUT).unwrap_or_else(|_| {
            let message = "the reader of the pipe does not read";
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })
    }
}

/// A list of JSON values, each written immediately. After a failed write, nothing more is
/// written, and [`Entries::end`] returns the error.
pub(super) struct Entries {
    out: Box<dyn Output>,
    outcome: io::Result<()>,
    /// The text that closes the list.
    tail: &'static [u8],
    is_empty: bool,
}

impl Entries {
    /// Writes `head`, which opens the list, and `tail`, which closes it.
    pub(super) fn begin(mut out: Box<dyn Output>, head: &str, tail: &'static str) -> Self {
        let tail = tail.as_bytes();
        Self {
            outcome: out.append(head.as_bytes(), tail),
            out,
            tail,
            is_empty: true,
        }
    }

    pub(super) fn push(&mut self, entry: &impl Serialize) {
        if self.outcome.is_ok() {
            self.outcome = self.write(entry);
        }
    }

    fn write(&mut self, entry: &impl Serialize) -> io::Result<()> {
        let comma: &[u8] = if self.is_empty { b"\n" } else { b",\n" };
        let mut text = comma.to_vec();
        serde_json::to_writer(&mut text, entry)?;
        self.is_empty = false;
        self.out.append(&text, self.tail)
    }

    /// Closes the list.
    pub(super) fn end(mut self) -> io::Result<()> {
        let outcome = self.outcome;
        let outcome = outcome.and_then(|()| self.out.append(self.tail, b""));
        // The error of a stream is only known at its end.
        self.out.finish().and(outcome)
    }
}

/// A destination for tests.
#[cfg(test)]
pub(super) mod testing {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::Output;

    #[derive(Clone, Default)]
    pub(in crate::report) struct Buffer(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

    impl Buffer {
        pub(in crate::report) fn output(&self) -> Box<dyn Output> {
            Box::new(self.clone())
        }

        /// The text with its tail.
        pub(in crate::report) fn text(&self) -> String {
            let (text, tail) = &*self.0.lock().unwrap();
            String::from_utf8([text.as_slice(), tail].concat()).unwrap()
        }
    }

    impl Output for Buffer {
        fn append(&mut self, text: &[u8], tail: &[u8]) -> io::Result<()> {
            let mut written = self.0.lock().unwrap();
            written.0.extend(text);
            written.1 = tail.to_owned();
            Ok(())
        }

        fn replace(&mut self, text: Vec<u8>) -> io::Result<()> {
            *self.0.lock().unwrap() = (text, Vec::new());
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A full disk.
    struct FullDisk;

    impl Output for FullDisk {
        fn append(&mut self, _: &[u8], _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn replace(&mut self, _: Vec<u8>) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failed_write_is_returned_at_the_end() {
        let mut entries = Entries::begin(Box::new(FullDisk), "[", "]");
        entries.push(&1);
        let error = entries.end().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_is_valid_after_each_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "an older and longer file, which is truncated").unwrap();
        let read = || -> Value { serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap() };
        let mut entries = Entries::begin(create(&path).unwrap(), r#"{"entries":["#, "\n]}\n");
        assert_eq!(read(), json!({"entries": []}));
        for count in 1..=3 {
            entries.push(&json!({"text": "a"}));
            assert_eq!(read()["entries"].as_array().unwrap().len(), count);
        }
        entries.end().unwrap();
        assert_eq!(read()["entries"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_file_can_be_replaced_by_a_shorter_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut output = create(&path).unwrap();
        output.replace(b"longer".to_vec()).unwrap();
        output.replace(b"short".to_vec()).unwrap();
        output.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }
}
