//! Differences between the description and the Cloud Controller, and responses that its
//! examples do not match.

use std::collections::BTreeSet;

/// An operation (any operation if empty), the beginning of a difference (or any part of
/// it, after `*`), and the explanation.
type Exception = (&'static str, &'static str, &'static str);

const EXCEPTIONS: &[Exception] = &[
    (
        "GET /v3/service_instances",
        "*/broker_provided_metadata/attributes/max_connections: is missing",
        "the attributes are the broker's own",
    ),
    (
        "GET /v3/service_plans/:guid",
        "*/parameters/properties/billing-account: is missing",
        "the schema is the broker's own",
    ),
    (
        "",
        "*/buildpack/guid: null is not",
        "a usage event has every key, also those of another kind of event",
    ),
    (
        "",
        "*/process/guid: null is not",
        "a usage event has every key, also those of another kind of event",
    ),
    (
        "",
        "*/process/type: null is not",
        "a usage event has every key, also those of another kind of event",
    ),
    (
        "",
        "*/task/guid: null is not",
        "a usage event has every key, also those of another kind of event",
    ),
    (
        "",
        "*/relationships/quota/data: null is not",
        "a space without a quota has the relationship, with no data",
    ),
    (
        "",
        "*/relationships/space/data: null is not",
        "the role of an organization has both relationships",
    ),
    (
        "",
        "*/relationships/organization/data: null is not",
        "the role of a space has both relationships",
    ),
    (
        "",
        "*/relationships/user_group: is missing",
        "there are no roles of groups",
    ),
    (
        "",
        "*/links/download/method: is missing",
        "only the link to upload has a method",
    ),
    (
        "GET /v3/organizations/:guid/relationships/default_isolation_segment",
        "/data: null is not",
        "no segment is chosen",
    ),
    (
        "GET /v3/organizations/:guid/relationships/default_isolation_segment",
        "/links/related: is missing",
        "no segment is chosen",
    ),
    (
        "PATCH /v3/organizations/:guid/relationships/default_isolation_segment",
        "/data: null is not",
        "no segment is chosen",
    ),
    (
        "PATCH /v3/organizations/:guid/relationships/default_isolation_segment",
        "/links/related: is missing",
        "no segment is chosen",
    ),
    (
        "GET /v3/spaces/:guid/relationships/isolation_segment",
        "/data: null is not",
        "no segment is chosen",
    ),
    (
        "GET /v3/spaces/:guid/relationships/isolation_segment",
        "/links/related: is missing",
        "no segment is chosen",
    ),
    (
        "PATCH /v3/spaces/:guid/relationships/isolation_segment",
        "/data: null is not",
        "no segment is chosen",
    ),
    (
        "PATCH /v3/spaces/:guid/relationships/isolation_segment",
        "/links/related: is missing",
        "no segment is chosen",
    ),
    (
        "GET /v3/spaces/:guid/usage_summary",
        "/links/organization: is missing",
        "the summary of a space links to the space",
    ),
    (
        "DELETE /v3/droplets/:guid",
        "is ",
        "the response has no body, as for all jobs",
    ),
    (
        "GET /v3/apps/:guid/features",
        "has a body",
        "the list of features",
    ),
    (
        "GET /v3/apps/:guid/features/:name",
        "has a body",
        "the feature",
    ),
    (
        "PATCH /v3/apps/:guid/features/:name",
        "has a body",
        "the feature",
    ),
    (
        "GET /v3/domains",
        "/resources/*/links/router_group",
        "the link of domains for TCP",
    ),
    (
        "GET /v3/organizations/:guid/domains",
        "/resources/*/links/router_group",
        "the link of domains for TCP",
    ),
    (
        "GET /v3/droplets/:guid",
        "/links/package",
        "an uploaded droplet has no package",
    ),
    (
        "POST /v3/droplets",
        "/links/upload",
        "a copy is not uploaded",
    ),
    (
        "GET /v3/jobs/:guid",
        "/links/",
        "a deleted resource has no link",
    ),
    (
        "GET /v3/service_instances/:guid/credentials",
        "/",
        "credentials are the user's own",
    ),
    (
        "GET /v3/space_quotas",
        "/resources/*/relationships/organizations",
        "the relationship is named organization",
    ),
    ("", "*/data/request", "each kind of event has its own data"),
    (
        "",
        "*/lifecycle/data/",
        "the lifecycle of docker apps has no data",
    ),
    (
        "GET /v3/processes/:guid",
        "/process_instances",
        "the example embeds them",
    ),
    (
        "GET /v3/roles/:guid",
        "/links/organization",
        "the role of a space",
    ),
    (
        "POST /v3/roles",
        "/links/organization",
        "the role of a space",
    ),
    (
        "PATCH /v3/service_credential_bindings/:guid",
        "/links/parameters",
        "nothing has parameters that a user provides",
    ),
    (
        "POST /v3/service_credential_bindings",
        "/links/parameters",
        "nothing has parameters that a user provides",
    ),
    (
        "POST /v3/packages",
        "/data/",
        "the example is of a docker package",
    ),
    (
        "POST /v3/deployments/:guid/actions/cancel",
        "is ",
        "the answer has no body",
    ),
    (
        "POST /v3/deployments/:guid/actions/continue",
        "is ",
        "the answer has no body",
    ),
    (
        "GET /v3/packages/:guid/download",
        "is ",
        "without a remote blobstore, the response contains the bits",
    ),
    (
        "PATCH /v3/routes/:guid/relationships/space",
        "is ",
        "the response has a body with the text ok",
    ),
    (
        "POST /v3/spaces/:guid/manifest_diff",
        "has ",
        "the response is the difference, without a job",
    ),
];

/// The exception that explains a difference.
pub(crate) fn explain(operation: &str, fault: &str) -> Option<usize> {
    EXCEPTIONS.iter().position(|(of, what, _)| {
        let is_of = of.is_empty() || operation == *of;
        let begins = match what.strip_prefix('*') {
            Some(what) => fault.contains(what),
            None => fault.starts_with(what),
        };
        is_of && begins
    })
}

/// The exceptions that are no longer needed.
pub(crate) fn unused(used: &BTreeSet<usize>) -> Vec<&'static Exception> {
    let all = EXCEPTIONS.iter().enumerate();
    all.filter(|(index, _)| !used.contains(index))
        .map(|(_, exception)| exception)
        .collect()
}
