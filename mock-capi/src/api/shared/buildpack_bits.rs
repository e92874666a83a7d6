//! The bits of buildpacks: zip archives, whose manifest may name a stack.

use crate::api::error::CcError;
use crate::api::yaml::{self, Yaml};
use crate::world::{Bits, Buildpack, Row, Stack, World};

/// The stack of a buildpack with these bits: the one that their manifest names, or else
/// the buildpack's own.
pub(crate) fn stack_with(
    world: &World,
    buildpack: &Buildpack,
    bits: &Bits,
) -> Result<Option<String>, CcError> {
    let named = match stack_of(bits) {
        Ok(stack) => stack.filter(|stack| !stack.is_empty()),
        // Buildpacks of other lifecycles are not zip archives.
        Err(_) if buildpack.lifecycle == "cnb" => None,
        Err(error) => return Err(error),
    };
    let Some(stack) = named else {
        return Ok(buildpack.stack.clone());
    };
    match &buildpack.stack {
        Some(own) if *own != stack => {
            let detail = format!("Uploaded buildpack stack ({stack}) does not match {own}");
            return Err(CcError::new(
                422,
                390_011,
                "CF-BuildpackStacksDontMatch",
                detail,
            ));
        }
        _ if world.named::<Stack>(&stack).is_none() => {
            let detail = format!("Uploaded buildpack stack ({stack}) does not exist");
            return Err(CcError::new(
                422,
                390_012,
                "CF-BuildpackStackDoesNotExist",
                detail,
            ));
        }
        _ => {}
    }
    let (name, lifecycle) = (&buildpack.name, &buildpack.lifecycle);
    let is_other = |other: &Buildpack| {
        other.guid() != buildpack.guid()
            && (&other.name, &other.lifecycle) == (name, lifecycle)
            && other.stack.as_ref() == Some(&stack)
    };
    if world.buildpacks.iter().any(is_other) {
        return Err(name_taken(name, &stack, lifecycle));
    }
    Ok(Some(stack))
}

/// The error for a buildpack that is not the only one of its name, stack and lifecycle.
pub(crate) fn name_taken(name: &str, stack: &str, lifecycle: &str) -> CcError {
    let detail = format!(
        "The buildpack name {name} is already in use for the stack {stack} and the lifecycle {lifecycle}"
    );
    let title = "CF-BuildpackNameStackLifecycleTaken";
    CcError::new(422, 290_000, title, detail)
}

/// The stack in the manifest of a zip archive.
fn stack_of(bits: &Bits) -> Result<Option<String>, CcError> {
    let invalid = |part: &str| {
        let detail = format!("Buildpack zip error: buildpack {part} is not valid");
        CcError::new(422, 390_013, "CF-BuildpackZipError", detail)
    };
    if !bits.is_zip {
        return Err(invalid("zipfile"));
    }
    let Some(manifest) = &bits.manifest else {
        return Ok(None);
    };
    match yaml::parse(manifest).map_err(|_| invalid("manifest"))? {
        manifest @ Yaml::Map(_) => Ok(manifest.get("stack").map(Yaml::to_text)),
        Yaml::Text(_) => Ok(None),
        // The Cloud Controller has no error for manifests that are not mappings.
        _ => Err(CcError::unknown()),
    }
}
