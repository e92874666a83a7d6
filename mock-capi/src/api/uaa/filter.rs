//! SCIM filters, such as `userName eq "ada" and (origin sw "ld" or verified eq false)`.

use std::iter::Peekable;
use std::vec;

/// The attributes by which resources can be filtered and sorted: names in lower
/// case, and their values.
pub(super) type Attributes<R> = &'static [(&'static str, fn(&R) -> Vec<String>)];

/// The maximum depth of parentheses.
const MAX_DEPTH: usize = 32;

/// A filter.
pub(super) enum Filter<R: 'static> {
    Any(Vec<Self>),
    All(Vec<Self>),
    Comparison(Comparison<R>),
}

/// A comparison of an attribute with a value.
pub(super) struct Comparison<R: 'static> {
    read: fn(&R) -> Vec<String>,
    operator: Operator,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Contains,
    StartsWith,
    IsPresent,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The values of an attribute, by its name in any case.
pub(super) fn find_attribute<R>(
    attributes: Attributes<R>,
    name: &str,
) -> Option<fn(&R) -> Vec<String>> {
    let name = name.to_lowercase();
    let found = attributes.iter().find(|(known, _)| *known == name);
    found.map(|(_, read)| *read)
}

impl<R> Filter<R> {
    /// Reads a filter. `None` if it is invalid or names an unknown attribute.
    pub(super) fn parse(text: &str, attributes: Attributes<R>) -> Option<Self> {
        let mut tokens = tokens(text)?.into_iter().peekable();
        let filter = Self::read_any(&mut tokens, attributes, 0)?;
        tokens.next().is_none().then_some(filter)
    }

    fn read_any(tokens: &mut Tokens, attributes: Attributes<R>, depth: usize) -> Option<Self> {
        let mut any = vec![Self::read_all(tokens, attributes, depth)?];
        while tokens.next_if(|token| is(token, "or")).is_some() {
            any.push(Self::read_all(tokens, attributes, depth)?);
        }
        Some(Self::Any(any))
    }

    fn read_all(tokens: &mut Tokens, attributes: Attributes<R>, depth: usize) -> Option<Self> {
        let mut all = vec![Self::read_one(tokens, attributes, depth)?];
        while tokens.next_if(|token| is(token, "and")).is_some() {
            all.push(Self::read_one(tokens, attributes, depth)?);
        }
        Some(Self::All(all))
    }

    fn read_one(tokens: &mut Tokens, attributes: Attributes<R>, depth: usize) -> Option<Self> {
        if tokens.next_if(|token| *token == Token::Open).is_none() {
            return Comparison::read(tokens, attributes).map(Self::Comparison);
        }
        if depth == MAX_DEPTH {
            return None;
        }
        let inner = Self::read_any(tokens, attributes, depth + 1)?;
        (tokens.next()? == Token::Close).then_some(inner)
    }

    pub(super) fn matches(&self, row: &R) -> bool {
        match self {
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(row)),
            Self::All(filters) => filters.iter().all(|filter| filter.matches(row)),
            Self::Comparison(comparison) => comparison.holds(row),
        }
    }

    /// Whether all comparisons are for equality.
    pub(super) fn is_exact(&self) -> bool {
        match self {
            Self::Any(filters) | Self::All(filters) => filters.iter().all(Self::is_exact),
            Self::Comparison(comparison) => comparison.operator == Operator::Equal,
        }
    }
}

impl Operator {
    fn read(text: &str) -> Option<Self> {
        Some(match text.to_lowercase().as_str() {
            "eq" => Self::Equal,
            "co" => Self::Contains,
            "sw" => Self::StartsWith,
            "pr" => Self::IsPresent,
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            _ => return None,
        })
    }

    fn holds(self, actual: &str, value: &str) -> bool {
        match self {
            Self::Equal => actual == value,
            Self::Contains => actual.contains(value),
            Self::StartsWith => actual.starts_with(value),
            Self::IsPresent => true,
            Self::Greater => actual > value,
            Self::GreaterOrEqual => actual >= value,
            Self::Less => actual < value,
            Self::LessOrEqual => actual <= value,
        }
    }
}

