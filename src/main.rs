//! The `cf-pusher` command, built on the public API of the library.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

// A run parses and builds many small JSON values, and `--mock` keeps thousands of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
