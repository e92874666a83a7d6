//! The policy server's external API: network policies, which allow apps to connect to
//! each other directly. The Cloud Controller links to it, and it is the same for both
//! dialects.
//!
//! Version 1 has ranges of ports, version 0 has single ports. A creation adds new
//! policies and ignores existing ones, so every request may be sent again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::chunks;
use super::client::Client;
use super::error::Error;
use super::transport::Request;

/// The maximum number of policies per request.
pub(crate) const POLICIES_PER_REQUEST: usize = 100;

/// Allows the instances of one app to connect to the instances of another app directly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NetworkPolicy {
    /// The GUID of the app that connects.
    pub(crate) source: String,
    /// The GUID of the app that receives connections.
    pub(crate) destination: String,
    /// `tcp` or `udp`.
    pub(crate) protocol: String,
    /// The first and the last port.
    pub(crate) ports: (u16, u16),
}

impl NetworkPolicy {
    /// One policy for each port.
    fn single_ports(&self) -> impl Iterator<Item = Self> {
        let (first, last) = self.ports;
        (first..=last).map(|port| Self {
            ports: (port, port),
            ..self.clone()
        })
    }
}

/// A version of the policy server's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// A port per policy.
    V0,
    /// A range of ports per policy.
    V1,
}

/// The address of the policy server.
#[derive(Debug, Clone)]
pub(super) struct PolicyServer {
    /// The URL of its API.
    pub(super) url: String,
    pub(super) version: Version,
}

