//! Stores bits for downloads. Older bits are dropped when a size limit is exceeded, and
//! equal bits are stored once.

use std::collections::{HashMap, VecDeque};

/// The maximum size of bits that are kept, in bytes.
pub(super) const MAX_BLOB: usize = 1024 * 1024;

/// The maximum size of all blobs, in bytes.
const MAX_TOTAL: usize = 16 * 1024 * 1024;

/// The approximate memory that a blob needs in addition to its bits, in bytes.
const OVERHEAD: usize = 256;

/// Bits by their SHA-256 checksums.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    by_checksum: HashMap<String, Vec<u8>>,
    /// Checksums, the oldest first.
    oldest: VecDeque<String>,
    taken: usize,
}

impl Blobs {
    pub(crate) fn get(&self, checksum: &str) -> Option<&[u8]> {
        self.by_checksum.get(checksum).map(Vec::as_slice)
    }

    /// Keeps bits, and drops older ones if they no longer fit.
    pub(crate) fn keep(&mut self, checksum: &str, bits: &[u8]) {
        if bits.len() > MAX_BLOB || self.by_checksum.contains_key(checksum) {
            return;
        }
        self.taken += bits.len() + OVERHEAD;
        self.by_checksum.insert(checksum.into(), bits.into());
        self.oldest.push_back(checksum.into());
        while self.taken > MAX_TOTAL {
            let Some(oldest) = self.oldest.pop_front() else {
                return;
            };
            let gone = self.by_checksum.remove(&oldest).unwrap_or_default();
            self.taken -= gone.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_bits_are_kept() {
        let mut blobs = Blobs::default();
        let bits = vec![0; MAX_BLOB];
        for number in 0..20 {
            blobs.keep(&number.to_string(), &bits);
            blobs.keep("19", &bits);
        }
        assert!(blobs.get("0").is_none());
        assert_eq!(blobs.get("18").map(<[u8]>::len), Some(MAX_BLOB));
        assert!(blobs.taken <= MAX_TOTAL);
        assert_eq!(blobs.oldest.len(), blobs.by_checksum.len());
        blobs.keep("large", &vec![0; MAX_BLOB + 1]);
        assert!(blobs.get("large").is_none());
    }
}