impl<R> Comparison<R> {
    fn read(tokens: &mut Tokens, attributes: Attributes<R>) -> Option<Self> {
        let Token::Plain(name) = tokens.next()? else {
            return None;
        };
        let read = find_attribute(attributes, &name)?;
        let Token::Plain(operator) = tokens.next()? else {
            return None;
        };
        let operator = Operator::read(&operator)?;
        let value = match operator {
            Operator::IsPresent => String::new(),
            _ => match tokens.next()? {
                Token::Quoted(value) => value,
                Token::Plain(value) if ["true", "false"].contains(&value.as_str()) => value,
                _ => return None,
            },
        };
        Some(Self {
            read,
            operator,
            value: value.to_lowercase(),
        })
    }

    fn holds(&self, row: &R) -> bool {
        let values = (self.read)(row);
        let mut values = values.iter().map(|value| value.to_lowercase());
        values.any(|value| self.operator.holds(&value, &self.value))
    }
}

/// A part of a filter.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Plain(String),
    /// The text between quotes.
    Quoted(String),
}

type Tokens = Peekable<vec::IntoIter<Token>>;

fn is(token: &Token, keyword: &str) -> bool {
    matches!(token, Token::Plain(text) if text.eq_ignore_ascii_case(keyword))
}

/// Splits a filter. `None` if a quote is not closed.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '(' | ')' => 1,
            '"' => end_of_quoted(rest)?,
            _ => {
                let ends = |c: char| c.is_whitespace() || "()\"".contains(c);
                rest.find(ends).unwrap_or(rest.len())
            }
        };
        let (token, others) = rest.split_at(end);
        tokens.push(match first {
            '(' => Token::Open,
            ')' => Token::Close,
            // Strings have the syntax of JSON.
            '"' => Token::Quoted(serde_json::from_str(token).ok()?),
            _ => Token::Plain(token.to_owned()),
        });
        rest = others.trim_start();
    }
    Some(tokens)
}

/// The length of a quoted string at the start, with its quotes.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    end.map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTRIBUTES: Attributes<&str> = &[
        ("name", |row| vec![(*row).to_owned()]),
        ("size", |row| vec![row.len().to_string()]),
        ("nothing", |_| Vec::new()),
    ];

    #[test]
    fn filters_are_read_with_their_precedence() {
        for (filter, expected) in [
            (r#"name eq "ADA""#, "ada"),
            (r#"Name EQ "ada" OR name Sw "b""#, "ada bob bo"),
            (r#"name sw "b" and size eq "2" or name co "d""#, "ada bo"),
            (r#"name sw "b" and (size eq "2" or name co "d")"#, "bo"),
            (r#"(name pr)and(size ge "3")"#, "ada bob"),
            (r#"nothing pr"#, ""),
            (r#"name gt "bo" and name le "bob""#, "bob"),
            (r#"name eq "a\"b""#, ""),
        ] {
            let read = Filter::parse(filter, ATTRIBUTES).unwrap();
            let rows = ["ada", "bob", "bo"].into_iter();
            let found: Vec<&str> = rows.filter(|row| read.matches(row)).collect();
            assert_eq!(found.join(" "), expected, "{filter}");
        }
    }

    #[test]
    fn invalid_filters_are_refused() {
        let deep = format!("{}name pr{}", "(".repeat(10_000), ")".repeat(10_000));
        for filter in [
            "",
            "name",
            "name eq",
            "name eq ada",
            r#"name eq "ada"#,
            r#"name is "ada""#,
            r#"shoe eq "ada""#,
            r#"name eq "ada" and"#,
            r#"name eq "ada" name eq "bob""#,
            r#"(name eq "ada""#,
            r#"name eq "ada")"#,
            "()",
            &deep,
        ] {
            assert!(Filter::parse(filter, ATTRIBUTES).is_none(), "{filter}");
        }
    }
}
