//! Uploads, and known files that clients need not upload.

use std::io::{Cursor, Write};

use crate::common::{HttpResponse, Session, new_package, send};
use mock_capi::PackageFile;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

/// The size of a file that the Cloud Controller remembers.
const LARGE: usize = 70_000;
/// The checksum of an unknown file.
const UNKNOWN: &str = "1ed1a47b1c5d2af0bcb7ae7c3bd4bd4a9f8b7a4c";

fn archive(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_directory("empty/", SimpleFileOptions::default())
        .unwrap();
    for (path, content, mode) in files {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        zip.start_file(*path, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

async fn upload(
    cf: &Session,
    package: &str,
    bits: Option<Vec<u8>>,
    resources: Value,
) -> HttpResponse {
    let mut form = Form::new().text("resources", resources.to_string());
    if let Some(bits) = bits {
        form = form.part("bits", Part::bytes(bits).file_name("app.zip"));
    }
    let path = format!("/v3/packages/{package}/upload");
    send(cf.request(Method::POST, &path).multipart(form)).await
}

async fn matched(cf: &Session, resources: Value) -> HttpResponse {
    cf.post("/v3/resource_matches", json!({"resources": resources}))
        .await
}

fn resource(sha1: &str, size: usize, path: &str) -> Value {
    json!({"checksum": {"value": sha1}, "size_in_bytes": size, "path": path, "mode": "0644"})
}

/// Path, size and mode of a package's files.
fn files(cf: &Session, package: &str) -> Vec<(String, u64, Option<u32>)> {
    let files = cf.mock.package_files(package).unwrap().into_iter();
    files
        .map(
            |PackageFile {
                 path, size, mode, ..
             }| (path, size, mode),
        )
        .collect()
}

#[tokio::test]
async fn uploaded_files_are_matched_and_can_be_omitted() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let bits = archive(&[("lib/big.bin", &[0; LARGE], 0o755), ("small", b"x", 0o644)]);
    let first = cf.post("/v3/packages", new_package(&app)).await.guid();
    assert_eq!(cf.mock.package_files(&first), None);
    assert_eq!(upload(&cf, &first, Some(bits), json!([])).await.status, 200);
    assert_eq!(
        files(&cf, &first),
        [
            ("lib/big.bin".to_owned(), 70_000, Some(0o755)),
            ("small".to_owned(), 1, Some(0o644)),
        ]
    );
    let [big, small] = [0, 1].map(|at| cf.mock.package_files(&first).unwrap()[at].sha1.clone());
    assert_eq!(small, "11f6ad8ec52a2984abaafd7c3b516503785c2072");

    // Small files are not remembered, and unknown ones do not match.
    let known = resource(&big, LARGE, "big.bin");
    let asked = json!([
        resource(UNKNOWN, LARGE, "other"),
        resource(&small, 1, "small"),
        known
    ]);
    let answer = matched(&cf, asked).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json(), json!({"resources": [known]}));
    // Files that the app could not read do not match either.
    let mut unreadable = known.clone();
    unreadable["mode"] = json!("0400");
    assert_eq!(
        matched(&cf, json!([unreadable])).await.json(),
        json!({"resources": []})
    );

    // Resources can have the names of v2, and be sent together with bits.
    let second = cf.post("/v3/packages", new_package(&app)).await.guid();
    let bits = archive(&[("new", b"yz", 0o600)]);
    let of_v2 = json!([{"fn": "big", "sha1": big, "size": LARGE, "mode": "755"}]);
    upload(&cf, &second, Some(bits), of_v2).await;
    assert_eq!(
        files(&cf, &second),
        [
            ("big".to_owned(), 70_000, Some(0o755)),
            ("new".to_owned(), 2, Some(0o600)),
        ]
    );

    // A package can also be uploaded without any bits.
    let third = cf.post("/v3/packages", new_package(&app)).await.guid();
    upload(&cf, &third, None, json!([known])).await;
    assert_eq!(
        files(&cf, &third),
        [("big.bin".to_owned(), 70_000, Some(0o644))]
    );
    let package = cf.get(&format!("/v3/packages/{third}")).await.json();
    assert_eq!(package["state"], "READY");
}

#[tokio::test]
async fn invalid_resources_fail_the_package() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let mut read_only = resource(UNKNOWN, LARGE, "a");
    read_only["mode"] = json!("0400");
    for (resource, error) in [
        (
            resource(UNKNOWN, LARGE, "a"),
            format!("Could not find object '{UNKNOWN}', 404/Not Found"),
        ),
        (
            resource(UNKNOWN, LARGE, "../a"),
            "The resource file path is invalid: File path '../a' is not safe.".to_owned(),
        ),
        (
            read_only,
            "The resource file mode is invalid: File mode '0400' with path 'a' is invalid. \
             Minimum file mode is '0600'"
                .to_owned(),
        ),
    ] {
        let package = cf.post("/v3/packages", new_package(&app)).await.guid();
        let answer = upload(&cf, &package, None, json!([resource])).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let package = cf.get(&format!("/v3/packages/{package}")).await.json();
        assert_eq!(package["state"], "FAILED");
        assert_eq!(package["data"]["error"], error);
    }
    let package = cf.post("/v3/packages", new_package(&app)).await.guid();
    for (resources, detail) in [
        (json!([]), "Upload must include either resources or bits"),
        (json!("x"), "Resources must be valid JSON."),
    ] {
        let refused = upload(&cf, &package, None, resources).await;
        assert_eq!(refused.error(), (10008, detail.into()));
    }
}

