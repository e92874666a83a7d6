//! Determines which droplet an app needs, with the steps that provide it and delete
//! unused ones.

use super::AppContext;
use crate::capi::model::{Droplet, Package, ResourceState};
use crate::converge::bits::image_sha256;
use crate::converge::observe::App;
use crate::converge::plan::step::ResourceRef;
use crate::converge::plan::{Change, Role, Space, Step};
use crate::desired::{Bits, Group};

/// The way in which an app gets the right droplet.
#[derive(Debug, Clone, Copy)]
pub(in crate::converge::plan) enum DropletNeed<'a> {
    /// The app runs with this droplet.
    Nothing(&'a Droplet),
    /// The app has this droplet, but runs with another droplet.
    Set(&'a Droplet),
    /// This package has the bits, and must be staged.
    Stage(&'a str),
    Push,
    /// The droplet of the group is uploaded.
    Upload,
    /// The app keeps its current droplet, if any.
    Keep,
    /// The prototype's droplet is copied. `None` is the droplet that the prototype gets in
    /// this run.
    Copy(Option<&'a str>),
}

pub(in crate::converge::plan) fn prototype_need<'a>(
    group: &Group,
    bits: &str,
    app: Option<&'a App>,
    space: &Space<'_>,
) -> DropletNeed<'a> {
    match group.bits {
        _ if group.entry.docker().is_some() => {}
        Bits::None => return DropletNeed::Keep,
        Bits::Droplet(_) => return droplet_need(bits, app),
        _ => {}
    }
    let Some(app) = app else {
        return DropletNeed::Push;
    };
    if keeps_unstaged_image(group, bits, app) {
        return DropletNeed::Keep;
    }
    let differences = space.observed.differences.get(&app.name);
    let mut differences = differences.into_iter().flatten();
    // The manifest sets another stack before the staging. An interrupted run must not
    // leave a droplet that looks correct.
    if differences.any(|it| it.path.first().is_some_and(|key| key == "stack")) {
        return DropletNeed::Push;
    }
    let right = |droplet: &&Droplet| is_staged(droplet) && is_of(droplet, group, bits);
    let bits = Some(bits);
    if !buildpacks_differ(group, app) {
        if let Some(droplet) = app.current().filter(right) {
            return DropletNeed::Nothing(droplet);
        }
        if let Some(droplet) = app.droplets.iter().find(right) {
            return DropletNeed::Set(droplet);
        }
    }
    let mut packages = app.packages.iter();
    let package = packages.find(|it| it.is_ready() && it.bits.as_deref() == bits);
    package.map_or(DropletNeed::Push, |package| {
        DropletNeed::Stage(&package.guid)
    })
}

/// Whether an app keeps an image that was never staged. An image that cf-pusher created
/// has an annotation. It must be staged even after an interrupted run.
fn keeps_unstaged_image(group: &Group, bits: &str, app: &App) -> bool {
    let is_stopped = !group.is_started() && !app.started;
    let is_it = |package: &Package| {
        let image = package.image.as_ref();
        let hash = image.map(|image| image_sha256(&image.name, image.username.as_deref()));
        package.bits.is_none() && hash.as_deref() == Some(bits)
    };
    group.ignores_droplets
        && is_stopped
        && !app.droplets.iter().any(is_staged)
        && app.packages.iter().any(is_it)
}

/// Whether a droplet was staged from the bits of a group. For a copy, the Cloud
/// Controller does not show the bits. It shows the image, but not the login.
fn is_of(droplet: &Droplet, group: &Group, bits: &str) -> bool {
    match (&droplet.bits, group.entry.docker()) {
        (Some(staged_from), _) => staged_from == bits,
        (None, Some(docker)) => {
            docker.username.is_none() && droplet.image.as_deref() == Some(docker.image)
        }
        (None, None) => false,
    }
}

/// The way in which an app gets the droplet with this checksum.
fn droplet_need<'a>(checksum: &str, app: Option<&'a App>) -> DropletNeed<'a> {
    let same =
        |droplet: &&Droplet| is_staged(droplet) && droplet.checksum.as_deref() == Some(checksum);
    if let Some(droplet) = app.and_then(App::current).filter(same) {
        return DropletNeed::Nothing(droplet);
    }
    let held = app.and_then(|app| app.droplets.iter().find(same));
    held.map_or(DropletNeed::Upload, DropletNeed::Set)
}

