//! Reads text files of limited size, in the encodings that YAML allows.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The maximum size of a file, in bytes.
const MAX_BYTES: u64 = 10 * 1024 * 1024;

/// Reads a file of at most 10 MiB: UTF-8, or UTF-16 with a byte order mark.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    read_from(File::open(path)?)
}

/// Reads a text from a stream, with the same limits.
pub(crate) fn read_from(stream: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(invalid("larger than 10 MiB"));
    }
    decode(bytes)
}

fn decode(bytes: Vec<u8>) -> io::Result<String> {
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..valid).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            invalid(format!("line {line}: neither UTF-8 nor UTF-16"))
        }),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> io::Result<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(invalid("invalid UTF-16")),
    }
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_needs_a_byte_order_mark() {
        let text = "name: ä𝄞";
        let units = || text.encode_utf16();
        let little: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(units().flat_map(u16::to_le_bytes))
            .collect();
        let big: Vec<u8> = [0xfe, 0xff]
            .into_iter()
            .chain(units().flat_map(u16::to_be_bytes))
            .collect();
        assert_eq!(decode(little.clone()).unwrap(), text);
        assert_eq!(decode(big).unwrap(), text);
        assert_eq!(decode(text.as_bytes().to_vec()).unwrap(), text);
        let cut = little[..little.len() - 1].to_vec();
        assert_eq!(decode(cut).unwrap_err().to_string(), "invalid UTF-16");
        assert!(
            decode(vec![0xff, 0xfe, 0x00, 0xd8]).is_err(),
            "half a character"
        );
    }

    #[test]
    fn an_error_names_the_line() {
        let error = decode(b"a: 1\nb: \xff\n".to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "line 2: neither UTF-8 nor UTF-16");
    }

    #[test]
    fn a_file_above_the_limit_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(
            read(file.path()).unwrap_err().to_string(),
            "larger than 10 MiB"
        );
    }
}
