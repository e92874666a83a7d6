//! Sidecars and their validation.

use super::{Field, Guid, Selection, Sidecar, World};

/// The fields of a sidecar. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewSidecar {
    pub(crate) name: Option<String>,
    pub(crate) command: Option<String>,
    pub(crate) process_types: Option<Vec<String>>,
    pub(crate) memory_mb: Option<Option<u32>>,
}

impl World {
    pub(crate) fn sidecars_of(&self, app: Guid) -> Vec<&Sidecar> {
        self.sidecars.select(&Selection::by(Field::App, app))
    }

    pub(crate) fn find_sidecar(&self, app: Guid, name: &str) -> Option<&Sidecar> {
        let mut sidecars = self.sidecars_of(app).into_iter();
        sidecars.find(|sidecar| sidecar.name == name)
    }

    /// The memory of all sidecars of a process except for one.
    pub(super) fn sidecar_memory(&self, app: Guid, kind: &str, except: Option<Guid>) -> u64 {
        self.sidecars_of(app)
            .into_iter()
            .filter(|sidecar| Some(sidecar.base.guid) != except)
            .filter(|sidecar| sidecar.process_types.iter().any(|other| other == kind))
            .map(|sidecar| u64::from(sidecar.memory_mb.unwrap_or_default()))
            .sum()
    }

    pub(crate) fn create_sidecar(&mut self, app: Guid, new: NewSidecar) -> Result<Guid, String> {
        self.check_sidecar(app, None, &new)?;
        let base = self.base();
        Ok(self.add(Sidecar {
            base,
            app,
            name: new.name.unwrap_or_default(),
            command: new.command.unwrap_or_default(),
            process_types: new.process_types.unwrap_or_default(),
            memory_mb: new.memory_mb.flatten(),
        }))
    }

    pub(crate) fn update_sidecar(&mut self, guid: Guid, new: NewSidecar) -> Result<(), String> {
        let Some(sidecar) = self.sidecars.get(guid) else {
            return Ok(());
        };
        self.check_sidecar(sidecar.app, Some(sidecar), &new)?;
        self.update_row(guid, |sidecar: &mut Sidecar| {
            if let Some(name) = new.name {
                sidecar.name = name;
            }
            if let Some(command) = new.command {
                sidecar.command = command;
            }
            if let Some(process_types) = new.process_types {
                sidecar.process_types = process_types;
            }
            if let Some(memory_mb) = new.memory_mb {
                sidecar.memory_mb = memory_mb;
            }
        });
        Ok(())
    }

    fn check_sidecar(
        &self,
        app: Guid,
        current: Option<&Sidecar>,
        new: &NewSidecar,
    ) -> Result<(), String> {
        const MAX_NAME: usize = 255;
        const MAX_COMMAND: usize = 4096;
        let own = current.map(|sidecar| sidecar.base.guid);
        let types = new.process_types.as_deref();
        let types = types
            .or(current.map(|sidecar| sidecar.process_types.as_slice()))
            .unwrap_or_default();
        let memory = match (new.memory_mb, current) {
            (Some(memory), _) => memory,
            (None, Some(sidecar)) => sidecar.memory_mb,
            (None, None) => None,
        };
        // A sidecar without memory is not checked when it is created.
        if own.is_some() || memory.is_some() {
            for kind in types {
                let others = self.sidecar_memory(app, kind, own);
                let together = others + u64::from(memory.unwrap_or_default());
                let process = self.process(app, kind);
                if process.is_some_and(|process| together >= u64::from(process.scale.memory_mb)) {
                    return Err(format!(
                        "The memory allocation defined is too large to run with the dependent \"{kind}\" process"
                    ));
                }
            }
        }
        let longer = |text: &Option<String>, max: usize| {
            text.as_ref().is_some_and(|text| text.chars().count() > max)
        };
        if longer(&new.name, MAX_NAME) {
            return Err(format!(
                "Name is too long (maximum is {MAX_NAME} characters)"
            ));
        }
        if longer(&new.command, MAX_COMMAND) {
            return Err(format!(
                "Command is too long (maximum is {MAX_COMMAND} characters)"
            ));
        }
        let holder = new
            .name
            .as_ref()
            .and_then(|name| self.find_sidecar(app, name));
        match holder {
            Some(holder) if Some(holder.base.guid) != own => Err(format!(
                "Sidecar with name '{}' already exists for given app",
                holder.name
            )),
            _ => Ok(()),
        }
    }
}
