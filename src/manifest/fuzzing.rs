//! The check of the fuzz target in `fuzz/`. A test runs it with the target's seeds.
//!
//! No text causes a panic, and a manifest that is written has the same meaning as the
//! manifest that was read. Otherwise a different manifest would be applied.

use std::fmt::Debug;

use super::Manifest;
use super::Variables;
use super::yaml::Value;

/// The line between a manifest and its variables.
const SEPARATOR: &str = "\n===\n";

/// Reads a manifest and, after a line `===`, its variables. Writes the interpolated
/// manifest and reads it again.
///
/// # Errors
///
/// Both manifests, if they differ.
pub(crate) fn check(input: &str) -> Result<(), String> {
    let (text, file) = input.split_once(SEPARATOR).unwrap_or((input, ""));
    let mut variables = Variables::default();
    // An error is a valid result, here and below. Variables are optional.
    variables.add_yaml(file).unwrap_or_default();
    let value = Value::parse(text).map(|value| variables.interpolate(value));
    let Ok(Ok(value)) = value else {
        return Ok(());
    };
    // YAML that is not a manifest also tests the writer.
    let written = value.render();
    check_same(&value, Value::parse(&written), &written)?;

    let Ok(manifest) = Manifest::from_value(value) else {
        return Ok(());
    };
    // A value of a variable may look like a variable, but is not interpolated again.
    let written = manifest.render();
    let again = Value::parse(&written).map_err(|error| error.to_string());
    let again = again.and_then(|it| Manifest::from_value(it).map_err(|error| error.reason));
    check_same(&manifest, again, &written)
}

fn check_same<T, E>(value: &T, again: Result<T, E>, written: &str) -> Result<(), String>
where
    T: Debug + PartialEq,
    E: Debug,
{
    if again.as_ref().is_ok_and(|again| again == value) {
        return Ok(());
    }
    // `.nan` is not equal to itself, but is printed the same.
    let (first, again) = (format!("Ok({value:?})"), format!("{again:?}"));
    match first == again {
        true => Ok(()),
        false => Err(format!(
            "read:  {first}\nagain: {again}\nwritten:\n{written}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_corpus_satisfies_the_invariants() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/manifest");
        let mut manifests = 0;
        for seed in std::fs::read_dir(folder).unwrap() {
            let path = seed.unwrap().path();
            let input = std::fs::read_to_string(&path).unwrap();
            assert_eq!(check(&input), Ok(()), "{}", path.display());
            // A seed that is rejected early would test nothing.
            let (text, file) = input.split_once(SEPARATOR).unwrap_or((&input, ""));
            let mut variables = Variables::default();
            variables.add_yaml(file).unwrap();
            if let Err(error) = Manifest::parse_with(text, "seed", &variables) {
                panic!("{}: {error}", path.display());
            }
            manifests += 1;
        }
        assert!(manifests > 0);
    }

    #[rstest]
    #[case("applications: [{name: a, x: .nan}]")]
    #[case("applications: [{name: ((a))}]\n===\na: ((b))")]
    #[case("a: [")]
    #[case("a: b\n===\na: [")]
    fn unusual_inputs_satisfy_the_invariants(#[case] input: &str) {
        assert_eq!(check(input), Ok(()));
    }

    #[test]
    fn differences_are_reported() {
        let error = check_same(&1, Ok::<_, ()>(2), "two").unwrap_err();
        assert!(
            error.contains("Ok(1)") && error.contains("Ok(2)"),
            "{error}"
        );
    }
}