pub(in crate::converge::plan) fn clone_need<'a>(
    prototype: DropletNeed<'a>,
    app: Option<&'a App>,
) -> DropletNeed<'a> {
    let source = match prototype {
        DropletNeed::Nothing(droplet) | DropletNeed::Set(droplet) => droplet,
        DropletNeed::Keep => return DropletNeed::Keep,
        _ => return DropletNeed::Copy(None),
    };
    let same = |droplet: &&Droplet| is_staged(droplet) && is_copy(droplet, source);
    if let Some(droplet) = app.and_then(App::current).filter(same) {
        return DropletNeed::Nothing(droplet);
    }
    let held = app.and_then(|app| app.droplets.iter().find(same));
    held.map_or(DropletNeed::Copy(Some(&source.guid)), DropletNeed::Set)
}

/// Whether a droplet is a copy of another droplet. A droplet of a Docker image has no
/// checksum. It is a copy if it has the same image and is not older, because an older
/// droplet may have the login of another user.
fn is_copy(droplet: &Droplet, source: &Droplet) -> bool {
    match &source.image {
        None => droplet.checksum == source.checksum,
        image => droplet.image == *image && droplet.created_at >= source.created_at,
    }
}

fn is_staged(droplet: &Droplet) -> bool {
    droplet.state == ResourceState::Staged
}

/// Compares buildpacks. The Cloud Controller shows their URLs without credentials.
pub(super) fn buildpacks_differ(group: &Group, app: &App) -> bool {
    let shown = |buildpacks: &[String]| -> Vec<String> {
        let buildpacks = buildpacks.iter();
        buildpacks.map(|it| without_credentials(it)).collect()
    };
    shown(&group.entry.buildpacks()) != shown(&app.buildpacks)
}

pub(super) fn without_credentials(buildpack: &str) -> String {
    match (buildpack.split_once("://"), buildpack.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => buildpack.to_owned(),
    }
}

impl AppContext<'_> {
    /// Steps that make the droplet the current droplet. With `deploys`, they also start
    /// the app.
    pub(super) fn set_steps(&self, need: DropletNeed<'_>, deploys: bool) -> Vec<Step> {
        let set = |droplet: ResourceRef| match deploys {
            true => Step::Deploy { droplet },
            false => Step::SetDroplet { droplet },
        };
        match need {
            DropletNeed::Nothing(_) | DropletNeed::Keep => Vec::new(),
            DropletNeed::Set(droplet) => vec![set(ResourceRef::Existing(droplet.guid.clone()))],
            DropletNeed::Copy(_) | DropletNeed::Upload => vec![set(ResourceRef::New)],
            DropletNeed::Stage(_) | DropletNeed::Push => vec![
                set(ResourceRef::New),
                Step::AnnotateBitsHash {
                    droplet: ResourceRef::New,
                    hash: self.bits.to_owned(),
                },
            ],
        }
    }

    /// Annotates a prototype's droplet if only its package has the hash of the bits.
    pub(super) fn unannotated(&self, need: DropletNeed<'_>) -> Option<Step> {
        match need {
            DropletNeed::Nothing(droplet) | DropletNeed::Set(droplet)
                if self.role == Role::Prototype
                    && droplet.package.is_some()
                    && !droplet.annotated =>
            {
                Some(Step::AnnotateBitsHash {
                    droplet: ResourceRef::Existing(droplet.guid.clone()),
                    hash: self.bits.to_owned(),
                })
            }
            _ => None,
        }
    }
}

