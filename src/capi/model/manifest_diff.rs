//! The differences between a manifest and its apps, as the Cloud Controller reports them.

use serde_json::Value;

/// One difference between a manifest and its apps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiffEntry {
    pub(crate) op: DiffOp,
    /// Keys and positions from the manifest's root, such as `applications`, `0`, `env`, `A`.
    pub(crate) path: Vec<String>,
    /// The app's value.
    pub(crate) was: ManifestValue,
    /// The manifest's value.
    pub(crate) value: ManifestValue,
}

/// The effect of the manifest on a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiffOp {
    Add,
    Replace,
    Remove,
    /// An item of a list moves to another position.
    Move,
}

/// A value of a manifest, in the type that the Cloud Controller reports.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum ManifestValue {
    #[default]
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    /// In the order that the Cloud Controller reports.
    Map(Vec<(String, Self)>),
}

impl From<ManifestValue> for Value {
    fn from(value: ManifestValue) -> Self {
        match value {
            ManifestValue::Null => Self::Null,
            ManifestValue::Bool(is) => Self::Bool(is),
            ManifestValue::Int(number) => match i64::try_from(number) {
                Ok(number) => Self::from(number),
                Err(_) => Self::String(number.to_string()),
            },
            ManifestValue::Float(number) => Self::from(number),
            ManifestValue::Text(text) => Self::String(text),
            ManifestValue::List(items) => items.into_iter().map(Self::from).collect(),
            ManifestValue::Map(pairs) => {
                let pairs = pairs.into_iter();
                pairs.map(|(key, value)| (key, Self::from(value))).collect()
            }
        }
    }
}
