//! Reads configurations in JSON, whose kind follows from their keys.

use std::io::Read;
use std::path::Path;

use super::multispace::Multispace;
use super::reader::{self, ConfigError};
use super::scaling::ScalingTest;

/// A configuration in JSON: of a scaling test, or of a test with many spaces.
///
/// ```
/// use cf_pusher::Configuration;
///
/// let config = Configuration::parse(r#"{"total_spaces": 3}"#, "inline")?;
/// assert!(matches!(config, Configuration::Multispace(_)));
/// # Ok::<(), cf_pusher::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Configuration {
    /// The parameters of a scaling test.
    Scaling(ScalingTest),
    /// The parameters of a test with many spaces and security groups. Recognized by keys
    /// that only this configuration has, such as `total_spaces`.
    Multispace(Multispace),
}

impl Configuration {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file and every invalid key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&reader::text(path)?, &path.display().to_string())
    }

    /// Reads a configuration of at most 10 MiB from a stream. `origin` names it in
    /// messages.
    ///
    /// # Errors
    /// The same errors as [`Configuration::read`].
    pub fn read_from(stream: impl Read, origin: &str) -> Result<Self, ConfigError> {
        Self::parse(&reader::text_of(stream, origin)?, origin)
    }

    /// Parses a file's text. `origin` names it in messages.
    ///
    /// # Errors
    /// The same errors as [`Configuration::read`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        match Multispace::is_recognized(text) {
            true => Multispace::parse(text, origin).map(Self::Multispace),
            false => ScalingTest::parse(text, origin).map(Self::Scaling),
        }
    }
}
