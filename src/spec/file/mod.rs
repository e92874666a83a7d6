//! Reads specs: YAML files that declare orgs, spaces, apps and supporting resources.
//!
//! A spec is read in steps: YAML and variables ([`load`]), the keys and types of each
//! value ([`check`]), the join of several files ([`merge`]), and counts, references and
//! quotas ([`expand`]). Each value keeps its location, so every problem names its file
//! and line.

mod check;
mod expand;
mod keys;
mod load;
mod merge;
mod node;
mod problem;
mod schema;
mod scope;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::desired::Desired;
use crate::manifest::Variables;
use expand::Expander;
use load::Source;
use node::{Data, Node};
use problem::{Location, Problems};
pub use problem::{SpecError, SpecProblem, SpecProblemReason};

/// The resources that the files of a spec declare.
///
/// ```
/// use cf_pusher::SpecFile;
/// use cf_pusher::manifest::Variables;
///
/// let text = "
/// version: 1
/// name: shop
/// orgs:
/// - name: shop
///   spaces:
///   - name: shop-{i}
///     count: 2
///     apps:
///     - name: web-{space}-{i}
///       count: 3
///       bundled: proxy
///       memory: 32M
///       routes: [{route: 'web-{space}-{i}.{apps_domain}'}]
/// ";
/// let spec = SpecFile::parse(text, "shop.yml", &Variables::default())?;
/// assert_eq!(spec.desired().app_count(), 6);
/// # Ok::<(), cf_pusher::SpecError>(())
/// ```
///
/// All problems of the files are reported together, each with its file and line:
///
/// ```
/// # use cf_pusher::{SpecFile, manifest::Variables};
/// let text = "version: 1\nname: shop\norg:\n- name: shop\n";
/// let error = SpecFile::parse(text, "shop.yml", &Variables::default()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "shop.yml:3: unknown key `org`, did you mean `orgs`?"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct SpecFile {
    desired: Desired,
}

impl SpecFile {
    /// Reads the files of a spec: each file, the `*.yml` and `*.yaml` files of each
    /// folder, and standard input for `-`. Together they are one spec.
    ///
    /// # Errors
    ///
    /// [`SpecError`] with every problem of the files.
    pub fn read<P: AsRef<Path>>(paths: &[P], variables: &Variables) -> Result<Self, SpecError> {
        Self::of_sources(&load::sources(paths)?, variables, true)
    }

    /// Reads a spec without checking that the bits of its apps exist. This is for
    /// deletions, which do not use them.
    ///
    /// # Errors
    ///
    /// The same as [`SpecFile::read`].
    pub fn read_without_bits<P: AsRef<Path>>(
        paths: &[P],
        variables: &Variables,
    ) -> Result<Self, SpecError> {
        Self::of_sources(&load::sources(paths)?, variables, false)
    }

    /// Parses the text of one file. `origin` names it in messages. Paths of bits are
    /// relative to the working directory.
    ///
    /// # Errors
    ///
    /// The same as [`SpecFile::read`].
    pub fn parse(text: &str, origin: &str, variables: &Variables) -> Result<Self, SpecError> {
        let source = Source {
            name: origin.to_owned(),
            text: text.to_owned(),
            folder: PathBuf::new(),
        };
        Self::of_sources(&[source], variables, true)
    }

    fn of_sources(
        sources: &[Source],
        variables: &Variables,
        needs_bits: bool,
    ) -> Result<Self, SpecError> {
        let files = sources.iter().map(|source| source.name.clone());
        let mut problems = Problems::new(files.collect());
        let documents = load::documents(sources, variables, &mut problems);
        for document in &documents {
            check::map(keys::ROOT, document, "the spec", &mut problems);
        }
        let mut root = Node::new(Location { file: 0, line: 1 }, Data::Map(Vec::new()));
        for document in documents {
            merge::merge(keys::ROOT, &mut root, document, &mut problems);
        }
        let folders: Vec<PathBuf> = sources.iter().map(|it| it.folder.clone()).collect();
        let expander = Expander {
            root: &root,
            folders: &folders,
            needs_bits,
            problems: &mut problems,
        };
        let desired = expander.desired();
        if !problems.is_empty() {
            let problems = problems.finish();
            return Err(SpecError::Invalid { problems });
        }
        let desired = desired.build().map_err(|source| SpecError::Desired {
            origin: sources
                .first()
                .map_or_else(String::new, |it| it.name.clone()),
            source,
        })?;
        Ok(Self { desired })
    }

    /// Writes a desired state as the text of a spec. Each org and space is a separate
    /// entry, and only apps have counts.
    ///
    /// A spec cannot contain files in memory. Apps with such bits, other than the bundled
    /// apps, are written without bits.
    ///
    /// ```
    /// use cf_pusher::{ScalingTest, Sources, SpecFile, manifest::Variables};
    ///
    /// let test = ScalingTest::parse(r#"{"test_applications": 3}"#, "inline")?;
    /// let desired = test.desired(&Sources::read(&test, None)?)?;
    /// let text = SpecFile::render(&desired);
    /// let spec = SpecFile::parse(&text, "scale.yml", &Variables::default())?;
    /// assert_eq!(spec.desired().app_count(), desired.app_count());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn render(desired: &Desired) -> String {
        write::render(desired, &BTreeSet::new())
    }

    /// The same as [`SpecFile::render`], except that a text that is one of these
    /// variables, such as `((name))`, is written as a variable.
    pub(crate) fn render_with(desired: &Desired, variables: &BTreeSet<&str>) -> String {
        write::render(desired, variables)
    }

    /// The JSON Schema (draft 2020-12) of the files after variables are replaced. Values
    /// that are not strings may also be a variable.
    pub fn json_schema() -> serde_json::Value {
        schema::json_schema()
    }

    /// The desired state.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The desired state, for [`Converger::new`](crate::Converger::new).
    pub fn into_desired(self) -> Desired {
        self.desired
    }
}
