//! Reads `multipart/form-data` while it arrives.

use std::error::Error;
use std::io;
use std::mem;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_util::stream::{self, Stream};
use multer::bytes::Bytes;
use multer::{Field, Multipart, parse_boundary};

use crate::world::{Bits, BitsWriter};

/// The only field with text. All other fields contain bits.
const TEXT_FIELD: &str = "resources";

/// The maximum size of the text, in bytes.
const MAX_TEXT: usize = 32 * 1024 * 1024;

/// The number of bytes that are written at once.
const BATCH: usize = 1024 * 1024;

/// The parts of a form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    parts: Vec<Part>,
}

/// A request whose body is not a form.
pub(crate) static NO_FORM: Form = Form { parts: Vec::new() };

/// A part of a form.
#[derive(Debug)]
struct Part {
    name: String,
    file_name: Option<String>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(Vec<u8>),
    Bits(Bits),
}

/// The thread that hashes and writes bits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HashingThread {
    /// The thread that reads the form.
    Current,
    /// Another thread, so that this thread can handle other requests.
    Pool,
}

/// The reason why a form could not be read completely.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    /// The body was incomplete or too large.
    #[error("the body is incomplete or too large")]
    Body,
    #[error("cannot write the upload to a temporary file")]
    Disk(#[source] io::Error),
}

impl Form {
    /// The text of the first field with this name.
    pub(crate) fn text(&self, name: &str) -> Option<&[u8]> {
        match &self.part(name)?.content {
            Content::Text(text) => Some(text),
            Content::Bits(_) => None,
        }
    }

    /// The bits of the first field with this name.
    pub(crate) fn bits(&self, name: &str) -> Option<&Bits> {
        match &self.part(name)?.content {
            Content::Bits(bits) => Some(bits),
            Content::Text(_) => None,
        }
    }

    /// The bits of the first field with this name, and the file's name, if the field is a
    /// file.
    pub(crate) fn file(&self, name: &str) -> Option<(&str, &Bits)> {
        let file_name = self.part(name)?.file_name.as_deref()?;
        Some((file_name, self.bits(name)?))
    }

    /// The error for parts with other names. The web server in front of the Cloud
    /// Controller replaces a file with a field that contains its path.
    pub(crate) fn unknown_fields(&self, known: &[&str]) -> Option<String> {
        let parts = self.parts.iter();
        let others = parts.filter(|part| !known.contains(&part.name.as_str()));
        let names: Vec<String> = others
            .map(|part| match part.file_name {
                Some(_) => format!("'{}_path'", part.name),
                None => format!("'{}'", part.name),
            })
            .collect();
        (!names.is_empty()).then(|| format!("Unknown field(s): {}", names.join(", ")))
    }

    fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Whether the content type is that of a form.
    pub(crate) fn is_type(content_type: &str) -> bool {
        parse_boundary(content_type).is_ok()
    }

    /// Reads a form. A malformed form has no parts.
    pub(crate) async fn read<S, E>(
        content_type: &str,
        body: S,
        worker: HashingThread,
    ) -> Result<Self, FormError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let Ok(boundary) = parse_boundary(content_type) else {
            return Ok(Self::default());
        };
        let mut form = Multipart::new(one_at_a_time(body), boundary);
        let mut parts = Vec::new();
        loop {
            let next = match form.next_field().await {
                Ok(Some(field)) => read_part(field, worker).await,
                Ok(None) => return Ok(Self { parts }),
                Err(error) => Err(error.into()),
            };
            match next {
                Ok(part) => parts.push(part),
                Err(PartError::Malformed) => return Ok(Self::default()),
                Err(PartError::Form(error)) => return Err(error),
            }
        }
    }

    /// Reads a form that is in memory.
    pub(crate) fn of_bytes(content_type: &str, body: &[u8]) -> Result<Self, FormError> {
        const PIECE: usize = 64 * 1024;
        let pieces = body.chunks(PIECE).map(Bytes::copy_from_slice);
        let pieces = stream::iter(pieces.map(Ok::<_, io::Error>));
        let mut reading = pin!(Self::read(content_type, pieces, HashingThread::Current));
        // The future never waits.
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(form) = reading.as_mut().poll(&mut context) {
                return form;
            }
        }
    }
}

/// The reason why a part could not be read completely.
enum PartError {
    Malformed,
    Form(FormError),
}

impl From<multer::Error> for PartError {
    fn from(error: multer::Error) -> Self {
        match error {
            multer::Error::StreamReadFailed(_) => Self::Form(FormError::Body),
            _ => Self::Malformed,
        }
    }
}

impl From<io::Error> for PartError {
    fn from(error: io::Error) -> Self {
        Self::Form(FormError::Disk(error))
    }
}

