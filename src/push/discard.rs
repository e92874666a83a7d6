//! Deleting an app that a push has created, without touching anything that somebody
//! else has begun to use.

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{App, Route};

/// Deletes an app that a manifest has just created, with the routes that were
/// created for it. An app that was started in the meantime, or has another package than
/// `package`, is in use: then nothing is deleted, and the result is false.
pub(super) async fn delete_new(
    client: &Client,
    app: &App,
    package: Option<&str>,
    named_routes: &[String],
) -> Result<bool, Error> {
    let now = client.app(&app.guid).await?;
    let packages = client.packages_of_app(&app.guid).await?;
    let mut packages = packages.iter().map(|it| it.guid.as_str());
    if now.is_started || !packages.all(|it| Some(it) == package) {
        return Ok(false);
    }
    let routes = client.routes_of_app(&app.guid).await?;
    let created = routes.iter().filter(|it| is_of(it, app, named_routes));
    for route in created {
        client.delete_route("deleting a route", &route.guid).await?;
    }
    let what = format!("deleting {}", app.name);
    client.delete_app(&what, &app.guid).await?;
    Ok(true)
}

/// Whether a route was created with the app or after it, and leads to it alone. The
/// Cloud Controller's times are in seconds, so a route that the manifest names must
/// be newer than the app: it may have existed before.
fn is_of(route: &Route, app: &App, named_routes: &[String]) -> bool {
    let is_named = named_routes.contains(&route.url);
    let is_newer = route.created_at > app.created_at;
    let is_as_old = route.created_at == app.created_at;
    let mut destinations = route.destinations.iter();
    (is_newer || (is_as_old && !is_named)) && destinations.all(|it| it.app == app.guid)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::capi::model::Destination;

    #[rstest]
    #[case::newer("2026-01-01T00:00:02Z", "r.example.com", "app", true)]
    #[case::as_old("2026-01-01T00:00:01Z", "r.example.com", "app", true)]
    #[case::named("2026-01-01T00:00:01Z", "named.example.com", "app", false)]
    #[case::older("2026-01-01T00:00:00Z", "r.example.com", "app", false)]
    #[case::shared("2026-01-01T00:00:02Z", "r.example.com", "other", false)]
    fn only_routes_that_were_created_for_the_app_go_with_it(
        #[case] created_at: &str,
        #[case] url: &str,
        #[case] destination: &str,
        #[case] expected: bool,
    ) {
        let app = App {
            guid: "app".to_owned(),
            name: "dora".to_owned(),
            created_at: "2026-01-01T00:00:01Z".to_owned(),
            ..App::default()
        };
        let to = |app: &str| Destination {
            app: app.to_owned(),
            process_type: "web".to_owned(),
            port: None,
            protocol: None,
        };
        let route = Route {
            url: url.to_owned(),
            destinations: vec![to("app"), to(destination)],
            created_at: created_at.to_owned(),
            ..Route::default()
        };
        let named = ["named.example.com".to_owned()];
        assert_eq!(is_of(&route, &app, &named), expected);
    }
}
