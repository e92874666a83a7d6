//! Downloads of bits.

use crate::common::{Session, archive_of, send, sha256};
use mock_capi::MockCapi;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

async fn download(cf: &Session, path: &str) -> Vec<u8> {
    let request = cf.request(Method::GET, &format!("{path}/download"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    answer.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn packages_are_downloaded_unchanged() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.package(&app, b"the bits").await;
    let path = format!("/v3/packages/{package}");
    assert_eq!(download(&cf, &path).await, archive_of(b"the bits"));
    let events = cf
        .get("/v3/audit_events?types=audit.app.package.download")
        .await
        .json();
    assert_eq!(
        events["resources"][0]["data"]["package_guid"],
        package.as_str()
    );

    let new = crate::common::new_package(&app);
    let empty = cf.post("/v3/packages", new).await.guid();
    let refused = cf.get(&format!("/v3/packages/{empty}/download")).await;
    assert_eq!(refused.error().1, "Package has no bits to download.");
    // Bits that are too large are not kept, and the error contains the reason.
    let large = cf.package(&app, &vec![0; 1024 * 1024]).await;
    let gone = cf.get(&format!("/v3/packages/{large}/download")).await;
    assert_eq!(gone.status, 404);
    assert_eq!(gone.json()["errors"][0]["title"], "MockCapi-BitsNotKept");
}

#[tokio::test]
async fn downloaded_droplets_can_be_uploaded_again() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let staged = cf.stage(&app).await;
    let path = format!("/v3/droplets/{staged}");
    let bits = download(&cf, &path).await;
    let droplet = cf.get(&path).await.json();
    assert_eq!(droplet["checksum"]["value"], sha256(&bits));
    assert!(bits.starts_with(&[0x1f, 0x8b]), "a gzip archive");

    let other = cf.create_app(&space, "other").await;
    let related = json!({"relationships": {"app": {"data": {"guid": other}}}});
    let copy = format!("/v3/droplets?source_guid={staged}");
    let copy = cf.post(&copy, related.clone()).await.guid();
    assert_eq!(download(&cf, &format!("/v3/droplets/{copy}")).await, bits);

    let uploaded = cf.post("/v3/droplets", related).await.guid();
    let uploaded = format!("/v3/droplets/{uploaded}");
    assert_eq!(
        cf.get(&format!("{uploaded}/download")).await.error().1,
        "Only staged droplets can be downloaded."
    );
    let part = Part::bytes(bits.clone()).file_name("droplet.tgz");
    let request = cf.request(Method::POST, &format!("{uploaded}/upload"));
    send(request.multipart(Form::new().part("bits", part))).await;
    assert_eq!(download(&cf, &uploaded).await, bits);
    let uploaded = cf.get(&uploaded).await.json();
    assert_eq!(uploaded["checksum"], droplet["checksum"]);
}

#[tokio::test]
async fn bits_are_downloaded_only_with_permission() {
    let users = ["supporter", "auditor"];
    let builder = users.iter().fold(MockCapi::builder(), |builder, user| {
        builder.add_user(user, "secret")
    });
    let mut cf = Session::start(builder).await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let droplet = cf.stage(&app).await;
    let package = cf.get("/v3/packages").await.json()["resources"][0]["guid"].clone();
    let admin = cf.token.clone();
    for (user, for_droplet) in users.into_iter().zip([403, 200]) {
        cf.token.clone_from(&admin);
        let roles = [
            ("organization_user".to_owned(), "organization", &org),
            (format!("space_{user}"), "space", &space),
        ];
        for (kind, at, guid) in roles {
            let body = json!({
                "type": kind,
                "relationships": {
                    "user": {"data": {"username": user}},
                    at: {"data": {"guid": guid}},
                },
            });
            assert_eq!(cf.post("/v3/roles", body).await.status, 201);
        }
        cf.log_in_as(user, "secret").await;
        let answer = cf.get(&format!("/v3/droplets/{droplet}/download")).await;
        assert_eq!(answer.status, for_droplet, "{user}");
        let package = package.as_str().unwrap();
        let answer = cf.get(&format!("/v3/packages/{package}/download")).await;
        assert_eq!(answer.status, 403, "{user}");
    }
}