#[tokio::test]
async fn requests_for_matches_are_limited() {
    let cf = Session::v3().await;
    let one = |key: &str, value: Value| {
        let mut resource = resource(UNKNOWN, 1, "a");
        resource[key] = value;
        json!([resource])
    };
    let with = "Resources array contains at least one resource with";
    for (resources, detail) in [
        (
            json!([]),
            "Resources must have at least 1 resource".to_owned(),
        ),
        (
            json!(null),
            "Resources must be an array, Resources must have at least 1 resource".to_owned(),
        ),
        (
            Value::Array(vec![resource(UNKNOWN, 1, "a"); 5001]),
            "Resources array can have at most 5000 resources".to_owned(),
        ),
        (
            one("checksum", json!(1)),
            format!("{with} a non-object checksum"),
        ),
        (
            one("checksum", json!({"value": "abc"})),
            format!("{with} a non-SHA1 checksum value"),
        ),
        (
            one("size_in_bytes", json!("1")),
            format!("{with} a non-integer size_in_bytes"),
        ),
        (
            one("size_in_bytes", json!(-1)),
            format!("{with} a negative size_in_bytes"),
        ),
        (one("mode", json!(644)), format!("{with} a non-string mode")),
        (
            one("mode", json!("rw")),
            format!("{with} an incorrect mode"),
        ),
    ] {
        let refused = matched(&cf, resources).await;
        assert_eq!(refused.error(), (10008, detail));
    }
}

#[tokio::test]
async fn a_package_of_bits_that_are_not_an_archive_fails() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let empty = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let empty = empty.finish().unwrap().into_inner();
    for (bits, reason) in [
        (b"text".to_vec(), "Invalid zip archive."),
        (empty, "Invalid zip archive (zipfile is empty)."),
    ] {
        let package = cf.post("/v3/packages", new_package(&app)).await.guid();
        let answer = upload(&cf, &package, Some(bits), json!([])).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["state"], "PROCESSING_UPLOAD");
        let package = cf.get(&format!("/v3/packages/{package}")).await.json();
        assert_eq!(package["state"], "FAILED");
        assert_eq!(
            package["data"],
            json!({
                "error": format!("The app upload is invalid: {reason}"),
                "checksum": {"type": "sha256", "value": null},
            })
        );
        let build = json!({"package": {"guid": package["guid"]}});
        assert_eq!(cf.post("/v3/builds", build).await.status, 400);
    }
}

