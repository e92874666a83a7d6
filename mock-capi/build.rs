//! Finds out whether Go is there, for the tests that run programs in it. After Go was
//! installed, `touch build.rs` lets it look again.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(has_go)");
    let go = Command::new("go").arg("version").output();
    if go.is_ok_and(|output| output.status.success()) {
        println!("cargo::rustc-cfg=has_go");
    }
}
