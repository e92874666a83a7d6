//! Texts for the steps of `push`.

use cf_pusher::events::PushStep;
use indicatif::HumanBytes;

/// The line of a step that starts.
pub(super) fn describe(step: PushStep) -> String {
    match step {
        PushStep::Upload { bytes: None } => {
            "nothing to upload: the Cloud Controller has all files".to_owned()
        }
        PushStep::Upload { bytes: Some(bytes) } => format!("uploading {}", HumanBytes(bytes)),
        PushStep::ReusePackage => "bits are unchanged, using the existing package".to_owned(),
        PushStep::UploadDroplet => "uploading the droplet".to_owned(),
        step => verb(step).to_owned(),
    }
}

/// The activity of a step, to be followed by the name of an app.
pub(super) fn verb(step: PushStep) -> &'static str {
    match step {
        PushStep::Upload { .. } => "uploading",
        PushStep::ReusePackage => "reusing the package of",
        PushStep::UploadDroplet => "uploading the droplet of",
        PushStep::Stage => "staging",
        PushStep::Stop => "stopping",
        PushStep::Start => "starting",
        PushStep::Deploy => "deploying",
        _ => "pushing",
    }
}
