//! Generates hosts for random routes: two words and two letters.

use crate::world::World;

const ADJECTIVES: [&str; 16] = [
    "amber", "breezy", "calm", "curious", "dapper", "eager", "fuzzy", "gentle", "humble", "jolly",
    "lucid", "mellow", "nimble", "quiet", "sunny", "witty",
];
const NOUNS: [&str; 16] = [
    "badger", "beacon", "canyon", "comet", "dingo", "falcon", "glacier", "heron", "island",
    "lantern", "meadow", "otter", "pebble", "raven", "sparrow", "walrus",
];

/// A name that is unlikely to be in use.
pub(crate) fn random(world: &mut World) -> String {
    let adjective = ADJECTIVES[world.random_below(ADJECTIVES.len())];
    let noun = NOUNS[world.random_below(NOUNS.len())];
    let letters: String = (0..2).map(|_| letter(world)).collect();
    format!("{adjective}-{noun}-{letters}")
}

fn letter(world: &mut World) -> char {
    let offset = u8::try_from(world.random_below(26)).unwrap_or_default();
    char::from(b'a' + offset)
}
