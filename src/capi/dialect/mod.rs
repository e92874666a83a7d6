//! The one place that knows where the 2017 API of the seed document and today's
//! v3 differ: for each operation that writes, its request in both. How each
//! dialect is read is in [`v3`] and [`documented_2017`].

pub(crate) mod documented_2017;
mod uploads;
pub(crate) mod v3;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::error::Error;
use super::inventory::{
    BITS_ANNOTATION, BITS_VARIABLE, MANAGED_BY_LABEL, MANAGED_BY_VALUE, MANAGED_BY_VARIABLE,
    PREFIX_ANNOTATION, Rule,
};
use super::transport::Request;

/// The first v3 version that is no longer as documented in 2017: its actions
/// are at `/actions/...`.
const FIRST_AFTER_2017: (u64, u64) = (3, 26);

/// The first v3 version with all that is used of today's: the last to come were
/// security groups.
const FIRST_TODAY: (u64, u64) = (3, 84);

/// How many requests of one kind, for one app each, are under way together.
const PER_APP: usize = 64;

/// More memory than any foundation has, in MB, where v2 knows no "unlimited".
const V2_MEMORY_LIMIT: u64 = 1_000_000_000;

/// How a Cloud Controller is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The API v3 of today.
    V3,
    /// The API as the document of 2017 describes it, v2 beside an early v3.
    Documented2017,
}

/// What an app is created with.
#[derive(Debug, Clone)]
pub(crate) struct NewApp<'a> {
    pub(crate) name: &'a str,
    pub(crate) space: &'a str,
    pub(crate) env: &'a BTreeMap<String, String>,
    /// Those to stage with; none where a droplet is copied, or to have them detected.
    pub(crate) buildpacks: &'a [String],
}

/// What a process is scaled to; `None` leaves as is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) instances: Option<u32>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) disk_mb: Option<u64>,
}

/// How the web process is checked; what is none stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HealthCheck<'a> {
    /// `port`, `process` or `http`.
    pub(crate) check: Option<&'a str>,
    /// The path that is asked for an `http` check.
    pub(crate) endpoint: Option<&'a str>,
    /// In seconds.
    pub(crate) invocation_timeout: Option<u64>,
}

impl Dialect {
    /// The dialect of a Cloud Controller that advertises this v3 version, if
    /// either fits.
    pub(crate) fn of_version(version: &str) -> Option<Self> {
        let mut parts = version.split('.');
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
        match number().zip(number()) {
            Some(version) if version < FIRST_AFTER_2017 => Some(Self::Documented2017),
            Some(version) if version < FIRST_TODAY => None,
            _ => Some(Self::V3),
        }
    }

    /// A quota that limits nothing.
    pub(crate) fn create_quota(self, name: &str) -> Request {
        match self {
            Self::V3 => Request::post("/v3/organization_quotas").json(json!({"name": name})),
            Self::Documented2017 => Request::post("/v2/quota_definitions").json(json!({
                "name": name,
                "non_basic_services_allowed": true,
                "total_services": -1,
                "total_routes": -1,
                "memory_limit": V2_MEMORY_LIMIT,
                "instance_memory_limit": -1,
                "app_instance_limit": -1,
            })),
        }
    }

    pub(crate) fn delete_quota(self, quota: &str) -> Request {
        Request::delete(match self {
            Self::V3 => format!("/v3/organization_quotas/{quota}"),
            Self::Documented2017 => format!("/v2/quota_definitions/{quota}"),
        })
    }

    pub(crate) fn create_org(self, name: &str, prefix: &str) -> Request {
        match self {
            Self::V3 => Request::post("/v3/organizations")
                .json(json!({"name": name, "metadata": managed_by_us(prefix)})),
            Self::Documented2017 => Request::post("/v2/organizations").json(json!({"name": name})),
        }
    }

    pub(crate) fn assign_quota(self, quota: &str, org: &str) -> Request {
        match self {
            Self::V3 => Request::post(format!(
                "/v3/organization_quotas/{quota}/relationships/organizations"
            ))
            .json(json!({"data": [{"guid": org}]}))
            .repeatable(),
            Self::Documented2017 => Request::put(format!("/v2/organizations/{org}"))
                .json(json!({"quota_definition_guid": quota})),
        }
    }

    pub(crate) fn delete_org(self, org: &str) -> Request {
        Request::delete(match self {
            Self::V3 => format!("/v3/organizations/{org}"),
            Self::Documented2017 => format!("/v2/organizations/{org}?recursive=true&async=true"),
        })
    }