async fn read_part(mut field: Field<'_>, worker: HashingThread) -> Result<Part, PartError> {
    let name = field.name().ok_or(PartError::Malformed)?.to_owned();
    let file_name = field.file_name().map(str::to_owned);
    let content = if name == TEXT_FIELD {
        Content::Text(read_text(&mut field).await?)
    } else {
        Content::Bits(read_bits(&mut field, worker).await?)
    };
    Ok(Part {
        name,
        file_name,
        content,
    })
}

async fn read_text(field: &mut Field<'_>) -> Result<Vec<u8>, PartError> {
    let mut text = Vec::new();
    while let Some(piece) = field.chunk().await? {
        if text.len() + piece.len() > MAX_TEXT {
            return Err(PartError::Malformed);
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

async fn read_bits(field: &mut Field<'_>, worker: HashingThread) -> Result<Bits, PartError> {
    let mut writer = BitsWriter::new();
    let mut batch = Vec::new();
    let mut is_whole = false;
    while !is_whole {
        match field.chunk().await? {
            Some(piece) => batch.extend_from_slice(&piece),
            None => is_whole = true,
        }
        if batch.len() < BATCH && !is_whole {
            continue;
        }
        (writer, batch) = worker
            .run(move || {
                writer.write(&batch)?;
                batch.clear();
                Ok((writer, batch))
            })
            .await?;
    }
    Ok(worker.run(move || writer.finish()).await?)
}

impl HashingThread {
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Self::Current => work(),
            Self::Pool => tokio::task::spawn_blocking(work)
                .await
                .map_err(io::Error::other)?,
        }
    }
}

/// Returns a stream that waits after each piece. multer reads a stream until the stream
/// is pending. If multer had to wait for the first piece and the stream ends right after
/// it, multer overlooks that piece.
fn one_at_a_time<T>(pieces: impl Stream<Item = T> + Send) -> impl Stream<Item = T> + Send {
    let mut pieces = Box::pin(pieces);
    let mut had_piece = false;
    stream::poll_fn(move |context| {
        if mem::take(&mut had_piece) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = pieces.as_mut().poll_next(context);
        had_piece = matches!(next, Poll::Ready(Some(_)));
        next
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"b\"";

    fn read(body: &[u8]) -> Form {
        Form::of_bytes(TYPE, body).unwrap()
    }

    #[test]
    fn parts_have_names_and_any_bytes() {
        let form = read(
            b"preamble\r\n--b\r\nContent-Disposition: form-data; name=\"resources\"\r\n\r\n[]\r\n\
              --b\r\ncontent-disposition: form-data; name=\"bits\"; filename=\"a.zip\"\r\n\
              Content-Type: application/zip\r\n\r\nPK\r\n\0--\r\n--b--\r\n",
        );
        assert_eq!(form.text("resources"), Some(&b"[]"[..]));
        let (name, bits) = form.file("bits").unwrap();
        assert_eq!((name, bits.head.as_slice()), ("a.zip", &b"PK\r\n\0--"[..]));
        assert!(form.text("bits").is_none() && form.bits("other").is_none());
    }

    #[test]
    fn a_part_without_a_file_name_has_bits_but_is_not_a_file() {
        let form =
            read(b"--b\r\nContent-Disposition: form-data; name=\"bits\"\r\n\r\nx\r\n--b--\r\n");
        assert_eq!(form.bits("bits").unwrap().size, 1);
        assert!(form.file("bits").is_none());
    }

    #[test]
    fn parts_with_other_names_are_unknown() {
        let form = read(
            b"--b\r\nContent-Disposition: form-data; name=\"bits\"\r\n\r\nx\r\n\
              --b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nx\r\n\
              --b\r\nContent-Disposition: form-data; name=\"zz\"; filename=\"z\"\r\n\r\nx\r\n\
              --b--\r\n",
        );
        let unknown = form.unknown_fields(&["bits"]);
        assert_eq!(unknown.unwrap(), "Unknown field(s): 'text', 'zz_path'");
        assert_eq!(form.unknown_fields(&["bits", "text", "zz"]), None);
    }

    #[test]
    fn garbage_has_no_parts() {
        let bodies: [&[u8]; 6] = [
            b"",
            b"--b",
            b"--b--",
            b"--b\r\n\r\n--b--",
            b"--b\r\nname=bits\r\n\r\nx\r\n",
            b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
        ];
        for body in bodies {
            for kind in [
                TYPE,
                "application/json",
                "multipart/form-data; boundary=",
                "",
            ] {
                let form = Form::of_bytes(kind, body).unwrap();
                assert!(form.parts.is_empty(), "{kind} {body:?}");
            }
        }
    }

    #[test]
    fn a_boundary_across_pieces_is_found() {
        let mut body = b"--b\r\nContent-Disposition: form-data; name=\"bits\"\r\n\r\n".to_vec();
        let start = body.len();
        // The part ends near the end of the second piece.
        body.resize(128 * 1024 - 3, b'\r');
        let size = (body.len() - start) as u64;
        body.extend_from_slice(b"\r\n--b--\r\n");
        assert_eq!(read(&body).bits("bits").unwrap().size, size);
    }
}
