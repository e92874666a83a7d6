//! Bits that can be downloaded again: the latest, as far as there is room for
//! them. The same bits are kept once, whoever has them.

use std::collections::{HashMap, VecDeque};

/// What is larger is not kept.
pub(super) const MAX_BLOB: usize = 1024 * 1024;

/// What all blobs may take.
const ROOM: usize = 16 * 1024 * 1024;

/// About what a blob takes besides its bits.
const OVERHEAD: usize = 256;

/// Bits by their SHA-256 checksums.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    by_checksum: HashMap<String, Vec<u8>>,
    /// Their checksums, the oldest first.
    oldest: VecDeque<String>,
    taken: usize,
}

impl Blobs {
    pub(crate) fn get(&self, checksum: &str) -> Option<&[u8]> {
        self.by_checksum.get(checksum).map(Vec::as_slice)
    }

    /// Keeps bits, for which older ones may have to go.
    pub(crate) fn keep(&mut self, checksum: &str, bits: &[u8]) {
        if bits.len() > MAX_BLOB || self.by_checksum.contains_key(checksum) {
            return;
        }
        self.taken += bits.len() + OVERHEAD;
        self.by_checksum.insert(checksum.into(), bits.into());
        self.oldest.push_back(checksum.into());
        while self.taken > ROOM {
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
        assert!(blobs.taken <= ROOM);
        assert_eq!(blobs.oldest.len(), blobs.by_checksum.len());
        blobs.keep("large", &vec![0; MAX_BLOB + 1]);
        assert!(blobs.get("large").is_none());
    }
}
