//! What each kind of row is found and ordered by.

use super::guid::Guid;
use super::model::{
    App, Build, Domain, Droplet, Job, Org, Package, Process, Quota, Route, SecurityGroup, Space,
};
use super::table::{Base, Field, Key, Row};
use crate::metadata::Metadata;

impl Row for Org {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Quota, self.quota),
        ]
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }

    fn order_text(&self, column: &str) -> &str {
        match column {
            "name" => &self.name,
            _ => "",
        }
    }
}

impl Row for Space {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Org, self.org),
        ]
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }

    fn order_text(&self, column: &str) -> &str {
        match column {
            "name" => &self.name,
            _ => "",
        }
    }
}

impl Row for Quota {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Field::Name, &self.name)]
    }
}

impl Row for SecurityGroup {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        let keys_of = |field: Field, spaces: &[Guid]| -> Vec<Key> {
            spaces
                .iter()
                .map(|&space| Key::Guid(field, space))
                .collect()
        };
        let mut keys = vec![Key::text(Field::Name, &self.name)];
        keys.extend(keys_of(Field::RunningSpace, &self.running_spaces));
        keys.extend(keys_of(Field::StagingSpace, &self.staging_spaces));
        keys
    }
}

impl Row for Domain {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::text(Field::Name, &self.name)];
        keys.extend(self.org.map(|org| Key::Guid(Field::Org, org)));
        keys
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }
}

impl Row for App {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }

    fn order_text(&self, column: &str) -> &str {
        match column {
            "name" => &self.name,
            "state" => self.state(),
            _ => "",
        }
    }
}

impl Row for Process {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
            Key::text(Field::Type, &self.kind),
        ]
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }
}

impl Row for Package {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }
}

impl Row for Build {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Package, self.package),
        ]
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }
}

impl Row for Droplet {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
        ];
        keys.extend(
            self.package
                .map(|package| Key::Guid(Field::Package, package)),
        );
        keys
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }
}

impl Row for Route {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::Guid(Field::Space, self.space),
            Key::Guid(Field::Domain, self.domain),
            Key::text(Field::Host, &self.host),
        ];
        for destination in &self.destinations {
            keys.push(Key::Guid(Field::App, destination.app));
            keys.push(Key::Guid(Field::Destination, destination.guid));
        }
        keys
    }

    fn metadata(&self) -> Option<&Metadata> {
        Some(&self.metadata)
    }
}

impl Row for Job {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }
}
