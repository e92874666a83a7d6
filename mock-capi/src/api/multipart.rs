//! Reading `multipart/form-data`, as much of it as uploads need.

/// A part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'b> {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content: &'b [u8],
}

/// The parts of a form; what is not well-formed has none.
pub(crate) fn parts<'b>(content_type: &str, body: &'b [u8]) -> Vec<Part<'b>> {
    let Some(boundary) = parameter(content_type, "boundary").filter(|b| !b.is_empty()) else {
        return Vec::new();
    };
    let delimiter = format!("--{boundary}").into_bytes();
    let mut parts = Vec::new();
    let Some(mut rest) = after(body, &delimiter) else {
        return parts;
    };
    let between = [b"\r\n".as_slice(), &delimiter].concat();
    while let Some(start) = rest.strip_prefix(b"\r\n") {
        let Some(end) = position(start, &between) else {
            break;
        };
        parts.extend(read_part(&start[..end]));
        rest = &start[end + between.len()..];
    }
    parts
}

fn read_part(part: &[u8]) -> Option<Part<'_>> {
    let end = position(part, b"\r\n\r\n")?;
    let headers = String::from_utf8_lossy(&part[..end]);
    let disposition = headers.lines().find(|line| {
        let name = line.split(':').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("content-disposition")
    })?;
    Some(Part {
        name: parameter(disposition, "name")?,
        file_name: parameter(disposition, "filename"),
        content: &part[end + 4..],
    })
}

/// `boundary` of `multipart/form-data; boundary="x"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let found = key.trim().eq_ignore_ascii_case(name);
        found.then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn after<'b>(bytes: &'b [u8], needle: &[u8]) -> Option<&'b [u8]> {
    position(bytes, needle).map(|at| &bytes[at + needle.len()..])
}

/// Where `needle` first is. Candidates are found by their first byte, so that
/// large uploads are read at the speed of memory.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    let mut from = 0;
    while let Some(offset) = bytes[from..].iter().position(|byte| byte == first) {
        let at = from + offset;
        if bytes[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"b\"";

    #[test]
    fn parts_have_names_and_any_bytes() {
        let body = b"preamble\r\n--b\r\nContent-Disposition: form-data; name=\"resources\"\r\n\r\n[]\r\n--b\r\ncontent-disposition: form-data; name=\"bits\"; filename=\"a.zip\"\r\nContent-Type: application/zip\r\n\r\nPK\r\n\0--\r\n--b--\r\n";
        assert_eq!(
            parts(TYPE, body),
            [
                Part {
                    name: "resources".into(),
                    file_name: None,
                    content: b"[]"
                },
                Part {
                    name: "bits".into(),
                    file_name: Some("a.zip".into()),
                    content: b"PK\r\n\0--"
                },
            ]
        );
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
            assert_eq!(parts(TYPE, body), [], "{body:?}");
            assert_eq!(parts("application/json", body), []);
            assert_eq!(parts("multipart/form-data; boundary=", body), []);
        }
    }
}
