//! Sinks that write files: entry by entry during the run, and completed however it
//! ends.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::events::EventSink;

/// A sink that writes a file.
pub trait Recording: EventSink {
    /// Completes the file. Later events are ignored.
    ///
    /// # Errors
    /// The first error of all writes.
    fn finish(&self) -> io::Result<()>;
}

/// The destination of a recording.
pub(crate) type Output = Box<dyn Write + Send>;

/// Creates an empty file, or truncates an existing one.
pub(crate) fn create(path: &Path) -> io::Result<Output> {
    Ok(Box::new(BufWriter::new(File::create(path)?)))
}

/// A list of JSON values, each written immediately. After a failed write nothing
/// more is written, and [`Entries::end`] returns the error.
pub(super) struct Entries {
    out: Output,
    outcome: io::Result<()>,
    is_empty: bool,
}

impl Entries {
    /// Writes `head`, which opens the list.
    pub(super) fn begin(mut out: Output, head: &str) -> Self {
        Self {
            outcome: out.write_all(head.as_bytes()),
            out,
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
        self.is_empty = false;
        self.out.write_all(comma)?;
        serde_json::to_writer(&mut self.out, entry).map_err(io::Error::from)
    }

    /// Writes `tail`, which closes the list.
    pub(super) fn end(mut self, tail: &str) -> io::Result<()> {
        self.outcome?;
        self.out.write_all(b"\n")?;
        self.out.write_all(tail.as_bytes())?;
        self.out.flush()
    }
}

/// A destination for tests.
#[cfg(test)]
pub(super) mod testing {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::Output;

    #[derive(Clone, Default)]
    pub(in crate::report) struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        pub(in crate::report) fn output(&self) -> Output {
            Box::new(self.clone())
        }

        pub(in crate::report) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full disk.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failed_write_is_returned_at_the_end() {
        let mut entries = Entries::begin(Box::new(Full), "[");
        entries.push(&1);
        let error = entries.end("]").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
