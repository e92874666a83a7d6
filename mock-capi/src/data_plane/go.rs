//! Responses as the standard library of Go writes them.

use serde::Serialize;

use super::Reply;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// JSON as `json.Encoder` writes it.
pub(super) fn json(status: u16, body: &impl Serialize) -> Reply {
    let json = serde_json::to_string(body).unwrap_or_default();
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text.push('\n');
    Reply::new(status, text).with_header("Content-Type", "application/json")
}

/// Text whose content type Go detects.
pub(super) fn text(text: impl Into<String>) -> Reply {
    Reply::new(200, text.into()).with_header("Content-Type", TEXT)
}

/// The response of `http.Error`.
pub(super) fn error(status: u16, message: &str) -> Reply {
    Reply::new(status, format!("{message}\n"))
        .with_header("Content-Type", TEXT)
        .with_header("X-Content-Type-Options", "nosniff")
}

/// The response of `http.NotFound`.
pub(super) fn not_found() -> Reply {
    error(404, "404 page not found")
}

#[cfg(test)]
mod tests {
    use super::super::ReplyBody;
    use super::*;

    #[test]
    fn json_is_escaped_for_html() {
        let ReplyBody::Bytes(body) = json(200, &"a<b>&\u{2028}é").body else {
            panic!("bytes");
        };
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "\"a\\u003cb\\u003e\\u0026\\u2028é\"\n"
        );
    }
}
