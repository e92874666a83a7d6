//! Tasks of operators: completing builds, clearing caches, and managing stacks and
//! buildpacks.

use std::io::{Cursor, Write};
use std::time::Duration;

use crate::common::{HttpResponse, Session, archive_of, new_app, new_package, send};
use mock_capi::MockCapi;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_stager_can_complete_builds() {
    let cf = Session::start(MockCapi::builder().staging_time(TIME)).await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.post("/v3/packages", new_package(&app)).await.guid();
    cf.upload(&package, b"bits").await;
    cf.mock.advance(TIME);
    let body = json!({"package": {"guid": package}});

    let build = cf.post("/v3/builds", body.clone()).await.guid();
    let path = format!("/v3/builds/{build}");
    for (body, detail) in [
        (
            json!({"state": "STAGING"}),
            "State 'STAGING' is not a valid state",
        ),
        (
            json!({"state": "STAGED"}),
            "Lifecycle 'STAGED' builds require lifecycle data",
        ),
    ] {
        assert_eq!(cf.patch(&path, body).await.error().1, detail);
    }
    let failed = cf
        .patch(&path, json!({"state": "FAILED", "error": "no luck"}))
        .await
        .json();
    assert_eq!(
        (&failed["state"], &failed["error"], &failed["droplet"]),
        (
            &json!("FAILED"),
            &json!("StagerError - Stager error: no luck"),
            &Value::Null
        )
    );

    let build = cf.post("/v3/builds", body).await.guid();
    let staged = json!({
        "state": "STAGED",
        "lifecycle": {"data": {"processTypes": {"web": "./run", "worker": "./work"}}},
        "metadata": {"labels": {"by": "stager"}},
    });
    let staged = cf.patch(&format!("/v3/builds/{build}"), staged).await;
    assert_eq!(staged.json()["state"], "STAGED");
    assert_eq!(staged.json()["metadata"]["labels"]["by"], "stager");
    let droplet = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    assert_eq!(
        (
            &droplet.json()["guid"],
            &droplet.json()["process_types"]["worker"]
        ),
        (&staged.json()["droplet"]["guid"], &json!("./work"))
    );
}

#[tokio::test]
async fn buildpack_caches_are_cleared_in_jobs() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    for (path, operation) in [
        (
            format!("/v3/apps/{app}/actions/clear_buildpack_cache"),
            "app.clear_buildpack_cache",
        ),
        (
            "/v3/admin/actions/clear_buildpack_cache".into(),
            "admin.clear_buildpack_cache",
        ),
    ] {
        let answer = cf.post(&path, json!({})).await;
        assert_eq!(answer.status, 202);
        let job = cf.get(answer.header("location")).await.json();
        assert_eq!(job["operation"], operation);
    }
}

#[tokio::test]
async fn stacks_are_created_and_deleted() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let body = json!({"name": "mine", "description": "of my own", "unknown": 1});
    let created = cf.post("/v3/stacks", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json()["state"], "ACTIVE");
    let path = format!("/v3/stacks/{}", created.guid());
    for (body, detail) in [
        (json!({"name": "mine"}), "Name must be unique"),
        (json!({}), "Name can't be blank"),
        (
            json!({"name": "x", "state": "GONE"}),
            "State must be one of ACTIVE, RESTRICTED, DEPRECATED, DISABLED",
        ),
    ] {
        assert_eq!(cf.post("/v3/stacks", body).await.error().1, detail);
    }

    let on_mine = |name: &str| {
        let mut app = new_app(&space, name);
        app["lifecycle"] = json!({"type": "buildpack", "data": {"stack": "mine"}});
        app
    };
    let app = cf.post("/v3/apps", on_mine("app")).await.guid();
    assert_eq!(cf.names(&format!("{path}/apps")).await, ["app"]);
    assert_eq!(
        cf.delete(&path).await.error().1,
        "Cannot delete stack 'mine' because apps are currently using the stack."
    );

    let deprecated = json!({"state": "DEPRECATED", "state_reason": "It is old."});
    cf.patch(&path, deprecated).await;
    let warned = cf.post("/v3/apps", on_mine("warned")).await;
    assert_eq!(
        warned.header("x-cf-warnings").replace('+', " "),
        "WARNING%3A The stack %27mine%27 is %27DEPRECATED%27 and will be removed in the future. It is old."
    );
    cf.patch(&path, json!({"state": "DISABLED", "state_reason": null}))
        .await;
    let refused =
        "ERROR: Staging failed. The stack 'mine' is 'DISABLED' and cannot be used for staging.";
    assert_eq!(
        cf.post("/v3/apps", on_mine("refused")).await.error(),
        (10008, refused.into())
    );
    let package = cf.package(&app, b"bits").await;
    let build = json!({"package": {"guid": package}});
    assert_eq!(
        cf.post("/v3/builds", build).await.error(),
        (250_004, refused.into())
    );

    for app in ["app", "warned"] {
        let app = cf.find_app(app).await;
        cf.delete(&format!("/v3/apps/{app}")).await;
    }
    assert_eq!(cf.delete(&path).await.status, 204);
    assert_eq!(
        cf.post("/v3/apps", on_mine("late")).await.error().1,
        "Stack must be an existing stack"
    );
}

