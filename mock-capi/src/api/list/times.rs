//! The filters `created_ats` and `updated_ats`.

use super::params::param_name;
use crate::world::Base;

/// `created_ats` or `updated_ats`.
#[derive(Debug)]
pub(super) struct TimeFilter {
    updated: bool,
    condition: TimeCondition,
}

#[derive(Debug)]
pub(super) enum TimeCondition {
    AnyOf(Vec<String>),
    Compare(fn(&str, &str) -> bool, String),
}

impl TimeFilter {
    /// All timestamps have the same format, so comparing the strings compares the times.
    pub(super) fn allows(&self, base: &Base) -> bool {
        let time = if self.updated {
            base.updated
        } else {
            base.created
        };
        let time = time.to_string();
        match &self.condition {
            TimeCondition::AnyOf(times) => times.contains(&time),
            TimeCondition::Compare(compare, other) => compare(&time, other),
        }
    }
}

pub(super) fn read_times(params: &[(String, String)], errors: &mut Vec<String>) -> Vec<TimeFilter> {
    let mut filters = Vec::new();
    for (key, value) in params {
        let (name, label) = match param_name(key) {
            name @ "created_ats" => (name, "Created ats"),
            name @ "updated_ats" => (name, "Updated ats"),
            _ => continue,
        };
        let operator = key[name.len()..].trim_matches(['[', ']']);
        let wrong = condition_errors(operator, value);
        errors.extend(wrong.iter().map(|reason| format!("{label} {reason}")));
        if wrong.is_empty() {
            filters.push(TimeFilter {
                updated: name == "updated_ats",
                condition: condition(operator, value),
            });
        }
    }
    filters
}

fn condition_errors(operator: &str, value: &str) -> Vec<String> {
    const FORMAT: &str =
        "has an invalid timestamp format. Timestamps should be formatted as 'YYYY-MM-DDThh:mm:ssZ'";
    if operator.is_empty() {
        let wrong = value.split(',').filter(|time| !is_timestamp(time));
        return wrong.map(|_| FORMAT.to_owned()).collect();
    }
    let mut errors = Vec::new();
    if !["lt", "lte", "gt", "gte"].contains(&operator) {
        errors.push(format!("Invalid relational operator: '{operator}'"));
    }
    if value.contains(',') {
        errors.push("only accepts one value when using a relational operator".to_owned());
    } else if !is_timestamp(value) {
        errors.push(FORMAT.to_owned());
    }
    errors
}

/// A condition without [`condition_errors`].
fn condition(operator: &str, value: &str) -> TimeCondition {
    let compare: fn(&str, &str) -> bool = match operator {
        "lt" => |a, b| a < b,
        "lte" => |a, b| a <= b,
        "gt" => |a, b| a > b,
        "gte" => |a, b| a >= b,
        _ => return TimeCondition::AnyOf(value.split(',').map(str::to_owned).collect()),
    };
    TimeCondition::Compare(compare, value.into())
}

pub(super) fn is_timestamp(text: &str) -> bool {
    text.len() == "2017-04-25T20:53:11Z".len()
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}