impl PolicyServer {
    /// In 2017, `GET /` had no link to the policy server, which had the Cloud Controller's
    /// host.
    pub(super) fn of_2017(api: &Url) -> Self {
        let api = api.as_str().trim_end_matches('/');
        Self {
            url: format!("{api}/networking/v0/external"),
            version: Version::V0,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WirePolicy {
    source: PolicyApp,
    destination: WireDestination,
}

#[derive(Serialize, Deserialize)]
struct PolicyApp {
    id: String,
}

#[derive(Serialize, Deserialize)]
struct WireDestination {
    id: String,
    protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<WireRange>,
}

#[derive(Serialize, Deserialize)]
struct WireRange {
    start: u16,
    end: u16,
}

#[derive(Deserialize)]
struct WireList {
    policies: Vec<WirePolicy>,
}

impl WirePolicy {
    fn of(policy: &NetworkPolicy, version: Version) -> Self {
        let (start, end) = policy.ports;
        Self {
            source: PolicyApp {
                id: policy.source.clone(),
            },
            destination: WireDestination {
                id: policy.destination.clone(),
                protocol: policy.protocol.clone(),
                port: (version == Version::V0).then_some(start),
                ports: (version == Version::V1).then_some(WireRange { start, end }),
            },
        }
    }

    /// The policy. `None` if it applies to all ports, like policies for ICMP.
    fn policy(self) -> Option<NetworkPolicy> {
        let destination = self.destination;
        let ports = destination.ports.map(|ports| (ports.start, ports.end));
        Some(NetworkPolicy {
            source: self.source.id,
            destination: destination.id,
            protocol: destination.protocol,
            ports: ports.or(destination.port.map(|port| (port, port)))?,
        })
    }
}

/// Operations of the policy server.
impl Client {
    /// The same policies in the form of the foundation's API, which may lack ranges of
    /// ports.
    pub(crate) fn policies_on_wire(
        &self,
        policies: Vec<NetworkPolicy>,
    ) -> Result<Vec<NetworkPolicy>, Error> {
        Ok(match self.known_policy_server()?.version {
            Version::V0 => policies
                .iter()
                .flat_map(NetworkPolicy::single_ports)
                .collect(),
            Version::V1 => policies,
        })
    }

    /// The policies that have one of these apps as source or destination.
    pub(crate) async fn network_policies(
        &self,
        apps: &[&str],
    ) -> Result<BTreeSet<NetworkPolicy>, Error> {
        let server = self.known_policy_server()?;
        let mut policies = BTreeSet::new();
        for apps in chunks::for_urls(apps) {
            let path = self.path_of(&format!("{}/policies?id={apps}", server.url));
            let list: WireList = self.get(&path).await?;
            let list = list.policies.into_iter();
            policies.extend(list.filter_map(WirePolicy::policy));
        }
        Ok(policies)
    }

    /// Creates policies. Existing policies are not changed.
    pub(crate) async fn create_network_policies(
        &self,
        policies: &[NetworkPolicy],
    ) -> Result<(), Error> {
        self.post_policies("policies", policies).await
    }

    /// Deletes policies. Policies that do not exist are ignored.
    pub(crate) async fn delete_network_policies(
        &self,
        policies: &[NetworkPolicy],
    ) -> Result<(), Error> {
        self.post_policies("policies/delete", policies).await
    }

    async fn post_policies(&self, path: &str, policies: &[NetworkPolicy]) -> Result<(), Error> {
        let PolicyServer { url, version } = self.known_policy_server()?;
        let path = self.path_of(&format!("{url}/{path}"));
        let policies = self.policies_on_wire(policies.to_vec())?;
        for policies in policies.chunks(POLICIES_PER_REQUEST) {
            let policies: Vec<WirePolicy> = policies
                .iter()
                .map(|policy| WirePolicy::of(policy, *version))
                .collect();
            let body: Value = json!({ "policies": policies });
            let request = Request::post(&path).json(body).repeatable();
            self.send(&request).await?;
        }
        Ok(())
    }

    fn known_policy_server(&self) -> Result<&PolicyServer, Error> {
        self.policy_server().ok_or_else(|| {
            let reason = "the foundation has no policy server: `GET /` has no link to one";
            Error::impossible("managing network policies", reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use wiremock::matchers::{method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::capi::client::ConnectOptions;
    use crate::capi::transport::Credentials;
    use crate::events::Events;

    /// A foundation that links to these versions of the policy server's API. It accepts
    /// creations and deletions.
    async fn foundation(versions: &[&str]) -> (MockServer, Client) {
        foundation_of("3.200.0", versions).await
    }

    /// The same foundation, with this version of the Cloud Controller's API.
    async fn foundation_of(api: &str, versions: &[&str]) -> (MockServer, Client) {
        let server = MockServer::start().await;
        let uri = server.uri();
        let mut root = json!({"links": {
            "uaa": {"href": uri},
            "cloud_controller_v3": {"meta": {"version": api}},
        }});
        for version in versions {
            let href = format!("https://api.example.com/networking/{version}/external");
            root["links"][format!("network_policy_{version}")] = json!({ "href": href });
        }
        let token = json!({"access_token": "token", "expires_in": 600});
        let respond = |body| ResponseTemplate::new(200).set_body_json(body);
        let mocks = [
            Mock::given(path("/")).respond_with(respond(root)),
            Mock::given(path("/oauth/token")).respond_with(respond(token)),
            Mock::given(method("POST")).respond_with(respond(json!({}))),
        ];
        for mock in mocks {
            mock.mount(&server).await;
        }
        let credentials = Credentials::Client {
            id: "client".to_owned(),
            secret: "secret".into(),
        };
        let options = ConnectOptions::new(uri, credentials).timeout(Duration::from_secs(5));
        let client = Client::connect(&options, Events::default()).await.unwrap();
        (server, client)
    }

    fn policy(ports: (u16, u16)) -> NetworkPolicy {
        NetworkPolicy {
            source: "SOURCE".to_owned(),
            destination: "DESTINATION".to_owned(),
            protocol: "tcp".to_owned(),
            ports,
        }
    }

    async fn bodies(server: &MockServer, path: &str) -> Vec<Value> {
        let requests = server.received_requests().await.unwrap();
        let requests = requests.iter().filter(|it| it.url.path() == path);
        requests
            .map(|it| serde_json::from_slice(&it.body).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn version_1_is_preferred_and_has_ranges_of_ports() {
        let (server, client) = foundation(&["v0", "v1"]).await;
        let policies = [policy((8080, 8080)), policy((7000, 7001))];
        client.create_network_policies(&policies).await.unwrap();
        client.delete_network_policies(&policies).await.unwrap();
        let created = bodies(&server, "/networking/v1/external/policies").await;
        insta::assert_snapshot!(created[0], @r#"{"policies":[{"source":{"id":"SOURCE"},"destination":{"id":"DESTINATION","protocol":"tcp","ports":{"start":8080,"end":8080}}},{"source":{"id":"SOURCE"},"destination":{"id":"DESTINATION","protocol":"tcp","ports":{"start":7000,"end":7001}}}]}"#);
        let deleted = bodies(&server, "/networking/v1/external/policies/delete").await;
        assert_eq!(deleted, created);
    }

    #[tokio::test]
    async fn version_0_has_a_policy_for_each_port() {
        let (server, client) = foundation(&["v0"]).await;
        let policies = [policy((7000, 7001))];
        client.create_network_policies(&policies).await.unwrap();
        let created = bodies(&server, "/networking/v0/external/policies").await;
        insta::assert_snapshot!(created[0], @r#"{"policies":[{"source":{"id":"SOURCE"},"destination":{"id":"DESTINATION","protocol":"tcp","port":7000}},{"source":{"id":"SOURCE"},"destination":{"id":"DESTINATION","protocol":"tcp","port":7001}}]}"#);
    }

    #[tokio::test]
    async fn version_0_belongs_to_a_cloud_controller_of_2017() {
        let (server, client) = foundation_of("3.13.0", &[]).await;
        let policies = [policy((8080, 8080))];
        client.create_network_policies(&policies).await.unwrap();
        let created = bodies(&server, "/networking/v0/external/policies").await;
        assert_eq!(created.len(), 1);
    }

    #[rstest]
    #[case("v1", &[1])]
    #[case("v0", &[100, 100, 1])]
    #[tokio::test]
    async fn a_request_has_up_to_100_policies(#[case] version: &str, #[case] expected: &[usize]) {
        let (server, client) = foundation(&[version]).await;
        let policies = [policy((7000, 7200))];
        client.create_network_policies(&policies).await.unwrap();
        let path = format!("/networking/{version}/external/policies");
        let created = bodies(&server, &path).await;
        let sizes: Vec<usize> = created
            .iter()
            .map(|body| body["policies"].as_array().unwrap().len())
            .collect();
        assert_eq!(sizes, expected);
        assert_eq!(
            client.policies_on_wire(policies.to_vec()).unwrap().len(),
            expected.iter().sum::<usize>()
        );
    }

    #[tokio::test]
    async fn policies_are_listed_by_their_apps() {
        let (server, client) = foundation(&["v1"]).await;
        let destination = json!({"id": "DESTINATION", "protocol": "tcp"});
        let mut listed = json!({"source": {"id": "SOURCE"}, "destination": destination});
        let icmp = listed.clone();
        listed["destination"]["ports"] = json!({"start": 7000, "end": 7001});
        let list = json!({"total_policies": 2, "policies": [listed, icmp]});
        Mock::given(path("/networking/v1/external/policies"))
            .and(query_param("id", "SOURCE,OTHER"))
            .respond_with(ResponseTemplate::new(200).set_body_string(list.to_string()))
            .mount(&server)
            .await;
        let policies = client.network_policies(&["SOURCE", "OTHER"]).await.unwrap();
        assert_eq!(policies, BTreeSet::from([policy((7000, 7001))]));
    }

    #[tokio::test]
    async fn a_foundation_without_a_policy_server_is_an_error() {
        let (_server, client) = foundation(&[]).await;
        let error = client.network_policies(&["SOURCE"]).await.unwrap_err();
        insta::assert_snapshot!(error, @"managing network policies failed: the foundation has no policy server: `GET /` has no link to one");
    }
}
