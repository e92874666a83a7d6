//! The steps of an app as the manifest workflow takes them: what a manifest can
//! say is said in one, together with other apps, and a droplet is set and the
//! app started by one deployment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Role, Step};
use crate::capi::dialect::Claims;
use crate::desired::Group;

/// The steps of an app, those that one request can do combined into one.
///
/// As before, whatever takes effect with a restart is done to a stopped app: so
/// where the manifest does, the app is stopped before it.
pub(super) fn combined(steps: Vec<Step>, group: &Group, role: Role) -> Vec<Step> {
    let deploys = steps.contains(&Step::Start);
    let mut parts = Parts::default();
    for step in steps {
        parts.add(step, group, role);
    }
    let Parts {
        mut before,
        claims,
        mut after,
        restarts,
    } = parts;
    if restarts && let Some(stop) = after.iter().position(|step| *step == Step::Stop) {
        before.insert(0, after.remove(stop));
    }
    if deploys {
        deploy(&mut after);
    }
    if claims != Claims::default() {
        before.push(Step::ApplyManifest(Box::new(claims)));
    }
    before.extend(after);
    before
}

#[derive(Default)]
struct Parts {
    before: Vec<Step>,
    claims: Claims,
    after: Vec<Step>,
    /// Whether what comes before or with the manifest takes effect with a restart.
    restarts: bool,
}

impl Parts {
    fn add(&mut self, step: Step, group: &Group, role: Role) {
        let claims = &mut self.claims;
        match step {
            Step::CreateApp => {
                claims.label = true;
                claims.env = Arc::clone(&group.env);
                if role == Role::Prototype {
                    claims.buildpacks.clone_from(&group.buildpacks);
                }
            }
            Step::LabelAsManaged => claims.label = true,
            Step::CreateRoute | Step::MapRoute { .. } => claims.route = true,
            Step::Scale(scale) => {
                claims.scale = scale;
                self.restarts |= scale.memory_mb.is_some() || scale.disk_mb.is_some();
            }
            Step::SetCommand(Some(command)) => {
                claims.command = Some(command);
                self.restarts = true;
            }
            Step::SetEnv(changes) => {
                self.restarts = true;
                // A manifest takes no variable away.
                let mut gone = BTreeMap::new();
                for (name, value) in changes {
                    match value {
                        Some(value) => {
                            Arc::make_mut(&mut claims.env).insert(name, value);
                        }
                        None => {
                            gone.insert(name, None);
                        }
                    }
                }
                if !gone.is_empty() {
                    self.before.push(Step::SetEnv(gone));
                }
            }
            Step::SetCommand(None) => {
                self.restarts = true;
                self.before.push(step);
            }
            Step::RemoveBitsHash { .. } | Step::DeletePackage { .. } => self.before.push(step),
            step => self.after.push(step),
        }
    }
}

/// Sets the droplet and starts in one, where both are to be done.
fn deploy(steps: &mut Vec<Step>) {
    for step in steps.iter_mut() {
        if let Step::SetDroplet { droplet } = step {
            let droplet = droplet.take();
            *step = Step::Deploy { droplet };
        }
    }
    if steps.iter().any(|step| matches!(step, Step::Deploy { .. })) {
        steps.retain(|step| *step != Step::Start);
    }
}