    pub(crate) fn create_space(self, name: &str, org: &str, prefix: &str) -> Request {
        match self {
            Self::V3 => Request::post("/v3/spaces").json(json!({
                "name": name,
                "relationships": {"organization": {"data": {"guid": org}}},
                "metadata": managed_by_us(prefix),
            })),
            Self::Documented2017 => {
                Request::post("/v2/spaces").json(json!({"name": name, "organization_guid": org}))
            }
        }
    }

    pub(crate) fn create_security_group(self, name: &str, rules: &[Rule]) -> Request {
        let body = json!({"name": name, "rules": rules});
        match self {
            Self::V3 => Request::post("/v3/security_groups").json(body),
            Self::Documented2017 => Request::post("/v2/security_groups").json(body),
        }
    }

    pub(crate) fn update_security_group(self, group: &str, rules: &[Rule]) -> Request {
        let body = json!({"rules": rules});
        match self {
            Self::V3 => Request::patch(format!("/v3/security_groups/{group}")).json(body),
            Self::Documented2017 => Request::put(format!("/v2/security_groups/{group}")).json(body),
        }
    }

    pub(crate) fn bind_security_group(self, group: &str, space: &str) -> Request {
        match self {
            Self::V3 => Request::post(format!(
                "/v3/security_groups/{group}/relationships/running_spaces"
            ))
            .json(json!({"data": [{"guid": space}]}))
            .repeatable(),
            Self::Documented2017 => {
                Request::put(format!("/v2/security_groups/{group}/spaces/{space}"))
            }
        }
    }

    pub(crate) fn delete_security_group(self, group: &str) -> Request {
        Request::delete(match self {
            Self::V3 => format!("/v3/security_groups/{group}"),
            Self::Documented2017 => format!("/v2/security_groups/{group}"),
        })
    }

    pub(crate) fn create_app(self, app: &NewApp<'_>, prefix: &str) -> Request {
        let mut body = json!({
            "name": app.name,
            "relationships": {"space": {"data": {"guid": app.space}}},
        });
        match self {
            Self::V3 => {
                body["environment_variables"] = json!(app.env);
                body["metadata"] = managed_by_us(prefix);
            }
            Self::Documented2017 => {
                let mut env = app.env.clone();
                env.insert(MANAGED_BY_VARIABLE.to_owned(), MANAGED_BY_VALUE.to_owned());
                body["environment_variables"] = json!(env);
            }
        }
        if !app.buildpacks.is_empty() {
            body["lifecycle"] = lifecycle(app.buildpacks);
        }
        Request::post("/v3/apps").json(body)
    }

    /// Marks an app as ours.
    pub(crate) fn adopt_app(self, app: &str, prefix: &str) -> Request {
        match self {
            Self::V3 => Request::patch(format!("/v3/apps/{app}"))
                .json(json!({"metadata": managed_by_us(prefix)})),
            Self::Documented2017 => {
                let mark = Some(MANAGED_BY_VALUE.to_owned());
                let changes = BTreeMap::from([(MANAGED_BY_VARIABLE.to_owned(), mark)]);
                self.set_env(app, &changes)
            }
        }
    }

    pub(crate) fn delete_app(self, app: &str) -> Request {
        Request::delete(format!("/v3/apps/{app}"))
    }

    /// Sets environment variables, and removes those without a value.
    pub(crate) fn set_env(self, app: &str, changes: &BTreeMap<String, Option<String>>) -> Request {
        let body = match self {
            Self::V3 => json!({"var": changes}),
            Self::Documented2017 => json!(changes),
        };
        Request::patch(format!("/v3/apps/{app}/environment_variables")).json(body)
    }

    pub(crate) fn set_buildpacks(self, app: &str, buildpacks: &[String]) -> Request {
        Request::patch(format!("/v3/apps/{app}")).json(json!({"lifecycle": lifecycle(buildpacks)}))
    }

    /// Sets the start command of the web process; `None` leaves it to the droplet.
    pub(crate) fn set_command(self, app: &str, command: Option<&str>) -> Request {
        Request::patch(self.web_process(app)).json(json!({"command": command}))
    }

    pub(crate) fn create_package(self, app: &str, bits: &str) -> Request {
        let mut body = json!({
            "type": "bits",
            "relationships": {"app": {"data": {"guid": app}}},
        });
        if self == Self::V3 {
            body["metadata"] = json!({"annotations": {(BITS_ANNOTATION): bits}});
        }
        Request::post("/v3/packages").json(body)
    }

