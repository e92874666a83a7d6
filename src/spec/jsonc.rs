//! JSON with comments (`//` to the end of the line, and `/* */`) and trailing commas,
//! which many editors and tools accept.

use std::borrow::Cow;

/// Converts a text to plain JSON. Comments and trailing commas become spaces, so that
/// lines and columns do not change.
///
/// A comment that does not end is kept, and a JSON parser rejects it.
pub(super) fn to_json(text: &str) -> Cow<'_, str> {
    let mut bytes = text.as_bytes().to_vec();
    let mut is_changed = false;
    // The last comma, if only spaces and comments follow it.
    let mut comma = None;
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', _) => {
                at = end_of_string(&bytes, at);
                comma = None;
                continue;
            }
            (b'/', Some(b'/' | b'*')) => {
                let Some(end) = end_of_comment(&bytes, at) else {
                    break;
                };
                blank(&mut bytes[at..end]);
                is_changed = true;
                at = end;
                continue;
            }
            (b',', _) => comma = Some(at),
            (b'}' | b']', _) => {
                if let Some(comma) = comma.take() {
                    bytes[comma] = b' ';
                    is_changed = true;
                }
            }
            (byte, _) if byte.is_ascii_whitespace() => {}
            _ => comma = None,
        }
        at += 1;
    }
    match is_changed {
        true => String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned),
        false => Cow::Borrowed(text),
    }
}

/// The position after a string that begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The position after a comment that begins at `at`. `None` if it does not end.
fn end_of_comment(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at + 2..];
    match bytes[at + 1] {
        b'/' => {
            let line = rest.iter().position(|byte| *byte == b'\n');
            Some(line.map_or(bytes.len(), |length| at + 2 + length))
        }
        _ => {
            let length = rest.windows(2).position(|it| it == b"*/")?;
            Some(at + 2 + length + 2)
        }
    }
}

/// Replaces everything except line breaks with spaces.
fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|it| !matches!(it, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain(r#"{"a": 1}"#, r#"{"a": 1}"#)]
    #[case::line("{// a, b\n\"a\": 1}", "{       \n\"a\": 1}")]
    #[case::line_at_the_end("{} // ä", "{}      ")]
    #[case::block("{/* a\n, */\"a\": 1}", "{    \n    \"a\": 1}")]
    #[case::not_in_a_string(r#"{"a": "// \" /* , }"}"#, r#"{"a": "// \" /* , }"}"#)]
    #[case::last_comma("[1, // x\n]", "[1      \n]")]
    #[case::only_the_last_comma("[1,,]", "[1, ]")]
    #[case::a_comma_before_a_string(r#"[1, "]"]"#, r#"[1, "]"]"#)]
    #[case::an_endless_comment("{} /* ", "{} /* ")]
    #[case::an_endless_string("\"\\", "\"\\")]
    fn comments_and_trailing_commas_become_spaces(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(to_json(text), expected);
    }

    proptest::proptest! {
        #[test]
        fn json_without_comments_is_not_changed(value: f64, text: String) {
            let json = serde_json::json!({"a": [value, text], "b": {}}).to_string();
            assert_eq!(to_json(&json), json);
        }

        #[test]
        fn no_text_panics(text in "([{}\\[\\],\"/*\\\\ \n]|ä)*") {
            assert_eq!(to_json(&text).len(), text.len());
        }
    }
}
