//! SCIM filters, such as `userName eq "ada" and origin sw "ld"`.

/// The attributes by which resources can be filtered and sorted: names in lower
/// case, and their values.
pub(super) type Attributes<R> = &'static [(&'static str, fn(&R) -> Vec<String>)];

/// A filter in disjunctive form: it matches if all comparisons of one of the
/// lists hold.
pub(super) struct Filter<R: 'static>(Vec<Vec<Comparison<R>>>);

struct Comparison<R: 'static> {
    read: fn(&R) -> Vec<String>,
    matches: fn(&str, &str) -> bool,
    value: String,
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
    /// Reads a filter; `None` if it is not valid or names another attribute.
    pub(super) fn parse(text: &str, attributes: Attributes<R>) -> Option<Self> {
        let mut words = words(text)?.into_iter();
        let mut any = vec![Vec::new()];
        loop {
            let comparison = Comparison::read(&mut words, attributes)?;
            any.last_mut()?.push(comparison);
            match words.next().map(|word| word.to_lowercase()).as_deref() {
                None => return Some(Self(any)),
                Some("and") => {}
                Some("or") => any.push(Vec::new()),
                Some(_) => return None,
            }
        }
    }

    pub(super) fn matches(&self, row: &R) -> bool {
        let all = |comparisons: &Vec<Comparison<R>>| comparisons.iter().all(|c| c.holds(row));
        self.0.iter().any(all)
    }
}

impl<R> Comparison<R> {
    fn read(words: &mut impl Iterator<Item = String>, attributes: Attributes<R>) -> Option<Self> {
        let read = find_attribute(attributes, &words.next()?)?;
        let matches: fn(&str, &str) -> bool = match words.next()?.to_lowercase().as_str() {
            "eq" => |text, value| text == value,
            "co" => |text, value| text.contains(value),
            "sw" => |text, value| text.starts_with(value),
            // The attribute is present.
            "pr" => {
                return Some(Self {
                    read,
                    matches: |_, _| true,
                    value: String::new(),
                });
            }
            _ => return None,
        };
        let word = words.next()?;
        let quoted = word
            .strip_prefix('"')
            .and_then(|word| word.strip_suffix('"'));
        let value = match quoted {
            Some(value) => value,
            None if ["true", "false"].contains(&word.as_str()) => &word,
            None => return None,
        };
        Some(Self {
            read,
            matches,
            value: value.to_lowercase(),
        })
    }

    fn holds(&self, row: &R) -> bool {
        let values = (self.read)(row);
        let mut values = values.iter().map(|value| value.to_lowercase());
        values.any(|value| (self.matches)(&value, &self.value))
    }
}

/// Splits a filter into words and quoted strings with their quotes. `None` if a
/// quote is not closed.
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
