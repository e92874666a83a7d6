//! Reads lists of resources page by page.

use std::collections::HashSet;
use std::time::Instant;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::Client;
use super::root::Link;
use crate::capi::error::Error;
use crate::capi::parallel;
use crate::capi::transport::Request;

/// A page of a list, of v3 or v2.
#[derive(Deserialize)]
struct Page<T, I> {
    pagination: Option<Pagination>,
    next_url: Option<String>,
    resources: Vec<T>,
    included: Option<I>,
}

#[derive(Deserialize)]
struct Pagination {
    next: Option<Link>,
}

impl Client {
    /// All resources of a list, read page by page.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Error> {
        let (resources, _) = self.list_including::<T, IgnoredAny>(path, 1).await?;
        Ok(resources)
    }

    /// All resources of a list, and the `included` resources of each page. The first
    /// pages are requested in parallel, the others one by one.
    pub(crate) async fn list_including<T: DeserializeOwned, I: DeserializeOwned>(
        &self,
        path: &str,
        at_once: usize,
    ) -> Result<(Vec<T>, Vec<I>), Error> {
        let began = Instant::now();
        let mut resources = Vec::new();
        let mut included = Vec::new();
        let paths = (1..=at_once).map(|page| match page {
            1 => path.to_owned(),
            _ => format!("{path}&page={page}"),
        });
        let first = paths.clone().map(|path| self.page::<T, I>(path));
        let first: Vec<Page<T, I>> = parallel::run(at_once, first).await?;
        let mut seen: HashSet<String> = paths.collect();
        let mut first = first.into_iter();
        let mut path = path.to_owned();
        loop {
            let (page, is_last_at_once) = match first.next() {
                Some(page) => (page, first.len() == 0),
                None => (self.page(path.clone()).await?, true),
            };
            resources.extend(page.resources);
            included.extend(page.included);
            let next = page.pagination.and_then(|pagination| pagination.next);
            let Some(next) = next.map(|link| link.href).or(page.next_url) else {
                return Ok((resources, included));
            };
            if !is_last_at_once {
                continue;
            }
            let next = self.path_of(&next);
            if !seen.insert(next.clone()) {
                return Err(Error::UnexpectedResponse {
                    method: "GET".to_owned(),
                    path,
                    reason: "its pages repeat".to_owned(),
                    source: None,
                });
            }
            path = next;
            if began.elapsed() > self.timeout() {
                return Err(Error::Deadline {
                    what: "reading a list page by page".to_owned(),
                    waited: self.timeout(),
                    last: format!("{} resources read, next page {path}", resources.len()),
                });
            }
        }
    }

    async fn page<T: DeserializeOwned, I: DeserializeOwned>(
        &self,
        path: String,
    ) -> Result<Page<T, I>, Error> {
        self.send(&Request::get(path)).await?.json()
    }

    /// The first resource of a list that is filtered by name. `None` if the list is
    /// empty.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        Ok(self.list(path).await?.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use wiremock::matchers::{any, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::capi::client::ConnectOptions;
    use crate::capi::transport::Credentials;
    use crate::events::Events;

    /// A foundation with a list of `count` pages, each with its number.
    async fn with_pages(count: usize) -> (MockServer, Client) {
        let server = MockServer::start().await;
        let root = json!({"links": {
            "uaa": {"href": server.uri()},
            "cloud_controller_v3": {"meta": {"version": "3.200.0"}},
        }});
        let token = json!({"access_token": "token", "expires_in": 600});
        let page = move |request: &wiremock::Request| {
            let mut query = request.url.query_pairs();
            let page = query.find(|(name, _)| name == "page");
            let page: usize = page.map_or(1, |(_, page)| page.parse().unwrap());
            let next =
                (page < count).then(|| json!({"href": format!("/v3/list?page={}", page + 1)}));
            let resources: Vec<usize> = (page..=count).take(1).collect();
            ResponseTemplate::new(200)
                .set_body_json(json!({"pagination": {"next": next}, "resources": resources}))
        };
        let mocks = [
            Mock::given(path("/")).respond_with(ResponseTemplate::new(200).set_body_json(root)),
            Mock::given(path("/oauth/token"))
                .respond_with(ResponseTemplate::new(200).set_body_json(token)),
            Mock::given(any()).respond_with(page),
        ];
        for mock in mocks {
            mock.mount(&server).await;
        }
        let credentials = Credentials::Client {
            id: "client".to_owned(),
            secret: "secret".into(),
        };
        let options = ConnectOptions::new(server.uri(), credentials);
        let client = Client::connect(&options, Events::default()).await.unwrap();
        (server, client)
    }

    /// `requests` are the pages that are requested.
    #[rstest]
    #[case::one_by_one(5, 1, 5)]
    #[case::at_once(3, 3, 3)]
    #[case::more_than_expected(5, 3, 5)]
    #[case::fewer_than_expected(1, 3, 3)]
    #[case::none(0, 2, 2)]
    #[tokio::test]
    async fn a_list_has_all_pages(
        #[case] count: usize,
        #[case] at_once: usize,
        #[case] requests: usize,
    ) {
        let (server, client) = with_pages(count).await;
        let list = client.list_including::<usize, IgnoredAny>("/v3/list?per_page=1", at_once);
        let (resources, _) = list.await.unwrap();
        assert_eq!(resources, (1..=count).collect::<Vec<_>>());
        let received = server.received_requests().await.unwrap();
        assert_eq!(received.len(), 2 + requests);
    }
}