    /// Stages a package: into a build today, into a droplet in 2017.
    /// With `buildpacks`, where none have them detected; without, with the app's.
    pub(crate) fn stage(self, package: &str, buildpacks: Option<&[String]>) -> Request {
        let (request, mut body) = match self {
            Self::V3 => (
                Request::post("/v3/builds"),
                json!({"package": {"guid": package}}),
            ),
            Self::Documented2017 => (
                Request::post(format!("/v3/packages/{package}/droplets")),
                json!({}),
            ),
        };
        if let Some(buildpacks) = buildpacks {
            body["lifecycle"] = lifecycle(buildpacks);
        }
        request.json(body)
    }

    /// Lists what is being staged of an app.
    pub(crate) fn stagings(self, app: &str) -> String {
        match self {
            Self::V3 => format!("/v3/builds?app_guids={app}&states=STAGING"),
            Self::Documented2017 => {
                format!("/v3/droplets?app_guids={app}&states=PENDING,STAGING")
            }
        }
    }

    /// Looks at what [`Dialect::stage`] made.
    pub(crate) fn staging(self, staged: &str) -> String {
        match self {
            Self::V3 => format!("/v3/builds/{staged}"),
            Self::Documented2017 => format!("/v3/droplets/{staged}"),
        }
    }

    /// The droplet of a staging that has ended.
    pub(crate) fn staged_droplet(self, staging: &Value) -> Option<String> {
        let guid = match self {
            Self::V3 => staging.pointer("/droplet/guid"),
            Self::Documented2017 => staging.get("guid"),
        };
        guid?.as_str().map(str::to_owned)
    }

    pub(crate) fn copy_droplet(self, droplet: &str, app: &str) -> Request {
        match self {
            Self::V3 => Request::post(format!("/v3/droplets?source_guid={droplet}"))
                .json(json!({"relationships": {"app": {"data": {"guid": app}}}})),
            Self::Documented2017 => Request::post(format!("/v3/droplets/{droplet}/copy"))
                .json(json!({"relationships": {"app": {"guid": app}}})),
        }
    }

    pub(crate) fn set_current_droplet(self, app: &str, droplet: &str) -> Request {
        Request::patch(format!("/v3/apps/{app}/relationships/current_droplet"))
            .json(json!({"data": {"guid": droplet}}))
    }

    /// Notes the bits of a prototype's droplet: on it, or in 2017 on its app.
    pub(crate) fn note_bits(self, app: &str, droplet: &str, bits: &str) -> Request {
        match self {
            Self::V3 => annotate_droplet(droplet, Some(bits)),
            Self::Documented2017 => {
                let noted = Some(bits.to_owned());
                let changes = BTreeMap::from([(BITS_VARIABLE.to_owned(), noted)]);
                self.set_env(app, &changes)
            }
        }
    }

    /// Takes away what [`Dialect::note_bits`] noted.
    pub(crate) fn forget_bits(self, app: &str, droplet: &str) -> Request {
        match self {
            Self::V3 => annotate_droplet(droplet, None),
            Self::Documented2017 => {
                let changes = BTreeMap::from([(BITS_VARIABLE.to_owned(), None)]);
                self.set_env(app, &changes)
            }
        }
    }

    pub(crate) fn start(self, app: &str) -> Request {
        match self {
            Self::V3 => Request::post(format!("/v3/apps/{app}/actions/start")).repeatable(),
            Self::Documented2017 => Request::put(format!("/v3/apps/{app}/start")),
        }
    }

    pub(crate) fn stop(self, app: &str) -> Request {
        match self {
            Self::V3 => Request::post(format!("/v3/apps/{app}/actions/stop")).repeatable(),
            Self::Documented2017 => Request::put(format!("/v3/apps/{app}/stop")),
        }
    }

