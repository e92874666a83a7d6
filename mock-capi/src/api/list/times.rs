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
    /// Timestamps have one format, so their strings compare as times do.
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
        match read_time_condition(operator, value) {
            Ok(condition) => filters.push(TimeFilter {
                updated: name == "updated_ats",
                condition,
            }),
            Err(reason) => errors.push(format!("{label} {reason}")),
        }
    }
    filters
}

pub(super) fn read_time_condition(operator: &str, value: &str) -> Result<TimeCondition, String> {
    let times: Vec<String> = value.split(',').map(str::to_owned).collect();
    if !operator.is_empty() && times.len() > 1 {
        return Err("only accepts one value when using a relational operator".into());
    }
    if !times.iter().all(|time| is_timestamp(time)) {
        return Err("has an invalid timestamp format. Timestamps should be formatted as 'YYYY-MM-DDThh:mm:ssZ'".into());
    }
    let compare: fn(&str, &str) -> bool = match operator {
        "" => return Ok(TimeCondition::AnyOf(times)),
        "lt" => |a, b| a < b,
        "lte" => |a, b| a <= b,
        "gt" => |a, b| a > b,
        "gte" => |a, b| a >= b,
        other => return Err(format!("Invalid relational operator: '{other}'")),
    };
    Ok(TimeCondition::Compare(compare, value.into()))
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
