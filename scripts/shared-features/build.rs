//! Without a build script, Cargo ignores the build dependencies.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
