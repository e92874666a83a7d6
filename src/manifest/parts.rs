//! Splits a manifest into parts that the Cloud Controller accepts.

use super::Manifest;
use super::yaml::Value;

/// The maximum size of a manifest, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Some apps of a manifest, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ManifestPart {
    /// The position of the first app in the whole manifest.
    pub(crate) first: usize,
    pub(crate) yaml: String,
}

impl Manifest {
    /// The manifest as it is sent: as a whole if the Cloud Controller accepts it,
    /// otherwise in parts without the properties next to `applications`.
    pub(crate) fn parts(&self) -> Vec<ManifestPart> {
        let yaml = self.render();
        match yaml.len() <= MAX_BYTES {
            true => vec![ManifestPart { first: 0, yaml }],
            false => self.parts_of(MAX_BYTES),
        }
    }

    fn parts_of(&self, max_bytes: usize) -> Vec<ManifestPart> {
        const HEAD: &str = "---\napplications:\n";
        let mut parts: Vec<ManifestPart> = Vec::new();
        for (first, app) in self.applications.iter().enumerate() {
            let app = Value::List(vec![Value::Map(app.0.clone())]).render();
            match parts.last_mut() {
                Some(part) if part.yaml.len() + app.len() <= max_bytes => part.yaml += &app,
                _ => parts.push(ManifestPart {
                    first,
                    yaml: format!("{HEAD}{app}"),
                }),
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_every_app_once_in_order() {
        let app = |i| format!("- name: app-{i}\n  env: {{A: {}}}\n", "x".repeat(i));
        let text: String = (0..20).map(app).collect();
        let manifest = Manifest::parse(&format!("applications:\n{text}"), "test").unwrap();
        let parts = manifest.parts_of(120);
        assert!(parts.len() > 5);
        let mut apps = Vec::new();
        for part in &parts {
            assert!(part.yaml.len() <= 120, "{}", part.yaml);
            assert_eq!(part.first, apps.len());
            apps.extend(Manifest::parse(&part.yaml, "part").unwrap().applications);
        }
        assert_eq!(apps, manifest.applications);
    }

    #[test]
    fn an_app_that_is_too_large_is_a_separate_part() {
        let manifest = Manifest::parse("applications: [{name: a}, {name: b}]", "test").unwrap();
        assert_eq!(manifest.parts_of(1).len(), 2);
        assert_eq!(manifest.parts().len(), 1);
    }
}
