//! Example specs for known kinds of tests.

/// An example spec for a known kind of test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// The mix of apps in Diego's tests with 250,000 instances, from `cedar` in
    /// diego-stress-tests. A batch has 20 apps with 25 instances.
    Cedar,
}

const CEDAR: &str = include_str!("presets/cedar.yml");

impl Preset {
    /// The text of the spec.
    ///
    /// ```
    /// use cf_pusher::{Preset, SpecFile, manifest::Variables};
    ///
    /// let mut variables = Variables::default();
    /// variables.set("stress_app", "fixtures/apps/proxy")?;
    /// let spec = SpecFile::parse(Preset::Cedar.text(), "cedar.yml", &variables)?;
    /// assert_eq!(spec.desired().app_count(), 10 * 20 + 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn text(self) -> &'static str {
        match self {
            Self::Cedar => CEDAR,
        }
    }
}
