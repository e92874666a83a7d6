//! The page at `/_mock/`.

// Helpers fail as tests do.
#![allow(clippy::panic, clippy::unwrap_used)]

mod common;

use common::{Session, send};

#[tokio::test]
async fn the_page_is_one_answer_that_may_load_nothing_else() {
    let cf = Session::v3().await;
    let page = send(cf.http.get(format!("{}/_mock/", cf.mock.uri()))).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text.starts_with("<!doctype html>"));
    let policy = page.header("content-security-policy");
    let rules: Vec<&str> = policy.split("; ").collect();
    for rule in [
        "default-src 'none'",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(rules.contains(&rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}