/// Reports whether the app needs another droplet.
pub(super) fn droplet_change(need: DropletNeed<'_>, app: &App, changes: &mut Vec<Change>) -> bool {
    let new = match need {
        DropletNeed::Nothing(_) | DropletNeed::Keep => return false,
        DropletNeed::Upload => "the uploaded droplet",
        DropletNeed::Push => "from the pushed bits",
        DropletNeed::Stage(_) => "from the staged bits",
        DropletNeed::Copy(_) => "a copy of the prototype's",
        DropletNeed::Set(_) => "the existing droplet",
    };
    let old = app.current_droplet.as_ref().map_or("none", |_| "another");
    changes.push(Change::new("droplet", old, new));
    true
}

/// Steps that stage, copy or upload the app's droplet.
pub(super) fn droplet_steps(need: DropletNeed<'_>, buildpacks: Option<Vec<String>>) -> Vec<Step> {
    match need {
        DropletNeed::Nothing(_) | DropletNeed::Set(_) | DropletNeed::Keep => Vec::new(),
        DropletNeed::Upload => vec![Step::UploadDroplet],
        DropletNeed::Stage(package) => vec![Step::Stage {
            package: ResourceRef::Existing(package.to_owned()),
            buildpacks,
        }],
        DropletNeed::Push => vec![
            Step::PushBits,
            Step::Stage {
                package: ResourceRef::New,
                buildpacks,
            },
        ],
        DropletNeed::Copy(from) => {
            let from = from.map(str::to_owned);
            let from = from.map_or(ResourceRef::New, ResourceRef::Existing);
            vec![Step::CopyDroplet { from }, Step::AwaitDroplet]
        }
    }
}

/// Steps that delete packages, except for the package of the app's current or future
/// droplet.
pub(super) fn unused_packages(need: DropletNeed<'_>, app: &App) -> Vec<Step> {
    let kept = match need {
        DropletNeed::Nothing(droplet) | DropletNeed::Set(droplet) => droplet.package.as_deref(),
        DropletNeed::Stage(package) => Some(package),
        DropletNeed::Push | DropletNeed::Upload | DropletNeed::Copy(_) => None,
        DropletNeed::Keep => return Vec::new(),
    };
    let pushes = matches!(need, DropletNeed::Push | DropletNeed::Stage(_));
    let annotated = app.droplets.iter().filter(|droplet| droplet.annotated);
    let remove = annotated
        .filter(|_| pushes)
        .map(|droplet| Step::RemoveBitsHash {
            droplet: droplet.guid.clone(),
        });
    let packages = app.packages.iter();
    let others = packages.filter(|package| Some(package.guid.as_str()) != kept);
    let delete = others.map(|package| Step::DeletePackage {
        package: package.guid.clone(),
    });
    remove.chain(delete).collect()
}

/// Steps that delete droplets, except for the app's current or future droplet. A droplet
/// that is being staged is kept.
pub(super) fn unused_droplets(need: DropletNeed<'_>, app: &App) -> Vec<Step> {
    let (kept, stages) = match need {
        DropletNeed::Nothing(droplet) | DropletNeed::Set(droplet) => {
            (Some(droplet.guid.as_str()), false)
        }
        DropletNeed::Copy(_) | DropletNeed::Upload => (None, false),
        DropletNeed::Stage(_) | DropletNeed::Push => (None, true),
        DropletNeed::Keep => return Vec::new(),
    };
    let droplets = app.droplets.iter();
    droplets
        .filter(|droplet| Some(droplet.guid.as_str()) != kept)
        .filter(|droplet| !(stages && droplet.state == ResourceState::Staging))
        .map(|droplet| Step::DeleteDroplet {
            droplet: droplet.guid.clone(),
        })
        .collect()
}

/// Reports unused packages and droplets of an app that keeps its droplet.
pub(super) fn count_unused(
    changes: &mut Vec<Change>,
    need: DropletNeed<'_>,
    packages: usize,
    droplets: usize,
) {
    let DropletNeed::Nothing(_) = need else {
        return;
    };
    for (property, count) in [("packages", packages), ("droplets", droplets)] {
        if count > 0 {
            changes.push(Change::new(
                property,
                format!("{count} unused"),
                "none unused",
            ));
        }
    }
}