async fn upload_buildpack(cf: &Session, path: &str, bits: Vec<u8>) -> HttpResponse {
    let form = Form::new().part("bits", Part::bytes(bits).file_name("mine.zip"));
    send(
        cf.request(Method::POST, &format!("{path}/upload"))
            .multipart(form),
    )
    .await
}

#[tokio::test]
async fn buildpacks_are_uploaded_and_ordered() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let body = json!({"name": "mine", "stack": "cflinuxfs4", "position": 2});
    let created = cf.post("/v3/buildpacks", body.clone()).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(
        (&created.json()["state"], &created.json()["position"]),
        (&json!("AWAITING_UPLOAD"), &json!(2))
    );
    let path = format!("/v3/buildpacks/{}", created.guid());
    let before = cf.names("/v3/buildpacks").await;
    assert_eq!(before[1], "mine");
    cf.patch(&path, json!({"position": 1000})).await;
    assert_eq!(cf.names("/v3/buildpacks").await.last().unwrap(), "mine");
    let first = cf.get("/v3/buildpacks?per_page=2").await.json()["pagination"]["first"].clone();
    let link = format!("{}/v3/buildpacks?page=1&per_page=2", cf.mock.uri());
    assert_eq!(first["href"], link);
    for (body, detail) in [
        (
            body,
            "Buildpack with name 'mine', stack 'cflinuxfs4' and lifecycle 'buildpack' already exists",
        ),
        (
            json!({}),
            "Name must be a string, Name can't be blank, Name is too long (maximum is 250 characters), Name is invalid",
        ),
        (
            json!({"name": "a b", "position": 0}),
            "Name is invalid, Position must be greater than or equal to 1",
        ),
        (
            json!({"name": "x", "stack": "none"}),
            "Stack 'none' does not exist",
        ),
    ] {
        assert_eq!(cf.post("/v3/buildpacks", body).await.error().1, detail);
    }
    assert_eq!(
        cf.patch(&path, json!({"stack": "cflinuxfs3"}))
            .await
            .error()
            .1,
        "Buildpack stack cannot be changed"
    );

    assert_eq!(
        upload_buildpack(&cf, &path, b"no zip".to_vec())
            .await
            .error()
            .1,
        "Uploaded buildpack file is invalid: mine.zip is not a zip file. \
         Buildpacks of lifecycle \"buildpack\" must be valid zip files."
    );
    let uploaded = upload_buildpack(&cf, &path, archive_of(b"file")).await;
    assert_eq!(uploaded.status, 202, "{uploaded:?}");
    let job = cf.get(uploaded.header("location")).await.json();
    assert_eq!(job["operation"], "buildpack.upload");
    let ready = cf.get(&path).await.json();
    assert_eq!(
        (&ready["state"], &ready["filename"]),
        (&json!("READY"), &json!("mine.zip"))
    );

    let mut app = new_app(&space, "app");
    app["lifecycle"] = json!({"type": "buildpack", "data": {"buildpacks": ["mine"]}});
    let app = cf.post("/v3/apps", app).await.guid();
    cf.patch(&path, json!({"locked": true, "enabled": false}))
        .await;
    assert_eq!(
        upload_buildpack(&cf, &path, archive_of(b"file"))
            .await
            .error()
            .1,
        "Buildpack is locked"
    );
    let package = cf.package(&app, b"bits").await;
    let build = json!({"package": {"guid": package}});
    assert_eq!(
        cf.post("/v3/builds", build).await.error(),
        (
            290_003,
            "Buildpack is invalid: Requested buildpack(s) 'mine' are disabled and cannot be used for staging".into()
        )
    );
    assert_eq!(cf.delete(&path).await.status, 202);
    assert_eq!(cf.get(&path).await.status, 404);
    assert!(!cf.names("/v3/buildpacks").await.contains(&"mine".into()));
}

