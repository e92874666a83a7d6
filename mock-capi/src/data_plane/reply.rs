//! Responses of apps and of the router.

use crate::world::CowStr;

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(CowStr, String)>,
    pub(crate) body: ReplyBody,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    Bytes(Vec<u8>),
    /// Random bytes of this number.
    Random(u64),
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: ReplyBody::Bytes(body.into()),
        }
    }

    pub(crate) fn with_header(mut self, name: impl Into<CowStr>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}
