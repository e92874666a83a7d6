//! The `cf-pusher` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    cf_pusher::cli::main()
}
