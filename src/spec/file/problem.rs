//! The problems of a spec, each with its file and line.

use std::fmt;
use std::path::PathBuf;

use crate::desired::DesiredError;

/// The reason why a spec cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A file or folder cannot be read.
    #[error("reading the spec {} failed: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A folder does not contain any spec.
    #[error("the folder {} has no *.yml or *.yaml file", .path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
    /// The files are invalid. All problems are listed, in the order of the files.
    #[error("{}", problems.iter().map(SpecProblem::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// At least one problem.
        problems: Vec<SpecProblem>,
    },
    /// Each file is valid, but the declared resources contradict each other.
    #[error("invalid spec {origin}: {source}")]
    Desired {
        /// The first file.
        origin: String,
        /// The cause.
        source: DesiredError,
    },
}

/// A problem of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecProblem {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) reason: SpecProblemReason,
}

/// The reason of a [`SpecProblem`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecProblemReason {
    /// The text is not YAML.
    #[error("invalid YAML: {0}")]
    Yaml(String),
    /// A variable has no value, or an invalid one.
    #[error("{0}")]
    Variable(String),
    /// A key that is not allowed.
    #[error("unknown key `{key}`{}", instead(.nearest.as_deref(), .allowed.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that is most similar.
        nearest: Option<String>,
        /// The known keys, unless they are many.
        allowed: Option<String>,
    },
    /// A required key is missing.
    #[error("`{key}` is missing, must be {allowed}")]
    Missing {
        /// The key.
        key: String,
        /// The allowed values.
        allowed: String,
    },
    /// A value that is not allowed.
    #[error("`{key}` is {value}, must be {allowed}")]
    Value {
        /// The key.
        key: String,
        /// The value, shortened, or its type.
        value: String,
        /// The allowed values.
        allowed: String,
    },
    /// A key that occurs twice in a map.
    #[error("`{key}` is repeated, must be set only once")]
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A value that differs from the one in another file.
    #[error("`{key}` is {value}, and {other} has {other_value}")]
    Conflict {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The location of the other value, such as `apps.yml:3`.
        other: String,
        /// The other value.
        other_value: String,
    },
    /// A name that another resource also has, after numbers are filled in.
    #[error("there is another {kind} named {name}{place}: {other}")]
    Duplicate {
        /// The kind of both resources, such as `app`.
        kind: &'static str,
        /// Their name.
        name: String,
        /// The scope, such as ` in the space prod`.
        place: String,
        /// The location of the other resource, such as `apps.yml:3`.
        other: String,
    },
    /// A name of a resource that does not exist.
    #[error("`{key}` is {name}, but {owner} has no {kind} of that name{}", did_you_mean(.nearest.as_deref()))]
    UnknownReference {
        /// The key.
        key: String,
        /// The owner of the resource, such as `the spec`.
        owner: &'static str,
        /// The kind of the resource, such as `security group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The known name that is most similar.
        nearest: Option<String>,
    },
    /// A resource needs more than a quota of the same spec allows.
    #[error("`{key}` of the quota {quota} is {limit}, and {subject} has {asked}")]
    ExceedsQuota {
        /// The limit's key.
        key: String,
        /// The quota's name.
        quota: String,
        /// The maximum.
        limit: u64,
        /// The resource with the quota, such as `the org shop`.
        subject: String,
        /// The minimum need of the resource, such as `24 instances`.
        asked: String,
    },
    /// A property of an app or another value cannot be used.
    #[error("{subject}: {reason}")]
    Refused {
        /// The resource, such as `app web`.
        subject: String,
        /// The reason.
        reason: String,
    },
}

/// The suggestion for an unknown key.
fn instead(nearest: Option<&str>, allowed: Option<&str>) -> String {
    match (nearest, allowed) {
        (None, Some(allowed)) => format!(", must be {allowed}"),
        (nearest, _) => did_you_mean(nearest),
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!(", did you mean `{nearest}`?")
    })
}

impl SpecProblem {
    /// The file of the problem, as named by the caller.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of the problem, starting at 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The reason.
    pub fn reason(&self) -> &SpecProblemReason {
        &self.reason
    }
}

impl fmt::Display for SpecProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// A location in the files of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Location {
    /// The index of the file.
    pub(super) file: usize,
    /// The line, starting at 1.
    pub(super) line: usize,
}

/// Collects problems without duplicates.
#[derive(Debug)]
pub(super) struct Problems {
    /// The names of the files.
    files: Vec<String>,
    found: Vec<(Location, SpecProblemReason)>,
}

impl Problems {
    /// An empty collection for files with these names.
    pub(super) fn new(files: Vec<String>) -> Self {
        Self {
            files,
            found: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, at: Location, reason: SpecProblemReason) {
        // A counted element has the same problem many times.
        let is_known = self.found.iter().rev().take(50);
        let is_known = is_known.into_iter().any(|it| *it == (at, reason.clone()));
        if !is_known {
            self.found.push((at, reason));
        }
    }

    /// A value that is not allowed.
    pub(super) fn value(
        &mut self,
        at: Location,
        key: &str,
        value: String,
        allowed: impl Into<String>,
    ) {
        let allowed = allowed.into();
        let key = key.to_owned();
        self.add(
            at,
            SpecProblemReason::Value {
                key,
                value,
                allowed,
            },
        );
    }

    pub(super) fn refused(
        &mut self,
        at: Location,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) {
        let (subject, reason) = (subject.into(), reason.into());
        self.add(at, SpecProblemReason::Refused { subject, reason });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// A location in the form `FILE:LINE`.
    pub(super) fn place(&self, at: Location) -> String {
        let file = self.files.get(at.file).map_or("", String::as_str);
        format!("{file}:{}", at.line)
    }

    /// All problems, in the order of the files.
    pub(super) fn finish(mut self) -> Vec<SpecProblem> {
        // Problems of the same line keep their order.
        self.found.sort_by_key(|(at, _)| *at);
        self.found.dedup();
        let files = &self.files;
        let problem = |(at, reason): (Location, SpecProblemReason)| SpecProblem {
            file: files.get(at.file).cloned().unwrap_or_default(),
            line: at.line,
            reason,
        };
        self.found.into_iter().map(problem).collect()
    }
}

/// The known name that is most similar to an unknown name.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    const LEAST_SIMILARITY: f64 = 0.8;
    let known = known.into_iter();
    let scored = known.map(|known| (strsim::jaro_winkler(known, name), known));
    let nearest = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    let nearest = nearest.filter(|(score, _)| *score >= LEAST_SIMILARITY);
    nearest.map(|(_, known)| known.to_owned())
}