    pub(crate) fn scale(self, app: &str, scale: Scale) -> Request {
        let mut body = Map::new();
        let fields = [
            ("instances", scale.instances.map(u64::from)),
            ("memory_in_mb", scale.memory_mb),
            ("disk_in_mb", scale.disk_mb),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        match self {
            Self::V3 => {
                Request::post(format!("/v3/apps/{app}/processes/web/actions/scale")).repeatable()
            }
            Self::Documented2017 => Request::put(format!("/v3/apps/{app}/processes/web/scale")),
        }
        .json(Value::Object(body))
    }

    pub(crate) fn create_route(
        self,
        host: &str,
        domain: &str,
        space: &str,
        path: Option<&str>,
    ) -> Request {
        let (url, mut body) = match self {
            Self::V3 => (
                "/v3/routes",
                json!({
                    "host": host,
                    "relationships": {
                        "domain": {"data": {"guid": domain}},
                        "space": {"data": {"guid": space}},
                    },
                }),
            ),
            Self::Documented2017 => (
                "/v2/routes",
                json!({
                    "domain_guid": domain,
                    "space_guid": space,
                    "host": host,
                }),
            ),
        };
        if let Some(path) = path {
            body["path"] = json!(path);
        }
        Request::post(url).json(body)
    }

    /// Makes a route lead to the web processes of some apps, and nowhere else.
    pub(crate) fn set_destinations(
        self,
        route: &str,
        apps: &[String],
        protocol: Option<&str>,
    ) -> Request {
        let destination = |app: &String| {
            let mut destination = json!({"app": {"guid": app}});
            if let Some(protocol) = protocol {
                destination["protocol"] = json!(protocol);
            }
            destination
        };
        let destinations: Vec<Value> = apps.iter().map(destination).collect();
        Request::patch(format!("/v3/routes/{route}/destinations"))
            .json(json!({"destinations": destinations}))
    }

    /// Sets labels and annotations of an org or a space; in 2017 there were none.
    pub(crate) fn set_metadata(
        self,
        is_org: bool,
        guid: &str,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Option<Request> {
        let kind = if is_org { "organizations" } else { "spaces" };
        let metadata = json!({"labels": labels, "annotations": annotations});
        (self == Self::V3).then(|| {
            Request::patch(format!("/v3/{kind}/{guid}")).json(json!({"metadata": metadata}))
        })
    }

    /// Removes labels and annotations of an app.
    pub(crate) fn remove_metadata(
        self,
        app: &str,
        labels: &[String],
        annotations: &[String],
    ) -> Request {
        let gone = |keys: &[String]| -> Map<String, Value> {
            let keys = keys.iter();
            keys.map(|key| (key.clone(), Value::Null)).collect()
        };
        let metadata = json!({"labels": gone(labels), "annotations": gone(annotations)});
        Request::patch(format!("/v3/apps/{app}")).json(json!({"metadata": metadata}))
    }

    /// Sets how the web process is checked.
    pub(crate) fn set_health_check(self, app: &str, check: HealthCheck<'_>) -> Request {
        let mut data = Map::new();
        if let Some(endpoint) = check.endpoint {
            data.insert("endpoint".to_owned(), json!(endpoint));
        }
        if let Some(timeout) = check.invocation_timeout {
            data.insert("invocation_timeout".to_owned(), json!(timeout));
        }
        let mut body = json!({"data": data});
        if let Some(check) = check.check {
            body["type"] = json!(check);
        }
        Request::patch(self.web_process(app)).json(json!({"health_check": body}))
    }

    fn web_process(self, app: &str) -> String {
        match self {
            Self::V3 => format!("/v3/apps/{app}/processes/web"),
            // In 2017 the web process had the app's GUID.
            Self::Documented2017 => format!("/v3/processes/{app}"),
        }
    }

    pub(crate) fn map_route(self, route: &str, app: &str) -> Request {
        match self {
            Self::V3 => Request::post(format!("/v3/routes/{route}/destinations"))
                .json(json!({"destinations": [{"app": {"guid": app}}]}))
                .repeatable(),
            Self::Documented2017 => Request::post("/v3/route_mappings").json(json!({
                "relationships": {"app": {"guid": app}, "route": {"guid": route}},
            })),
        }
    }

    pub(crate) fn delete_route(self, route: &str) -> Request {
        Request::delete(match self {
            Self::V3 => format!("/v3/routes/{route}"),
            Self::Documented2017 => format!("/v2/routes/{route}"),
        })
    }
}

/// How an app is staged, as both dialects tell it.
#[derive(Deserialize)]
struct Lifecycle {
    data: LifecycleData,
}

#[derive(Deserialize)]
struct LifecycleData {
    #[serde(default)]
    buildpacks: Vec<String>,
}

/// The droplet that an app runs with, if it has one.
async fn current_droplet(client: &Client, app: &str) -> Result<Option<String>, Error> {
    let path = format!("/v3/apps/{app}/relationships/current_droplet");
    match client.get::<Value>(&path).await {
        Ok(relationship) => Ok(relationship
            .pointer("/data/guid")
            .and_then(Value::as_str)
            .map(str::to_owned)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The GUID that a link ends in.
fn last_segment(href: &str) -> Option<String> {
    let (_, last) = href.rsplit_once('/')?;
    Some(last.to_owned())
}

/// Why the apps have no domain.
pub(crate) fn no_domain(wanted: Option<&str>) -> Error {
    Error::Local {
        what: "finding the domain of the apps' routes".to_owned(),
        reason: match wanted {
            Some(name) => format!("the foundation has no domain {name}; check apps_domain"),
            None => "the foundation shares no domain; set apps_domain".to_owned(),
        },
    }
}

fn annotate_droplet(droplet: &str, bits: Option<&str>) -> Request {
    let metadata = json!({"annotations": {(BITS_ANNOTATION): bits}});
    Request::patch(format!("/v3/droplets/{droplet}")).json(json!({"metadata": metadata}))
}

fn lifecycle(buildpacks: &[String]) -> Value {
    json!({"type": "buildpack", "data": {"buildpacks": buildpacks}})
}

fn managed_by_us(prefix: &str) -> Value {
    json!({
        "labels": {(MANAGED_BY_LABEL): MANAGED_BY_VALUE},
        "annotations": {(PREFIX_ANNOTATION): prefix},
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::transport::Body;
    use super::*;

    #[rstest]
    #[case("3.228.0", Some(Dialect::V3))]
    #[case("3.84.0", Some(Dialect::V3))]
    #[case("3.83.0", None)]
    #[case("3.26.0", None)]
    #[case("3.25.0", Some(Dialect::Documented2017))]
    #[case("3.13.0", Some(Dialect::Documented2017))]
    #[case("4.0.0", Some(Dialect::V3))]
    #[case("next", Some(Dialect::V3))]
    #[case("", Some(Dialect::V3))]
    fn the_version_tells_the_dialect(#[case] version: &str, #[case] expected: Option<Dialect>) {
        assert_eq!(Dialect::of_version(version), expected);
    }

    /// The whole table: each request that makes, moves or ends something.
    #[rstest]
    #[case::v3("v3", Dialect::V3)]
    #[case::documented_2017("2017", Dialect::Documented2017)]
    fn each_operation_has_its_request(#[case] name: &str, #[case] dialect: Dialect) {
        let env = BTreeMap::from([("GOPACKAGENAME".to_owned(), "example-apps/proxy".to_owned())]);
        let app = NewApp {
            name: "synthetic-proxy",
            space: "SPACE",
            env: &env,
            buildpacks: &[],
        };
        let rules = [Rule {
            protocol: "tcp".to_owned(),
            destination: "169.254.0.1".to_owned(),
            ports: Some("1".to_owned()),
        }];
        let all = Scale {
            instances: Some(3),
            memory_mb: Some(64),
            disk_mb: Some(128),
        };
        let instances = Scale {
            instances: Some(3),
            ..Scale::default()
        };
        let requests = [
            dialect.create_quota("q"),
            dialect.create_org("o", "scale-"),
            dialect.assign_quota("QUOTA", "ORG"),
            dialect.create_space("s", "ORG", "scale-"),
            dialect.create_security_group("g", &rules),
            dialect.update_security_group("GROUP", &rules),
            dialect.bind_security_group("GROUP", "SPACE"),
            dialect.create_app(&app, "scale-"),
            dialect.adopt_app("APP", "scale-"),
            dialect.create_package("APP", "sha"),
            dialect.stage("PACKAGE", None),
            dialect.stage("PACKAGE", Some(&["go_buildpack".to_owned()])),
            dialect.note_bits("APP", "DROPLET", "sha"),
            dialect.forget_bits("APP", "DROPLET"),
            dialect.copy_droplet("DROPLET", "APP"),
            dialect.set_current_droplet("APP", "DROPLET"),
            dialect.create_route("synthetic-proxy", "DOMAIN", "SPACE", None),
            dialect.map_route("ROUTE", "APP"),
            dialect.scale("APP", instances),
            dialect.scale("APP", all),
            dialect.start("APP"),
            dialect.stop("APP"),
            dialect.set_command("APP", Some("./proxy")),
            dialect.set_command("APP", None),
            dialect.set_buildpacks("APP", &["go_buildpack".to_owned()]),
            dialect.set_health_check(
                "APP",
                HealthCheck {
                    check: Some("http"),
                    endpoint: Some("/up"),
                    invocation_timeout: Some(2),
                },
            ),
            dialect.delete_route("ROUTE"),
            dialect.delete_app("APP"),
            dialect.delete_org("ORG"),
            dialect.delete_quota("QUOTA"),
            dialect.delete_security_group("GROUP"),
        ];
        let lines: Vec<String> = requests.iter().map(shown).collect();
        insta::assert_snapshot!(format!("requests_{name}"), lines.join("\n"));
    }

    fn shown(request: &Request) -> String {
        let body = match &request.body {
            Body::Json(body) => format!(" {body}"),
            _ => String::new(),
        };
        format!("{} {}{body}", request.method, request.path)
    }
}