/// A zip archive with this manifest.
fn with_manifest(manifest: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("manifest.yml", options).unwrap();
    zip.write_all(manifest.as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn an_upload_fails_in_its_job_if_the_archive_is_invalid() {
    let cf = Session::v3().await;
    let created = cf.post("/v3/buildpacks", json!({"name": "mine"})).await;
    let path = format!("/v3/buildpacks/{}", created.guid());
    let uploads = "/v3/audit_events?types=audit.buildpack.upload";
    for (bits, error) in [
        (
            b"PK\x03\x04 but no archive".to_vec(),
            (
                390_013,
                "Buildpack zip error: buildpack zipfile is not valid",
            ),
        ),
        (
            with_manifest("stack: ["),
            (
                390_013,
                "Buildpack zip error: buildpack manifest is not valid",
            ),
        ),
        (
            with_manifest("stack: none"),
            (390_012, "Uploaded buildpack stack (none) does not exist"),
        ),
    ] {
        let uploaded = upload_buildpack(&cf, &path, bits).await;
        assert_eq!(uploaded.status, 202, "{uploaded:?}");
        let job = cf.get(uploaded.header("location")).await;
        assert_eq!(job.json()["state"], "FAILED");
        let (code, detail) = error;
        assert_eq!(job.error(), (code, detail.into()));
        assert_eq!(cf.get(&path).await.json()["state"], "AWAITING_UPLOAD");
    }
    assert_eq!(cf.get(uploads).await.json()["resources"], json!([]));
    upload_buildpack(&cf, &path, with_manifest("stack: cflinuxfs4")).await;
    assert_eq!(cf.get(&path).await.json()["stack"], "cflinuxfs4");
    let event = cf.get(uploads).await.json()["resources"][0].take();
    assert_eq!(event["target"]["name"], "mine");
    assert_eq!(event["data"]["request"]["bits_name"], "mine.zip");
}

#[tokio::test]
async fn v2_uploads_buildpacks_at_once() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    let created = cf.post("/v2/buildpacks", json!({"name": "mine"})).await;
    let path = format!("/v2/buildpacks/{}", created.v2_guid());
    let upload = async |cf: &Session, bits: Vec<u8>, file: Option<&'static str>| {
        let part = Part::bytes(bits);
        let part = match file {
            Some(file) => part.file_name(file),
            None => part,
        };
        let form = Form::new().part("buildpack", part);
        let request = cf.request(Method::PUT, &format!("{path}/bits"));
        send(request.multipart(form)).await
    };
    let error = |answer: &HttpResponse| {
        let json = answer.json();
        let title = json["error_code"].as_str().unwrap_or_default().to_owned();
        (answer.status.as_u16(), json["code"].clone(), title)
    };
    let bits = || with_manifest("stack: cflinuxfs4");
    for file in [None, Some("mine.tgz")] {
        let refused = upload(&cf, bits(), file).await;
        let title = "CF-BuildpackBitsUploadInvalid".to_owned();
        assert_eq!(error(&refused), (400, json!(290_002), title));
    }
    let broken = upload(&cf, b"text".to_vec(), Some("mine.zip")).await;
    let title = "CF-BuildpackZipError".to_owned();
    assert_eq!(error(&broken), (422, json!(390_013), title));

    let uploaded = upload(&cf, bits(), Some("dir/mine.zip")).await;
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let entity = &uploaded.json()["entity"];
    assert_eq!(entity["filename"], "mine.zip");
    assert_eq!(entity["stack"], "cflinuxfs4");
    let again = upload(&cf, bits(), Some("mine.zip")).await;
    assert_eq!(again.status, 204);

    cf.put(&path, json!({"locked": true})).await;
    let locked = upload(&cf, archive_of(b"more"), Some("mine.zip")).await;
    let title = "CF-BuildpackLocked".to_owned();
    assert_eq!(error(&locked), (409, json!(290_005), title));
    assert_eq!(cf.get(&format!("{path}/download")).await.status, 401);
    let cleared = cf.delete("/v2/blobstores/buildpack_cache").await;
    assert_eq!(cleared.status, 202);
    let job = format!("/v2/jobs/{}", cleared.v2_guid());
    assert_eq!(cf.get(&job).await.json()["entity"]["status"], "finished");

    cf.log_in_as("dev", "secret").await;
    let refused = upload(&cf, bits(), Some("mine.zip")).await;
    let title = "CF-InsufficientScope".to_owned();
    assert_eq!(error(&refused), (403, json!(10007), title));
    let cache = cf.delete("/v2/blobstores/buildpack_cache").await;
    assert_eq!(cache.status, 403);
}
