//! What is wrong with a spec: each problem with its file and line.

use std::fmt;
use std::path::PathBuf;

use crate::desired::DesiredError;

/// Why a spec cannot be used.
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
    /// A folder has no file of a spec.
    #[error("the folder {} has no *.yml or *.yaml file", .path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
    /// The text of the files cannot be used: every problem, in the order of the files.
    #[error("{}", problems.iter().map(SpecProblem::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// At least one problem.
        problems: Vec<SpecProblem>,
    },
    /// The files are valid one by one, and what they ask for together is not.
    #[error("invalid spec {origin}: {source}")]
    Desired {
        /// The first file.
        origin: String,
        /// The cause.
        source: DesiredError,
    },
}

/// One thing that is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecProblem {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) reason: SpecProblemReason,
}

/// Why a part of a spec is a [`SpecProblem`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecProblemReason {
    /// The text is not YAML.
    #[error("invalid YAML: {0}")]
    Yaml(String),
    /// A variable has no value, or one that does not fit.
    #[error("{0}")]
    Variable(String),
    /// A key that no spec has.
    #[error("unknown key `{key}`{}", did_you_mean(.nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that is most similar.
        nearest: Option<String>,
    },
    /// A key that must be there is not.
    #[error("`{key}` is missing, must be {allowed}")]
    Missing {
        /// The key.
        key: String,
        /// What is allowed.
        allowed: String,
    },
    /// A value that is not allowed.
    #[error("`{key}` is {value}, must be {allowed}")]
    Value {
        /// The key.
        key: String,
        /// The value, shortened, or its type.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A key that its map has already.
    #[error("`{key}` is given again, must be given once")]
    GivenAgain {
        /// The key.
        key: String,
    },
    /// A value that differs from one in another file.
    #[error("`{key}` is {value}, and {other} has {other_value}")]
    Conflict {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The place of the other value, such as `apps.yml:3`.
        other: String,
        /// The other value.
        other_value: String,
    },
    /// A name that another thing has, after numbers were filled in.
    #[error("there is another {kind} named {name}{place}: {other}")]
    Duplicate {
        /// What both are, such as `app`.
        kind: &'static str,
        /// Their name.
        name: String,
        /// Where, such as ` in the space prod`.
        place: String,
        /// The place of the other one, such as `apps.yml:3`.
        other: String,
    },
    /// A name that nothing has.
    #[error("`{key}` is {name}, but {owner} has no {kind} of that name{}", did_you_mean(.nearest.as_deref()))]
    UnknownReference {
        /// The key.
        key: String,
        /// Where it must be, such as `the spec`.
        owner: &'static str,
        /// What it refers to, such as `security group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The known name that is most similar.
        nearest: Option<String>,
    },
    /// More than a quota of the same spec allows.
    #[error("`{key}` of the quota {quota} is {limit}, and {subject} has {asked}")]
    ExceedsQuota {
        /// The limit's key.
        key: String,
        /// The quota's name.
        quota: String,
        /// The most that it allows.
        limit: u64,
        /// What has the quota, such as `the org shop`.
        subject: String,
        /// What it asks for, at least, such as `24 instances`.
        asked: String,
    },
    /// A property of an app or another value cannot be used.
    #[error("{subject}: {reason}")]
    Refused {
        /// What it is about, such as `app web`.
        subject: String,
        /// Why.
        reason: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!(", did you mean `{nearest}`?")
    })
}

impl SpecProblem {
    /// The file that the problem is in, as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of the problem, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong.
    pub fn reason(&self) -> &SpecProblemReason {
        &self.reason
    }
}

impl fmt::Display for SpecProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// A place in the files of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct At {
    /// The file's place among all.
    pub(super) file: usize,
    /// From 1.
    pub(super) line: usize,
}

/// Collects problems, each once.
#[derive(Debug)]
pub(super) struct Problems {
    /// The names of the files.
    files: Vec<String>,
    found: Vec<(At, SpecProblemReason)>,
}

impl Problems {
    /// None yet, in files of these names.
    pub(super) fn new(files: Vec<String>) -> Self {
        Self {
            files,
            found: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, at: At, reason: SpecProblemReason) {
        // A thing with a count has the same problem again and again.
        let is_known = self.found.iter().rev().take(50);
        let is_known = is_known.into_iter().any(|it| *it == (at, reason.clone()));
        if !is_known {
            self.found.push((at, reason));
        }
    }

    /// A value that is not allowed.
    pub(super) fn value(&mut self, at: At, key: &str, value: String, allowed: impl Into<String>) {
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
        at: At,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) {
        let (subject, reason) = (subject.into(), reason.into());
        self.add(at, SpecProblemReason::Refused { subject, reason });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// A place as a person reads it.
    pub(super) fn place(&self, at: At) -> String {
        let file = self.files.get(at.file).map_or("", String::as_str);
        format!("{file}:{}", at.line)
    }

    /// All problems, in the order of the files.
    pub(super) fn finish(mut self) -> Vec<SpecProblem> {
        // Those of one line stay in order.
        self.found.sort_by_key(|(at, _)| *at);
        self.found.dedup();
        let files = &self.files;
        let problem = |(at, reason): (At, SpecProblemReason)| SpecProblem {
            file: files.get(at.file).cloned().unwrap_or_default(),
            line: at.line,
            reason,
        };
        self.found.into_iter().map(problem).collect()
    }
}

/// The known name that is most similar to one that is not known.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    const LEAST_SIMILARITY: f64 = 0.8;
    let known = known.into_iter();
    let scored = known.map(|known| (strsim::jaro_winkler(known, name), known));
    let nearest = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    let nearest = nearest.filter(|(score, _)| *score >= LEAST_SIMILARITY);
    nearest.map(|(_, known)| known.to_owned())
}
