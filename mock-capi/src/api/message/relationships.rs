//! Relationships in requests: the GUIDs of related resources.

use serde_json::{Map, Value};

use super::{Message, humanize};
use crate::api::error::CcError;
use crate::world::ruby;

impl<'b> Message<'b> {
    /// Reads the required `relationships` of a request.
    pub(crate) fn relationships<T>(
        &mut self,
        allowed: &[&str],
        read: impl FnOnce(&mut Message<'b>) -> T,
    ) -> Option<T> {
        match self.get("relationships") {
            Some(Value::Object(object)) if object.is_empty() => {
                self.error(
                    "Relationships 'relationships' must include one or more valid relationships",
                );
                None
            }
            Some(Value::Object(_)) => self.nested("relationships", allowed, read),
            _ => {
                self.error("Relationships 'relationships' is not an object");
                None
            }
        }
    }

    /// Reads the required `relationships` and ignores unknown ones.
    pub(crate) fn relationships_of_any<T>(
        &mut self,
        read: impl FnOnce(&mut Message<'b>) -> T,
    ) -> Option<T> {
        let given = self.get("relationships").and_then(Value::as_object);
        let all = given.map(|fields| fields.keys().map(String::as_str).collect::<Vec<_>>());
        self.relationships(&all.unwrap_or_default(), read)
    }

    /// The GUID of a required `{"data": {"guid": "..."}}`. `None` without an error for
    /// `{"data": null}`.
    pub(crate) fn related(&mut self, key: &str) -> Option<&'b str> {
        let label = humanize(key);
        if self.is_blank(key) {
            self.error(format!("{label} can't be blank"));
        }
        self.related_or_missing(key)
    }

    /// The GUID of a relationship whose presence the Cloud Controller does not
    /// check.
    pub(crate) fn related_or_missing(&mut self, key: &str) -> Option<&'b str> {
        let label = humanize(key);
        let guid = self.get(key).and_then(to_one_guid);
        match guid {
            Some(None) => None,
            Some(Some(Value::String(guid))) if (1..=200).contains(&guid.chars().count()) => {
                Some(guid)
            }
            Some(Some(guid)) => {
                if !guid.is_string() {
                    self.error(format!("{label} guid must be a string"));
                }
                self.error(format!("{label} guid must be between 1 and 200 characters"));
                None
            }
            None => {
                self.error(format!(
                    "{label} must be structured like this: \"{key}: {{\"data\": {{\"guid\": \"valid-guid\"}}}}\""
                ));
                None
            }
        }
    }

    /// The GUIDs of an optional `{"data": [{"guid": "..."}, ...]}`.
    pub(crate) fn related_many(&mut self, key: &str) -> Vec<&'b str> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let guids: Option<Vec<&str>> = value
            .get("data")
            .and_then(Value::as_array)
            .and_then(|data| data.iter().map(|item| item.get("guid")?.as_str()).collect());
        guids.unwrap_or_else(|| {
            let label = humanize(key);
            self.error(format!(
                "{label} must be structured like this: \"{key}: {{\"data\": [{{\"guid\": \"valid-guid\"}},{{\"guid\": \"valid-guid\"}}]}}\""
            ));
            Vec::new()
        })
    }

    /// The GUID of a body that is a to-one relationship.
    pub(crate) fn data_guid(&mut self) -> Option<&'b str> {
        let data = self.object("data")?;
        for (wrong, reason) in [
            (data.is_empty(), "can't be blank"),
            (data.len() != 1, "can only accept one key"),
            (!data.contains_key("guid"), "can only accept key 'guid'"),
        ] {
            if wrong {
                self.error(format!("Data {reason}"));
            }
        }
        let guid = data.get("guid").filter(|guid| !guid.is_null())?;
        let text = guid.as_str();
        if text.is_none() {
            self.error(format!("Data {} must be a string", ruby::text(guid)));
        }
        text
    }
}

/// The GUID of a to-one relationship, which may be null. `None` if the structure is
/// wrong.
fn to_one_guid(relationship: &Value) -> Option<Option<&Value>> {
    let relationship = relationship.as_object()?;
    let data = relationship
        .get("data")
        .filter(|_| relationship.len() == 1)?;
    match data {
        Value::Object(data) if data.len() == 1 => data.get("guid").map(Some),
        Value::Null => Some(None),
        _ => None,
    }
}

/// The GUIDs of a body that is a to-many relationship.
pub(crate) fn to_many_body(body: &Map<String, Value>) -> Result<Vec<&str>, CcError> {
    let mut message = Message::new(body, &["data"]);
    let mut guids = Vec::new();
    match message.get("data") {
        Some(Value::Array(data)) if !data.is_empty() => {
            for (index, item) in data.iter().enumerate() {
                match item.get("guid").and_then(Value::as_str) {
                    Some(guid) => guids.push(guid),
                    None => message.error(format!(
                        "Invalid data type: Data[{index}] guid should be a string."
                    )),
                }
            }
        }
        Some(Value::Array(_)) => message.error("Data can't be blank"),
        other => {
            if other.is_none_or(ruby::is_blank) {
                message.error("Data can't be blank");
            }
            message.error("Data must be an array");
        }
    }
    message.finish()?;
    Ok(guids)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::check;
    use super::*;

    #[test]
    fn relationships_have_a_structure() {
        let read = |message: &mut Message<'_>| {
            message.relationships(&["space"], |inner| {
                inner.related("space").map(str::to_owned)
            });
        };
        assert_eq!(
            check(json!({}), read).as_deref(),
            Some("Relationships 'relationships' is not an object")
        );
        assert_eq!(
            check(json!({"relationships": {}}), read).as_deref(),
            Some("Relationships 'relationships' must include one or more valid relationships")
        );
        assert_eq!(
            check(json!({"relationships": {"space": {"guid": "x"}}}), read).as_deref(),
            Some(
                "Relationships Space must be structured like this: \
                 \"space: {\"data\": {\"guid\": \"valid-guid\"}}\""
            )
        );
        assert_eq!(
            check(
                json!({"relationships": {"space": {"data": {"guid": "x"}}}}),
                read
            ),
            None
        );
    }
}
