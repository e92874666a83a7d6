//! Reads the files of bits on several threads.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::archive::{self, Archive};
use super::error::Reason;
use super::{Entry, Source};

/// The size of a read, in bytes.
const PIECE: usize = 64 * 1024;

/// The maximum number of threads. More threads would wait for the disk and use memory.
const MAX_THREADS: usize = 4;

/// Reads files one after the other.
pub(super) struct Contents {
    source: BitsSource,
    piece: Vec<u8>,
}

enum BitsSource {
    Folder(PathBuf),
    Archive(Box<Archive>),
}

impl Contents {
    pub(super) fn open(source: &Source) -> Result<Self, Reason> {
        let source = match source {
            Source::Folder(root) => BitsSource::Folder(root.clone()),
            Source::Archive(file) => BitsSource::Archive(Box::new(archive::open(file)?)),
        };
        Ok(Self {
            source,
            piece: vec![0; PIECE],
        })
    }

    /// Reads a file in pieces.
    pub(super) fn read(
        &mut self,
        entry: &Entry,
        pass_on: &mut dyn FnMut(&[u8]) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        match &mut self.source {
            BitsSource::Folder(root) => {
                let failed = || Reason::io(&entry.name);
                let file = File::open(root.join(&entry.name)).map_err(failed())?;
                // A file that grows faster than it is read would have no end.
                let size = file.metadata().map_err(failed())?.len();
                copy(file, size, entry, &mut self.piece, pass_on).map_err(|reason| match reason {
                    Reason::LargerThanSaid(name) => Reason::Changed(name),
                    reason => reason,
                })
            }
            BitsSource::Archive(archive) => {
                let file = archive.by_index(entry.index);
                let file = file.map_err(|error| Reason::Entry {
                    name: entry.name.clone(),
                    error,
                })?;
                let size = file.size();
                copy(file, size, entry, &mut self.piece, pass_on)
            }
        }
    }
}

/// Reads a file of at most `size` bytes.
fn copy(
    mut file: impl Read,
    size: u64,
    entry: &Entry,
    piece: &mut [u8],
    pass_on: &mut dyn FnMut(&[u8]) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut total = 0_u64;
    loop {
        match file.read(piece) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                total = total.saturating_add(read as u64);
                if total > size {
                    return Err(Reason::LargerThanSaid(entry.name.clone()));
                }
                pass_on(piece.get(..read).unwrap_or_default())?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Reason::io(&entry.name)(error)),
        }
    }
}

/// Runs `work` on each entry, with one thread per processor, and delivers the results in
/// order. The entries are assigned to the threads in turn, and each thread is at most
/// `ahead` results ahead, which limits memory use.
pub(super) fn in_order<T: Send>(
    source: &Source,
    entries: &[&Entry],
    ahead: usize,
    work: impl Fn(&mut Contents, &Entry) -> Result<T, Reason> + Sync,
    mut pass_on: impl FnMut(&Entry, T) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(MAX_THREADS).min(entries.len());
    thread::scope(|scope| {
        let work = &work;
        let made: Vec<Receiver<Result<T, Reason>>> = (0..threads)
            .map(|first| {
                let (sender, receiver) = sync_channel(ahead);
                let own = entries.iter().skip(first).step_by(threads);
                scope.spawn(move || read_entries(source, own, &sender, work));
                receiver
            })
            .collect();
        let made = made.iter().cycle();
        for (entry, made) in entries.iter().zip(made) {
            let made = made.recv().map_err(|_| Reason::Thread)?;
            pass_on(entry, made?)?;
        }
        Ok(())
    })
}

/// Stops at the first failure, or when the receiver is dropped.
fn read_entries<'e, T>(
    source: &Source,
    entries: impl Iterator<Item = &'e &'e Entry>,
    made: &SyncSender<Result<T, Reason>>,
    work: impl Fn(&mut Contents, &Entry) -> Result<T, Reason>,
) {
    let mut contents = match Contents::open(source) {
        Ok(contents) => contents,
        Err(reason) => {
            let _ = made.send(Err(reason));
            return;
        }
    };
    for entry in entries {
        let result = work(&mut contents, entry);
        let failed = result.is_err();
        if made.send(result).is_err() || failed {
            return;
        }
    }
}
