//! Reads any text as a manifest with variables. The written manifest must have the same
//! meaning. The property is checked in `src/manifest/fuzzing.rs`.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    // Text that is not UTF-8 is refused before it is read as YAML.
    let Ok(input) = std::str::from_utf8(input) else {
        return Corpus::Reject;
    };
    if let Err(mismatch) = cf_pusher::fuzz_manifest(input) {
        panic!("{mismatch}");
    }
    Corpus::Keep
});
