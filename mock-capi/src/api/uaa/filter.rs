//! SCIM's filters, as clients search users with them: comparisons such as
//! `userName eq "ada"`, joined by `and` and `or`.

use crate::world::Account;

/// A filter in its disjunctive form: any of these conjunctions.
#[derive(Debug)]
pub(super) struct Filter(Vec<Vec<Comparison>>);

#[derive(Debug)]
struct Comparison {
    attribute: Attribute,
    matches: fn(&str, &str) -> bool,
    value: String,
}

#[derive(Clone, Copy, Debug)]
enum Attribute {
    Id,
    Name,
    Origin,
}

impl Filter {
    /// Reads a filter; `None` if it is none that this understands.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = words(text)?.into_iter();
        let mut any = vec![Vec::new()];
        loop {
            let comparison = Comparison::read(&words.next()?, &words.next()?, &words.next()?)?;
            any.last_mut()?.push(comparison);
            match words.next().map(|word| word.to_lowercase()).as_deref() {
                None => return Some(Self(any)),
                Some("and") => {}
                Some("or") => any.push(Vec::new()),
                Some(_) => return None,
            }
        }
    }

    pub(super) fn admits(&self, account: &Account) -> bool {
        let all = |comparisons: &Vec<Comparison>| comparisons.iter().all(|c| c.holds(account));
        self.0.iter().any(all)
    }
}

impl Comparison {
    fn read(attribute: &str, operator: &str, value: &str) -> Option<Self> {
        let attribute = match attribute.to_lowercase().as_str() {
            "id" => Attribute::Id,
            "username" | "user_name" | "emails.value" | "email" => Attribute::Name,
            "origin" => Attribute::Origin,
            _ => return None,
        };
        let matches: fn(&str, &str) -> bool = match operator.to_lowercase().as_str() {
            "eq" => |text, value| text == value,
            "co" => |text, value| text.contains(value),
            "sw" => |text, value| text.starts_with(value),
            _ => return None,
        };
        let value = value.strip_prefix('"')?.strip_suffix('"')?.to_lowercase();
        Some(Self {
            attribute,
            matches,
            value,
        })
    }

    fn holds(&self, account: &Account) -> bool {
        let text = match self.attribute {
            Attribute::Id => account.base.guid.to_string(),
            Attribute::Name => account.name.to_lowercase(),
            Attribute::Origin => account.origin.to_lowercase(),
        };
        (self.matches)(&text, &self.value)
    }
}

/// Words and quoted texts; these keep their quotes. `None` if a quote is open.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('"') {
            Some(quoted) => quoted.find('"')? + 2,
            None => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        let (word, others) = rest.split_at(end);
        words.push(word.to_owned());
        rest = others.trim_start();
    }
    Some(words)
}