#[tokio::test]
async fn packages_are_copied_to_other_apps() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let other = cf.create_app(&space, "other").await;
    let package = cf.package(&app, b"bits").await;
    let path = format!("/v3/packages?source_guid={package}");
    let to = |app: &str| json!({"relationships": {"app": {"data": {"guid": app}}}});
    let copy = cf.post(&path, to(&other)).await;
    assert_eq!(copy.status, 201);
    assert_eq!(copy.json()["state"], "COPYING");
    let copied = cf
        .get(&format!("/v3/packages/{}", copy.guid()))
        .await
        .json();
    assert_eq!(copied["state"], "READY");
    let original = cf.get(&format!("/v3/packages/{package}")).await.json();
    assert_eq!(copied["data"], original["data"]);
    for (path, app, detail) in [
        (
            path.as_str(),
            app.as_str(),
            "Source and destination app cannot be the same",
        ),
        (
            &path,
            "x",
            "App is invalid. Ensure it exists and you have access to it.",
        ),
        (
            "/v3/packages?source_guid=x",
            &other,
            "Source package is invalid. Ensure it exists and you have access to it.",
        ),
    ] {
        assert_eq!(cf.post(path, to(app)).await.error(), (10008, detail.into()));
    }
    let credentials = json!({"username": "me", "password": "secret"});
    let refused = cf
        .patch(&format!("/v3/packages/{package}"), credentials)
        .await;
    assert_eq!(
        refused.error().1,
        "Cannot update Docker credentials for a buildpack app."
    );
}

#[tokio::test]
async fn a_docker_image_becomes_a_droplet() {
    let cf = Session::v3().await;
    cf.allow_docker().await;
    let (_, space) = cf.space().await;
    let mut app = crate::common::new_app(&space, "app");
    app["lifecycle"] = json!({"type": "docker", "data": {}});
    let app = cf.post("/v3/apps", app).await.guid();
    let mut package = new_package(&app);
    package["type"] = json!("docker");
    package["data"] = json!({"image": "nginx:1", "username": "me", "password": "secret"});
    let package = cf.post("/v3/packages", package).await;
    assert_eq!(
        package.json()["data"],
        json!({"image": "nginx:1", "username": "me", "password": "***"})
    );
    assert_eq!(package.json()["state"], "READY");
    let body = json!({"package": {"guid": package.guid()}});
    let build = cf.post("/v3/builds", body).await.guid();
    let build = cf.get(&format!("/v3/builds/{build}")).await.json();
    let droplet = build["droplet"]["guid"].as_str().unwrap();
    let droplet = cf.get(&format!("/v3/droplets/{droplet}")).await.json();
    assert_eq!(droplet["image"], "nginx:1");
    assert_eq!(droplet["checksum"], Value::Null);
    assert_eq!(droplet["lifecycle"]["type"], "docker");
    let of_package = format!("/v3/packages/{}/droplets", package.guid());
    let listed = cf.get(&of_package).await.json();
    assert_eq!(listed["resources"][0]["guid"], droplet["guid"]);
}

#[tokio::test]
async fn old_packages_and_droplets_of_an_app_expire() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    for _ in 0..6 {
        cf.stage(&app).await;
    }
    let states = async |kind: &str| {
        let list = cf.get(&format!("/v3/{kind}?app_guids={app}")).await.json();
        let resources = list["resources"].as_array().unwrap().clone();
        let states = resources
            .iter()
            .map(|it| it["state"].as_str().unwrap().to_owned());
        states.collect::<Vec<_>>()
    };
    // The current droplet and its package are kept, and five others.
    let expected = |ready: &str| {
        let mut states = vec![ready.to_owned(), "EXPIRED".to_owned()];
        states.extend(vec![ready.to_owned(); 5]);
        states
    };
    assert_eq!(states("droplets").await, expected("STAGED"));
    assert_eq!(states("packages").await, expected("READY"));
    let expired = cf
        .get(&format!("/v3/droplets?app_guids={app}&states=EXPIRED"))
        .await;
    let expired = expired.json()["resources"][0].clone();
    assert_eq!(expired["checksum"], serde_json::Value::Null);
    let path = format!(
        "/v3/droplets/{}/download",
        expired["guid"].as_str().unwrap()
    );
    assert_eq!(
        cf.get(&path).await.error().1,
        "Only staged droplets can be downloaded."
    );
}
