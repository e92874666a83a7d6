//! A package without code: see `Cargo.toml`.
