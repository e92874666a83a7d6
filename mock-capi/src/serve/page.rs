//! The page at `/_mock/`: markup, style and script in one response, which loads nothing
//! else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::api::http::Response;

const MARKUP: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page, with a policy that allows only its own style and script.
pub(crate) fn answer() -> Response {
    let page = MARKUP
        .replace("<style></style>", &format!("<style>{STYLE}</style>"))
        .replace(
            r#"<script type="module"></script>"#,
            &format!(r#"<script type="module">{SCRIPT}</script>"#),
        );
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(STYLE),
        source(SCRIPT),
    );
    Response::text("text/html; charset=utf-8", page)
        .with_header("Content-Security-Policy", policy)
        .with_header("Cache-Control", "no-store")
}

/// The hash with which a policy allows an inline text.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}
