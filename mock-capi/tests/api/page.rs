//! The page at `/_mock/`, in a browser.

use std::time::{Duration, Instant};

use crate::browser::{Page, on_page};
use crate::common::{Session, new_route, send};
use mock_capi::Fault;
use serde_json::{Value, json};
use thirtyfour::Key;
use thirtyfour::error::WebDriverResult;

#[tokio::test]
async fn the_page_is_one_response_that_loads_nothing_else() {
    let cf = Session::v3().await;
    let page = send(cf.http.get(format!("{}/_mock", cf.mock.uri()))).await;
    assert_eq!(page.status, 200);
    assert_eq!(cf.mock.stats().by_route.get("unknown"), None);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text.starts_with("<!doctype html>"));
    let policy = page.header("content-security-policy");
    let rules: Vec<&str> = policy.split("; ").collect();
    for rule in [
        "default-src 'none'",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(rules.contains(&rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn apps_are_shown_with_their_states_and_found_by_name() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)>";
    let cf = Session::v3().await;
    let org = cf.create_org("payments").await;
    let space = cf.create_space(&org, "production").await;
    let gateway = cf.staged_app(&space, "gateway").await;
    cf.scale(&gateway, json!({"instances": 2})).await;
    cf.act(&gateway, "start").await;
    cf.create_app(&space, HOSTILE).await;
    let domain = cf.default_domain(&org).await;
    let route = cf.post("/v3/routes", new_route(&space, &domain, "www"));
    let path = format!("/v3/routes/{}/destinations", route.await.guid());
    let destination = json!({"destinations": [{"app": {"guid": gateway}}]});
    assert_eq!(cf.post(&path, destination).await.status, 200);
    cf.create_org("sandbox").await;

    on_page(&cf.mock, async |page| {
        page.wait_for_text("counts", "div", "organizations2")
            .await?;
        page.wait_for_text("counts", "div", "apps2").await?;
        page.wait_for_text("world", "li", "sandbox").await?;
        page.wait_for_text("world", "li", "payments").await?;
        page.wait_for_text("world", "summary", "production").await?;
        let row = page
            .wait_for_text("world", "tr", "gateway")
            .await?
            .text()
            .await?;
        for shown in [
            gateway.as_str(),
            "STARTED",
            "2 RUNNING",
            "READY",
            "STAGED",
            "www.apps.mock.test",
        ] {
            assert!(row.contains(shown), "{row}");
        }
        let hostile = page
            .wait_for_text("world", "tr", HOSTILE)
            .await?
            .text()
            .await?;
        assert!(hostile.contains("STOPPED"), "{hostile}");
        assert_eq!(page.ask("document.images.length").await?, 0);

        page.fill("#world-filter", "GATE").await?;
        page.wait_until_gone("world", "tr", HOSTILE).await?;
        page.wait_for_text("world", "tr", "gateway").await?;
        page.wait_until_gone("world", "li", "sandbox").await?;
        page.fill("#world-filter", "none").await?;
        page.read("world-empty", "No name matches “none”").await?;
        page.fill("#world-filter", "sand").await?;
        page.wait_for_text("world", "li", "sandbox").await?;

        // Changes by clients appear without a reload.
        page.fill("#world-filter", "a").await?;
        page.wait_for_text("world", "tr", "gateway").await?;
        cf.act(&gateway, "stop").await;
        page.wait_for_text("world", "td", "2 DOWN").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn requests_appear_immediately() {
    let cf = Session::v3().await;
    on_page(&cf.mock, async |page| {
        page.wait_for_text("log", "tr", "/uaa/oauth/token").await?;
        cf.get("/v3/apps?names=first").await;
        let row = page
            .wait_for_text("log", "tr", "/v3/apps?names=first")
            .await?;
        let row = row.text().await?;
        assert!(row.contains("GET") && row.contains("200"), "{row}");
        page.click("#tab-routes").await?;
        page.wait_for_text("stats", "tr", "GET /v3/apps").await?;
        page.click("#tab-requests").await?;

        // The newest request is at the top.
        cf.get("/v3/nonsense").await;
        page.wait_for_text("log", "tr", "/v3/nonsense").await?;
        let top = page.ask("document.querySelector('#log tr').innerText");
        assert!(top.await?.as_str().unwrap().contains("404"));

        page.click("#log-pause").await?;
        page.read("log-note", "paused").await?;
        cf.get("/v3/stacks").await;
        page.click("#tab-routes").await?;
        page.wait_for_text("stats", "tr", "GET /v3/stacks").await?;
        page.click("#tab-requests").await?;
        assert!(page.has_none("log", "tr", "/v3/stacks").await?);
        page.click("#log-pause").await?;
        page.wait_for_text("log", "tr", "/v3/stacks").await?;

        page.fill("#log-filter", "404").await?;
        page.wait_until_gone("log", "tr", "/v3/stacks").await?;
        page.wait_for_text("log", "tr", "/v3/nonsense").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn a_request_is_opened_with_its_bodies() {
    let cf = Session::v3().await;
    cf.create_org("opened").await;
    on_page(&cf.mock, async |page| {
        page.wait_for_text("log", "button", "/v3/organizations")
            .await?
            .click()
            .await?;
        page.read("request-title", "POST /v3/organizations").await?;
        page.read("request-headers", "content-type: application/json")
            .await?;
        page.read("request-body", "opened").await?;
        page.read("request-answer", "suspended").await?;
        page.click("#request-dialog .choices button").await?;
        assert_eq!(
            page.ask("document.querySelector('dialog[open]')").await?,
            Value::Null
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn apps_are_filtered_by_state() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let running = cf.staged_app(&space, "running").await;
    cf.act(&running, "start").await;
    cf.create_app(&space, "idle").await;
    on_page(&cf.mock, async |page| {
        page.wait_for_text("world", "tr", "idle").await?;
        page.click("#world-state option:nth-child(4)").await?;
        page.wait_until_gone("world", "tr", "idle").await?;
        page.wait_for_text("world", "tr", "running").await?;
        page.wait_for_text("world", "summary", "1 app").await?;
        page.click("#world-state option:nth-child(6)").await?;
        page.read("world-empty", "No app is CRASHED").await?;
        Ok(())
    })
    .await;
}

/// Whether an element is visible without scrolling, and not covered.
fn in_reach(id: &str) -> String {
    format!(
        "(() => {{ const box = document.getElementById('{id}').getBoundingClientRect(); \
         const x = box.left + box.width / 2, y = box.top + 8; \
         return document.elementFromPoint(x, y)?.closest('#{id}') !== null; }})()"
    )
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn all_controls_stay_reachable_with_two_thousand_apps() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let apps = (0..2000).map(|n| format!("- name: app-{n}\n  no-route: true\n"));
    cf.applied(
        &space,
        format!("applications:\n{}", apps.collect::<String>()),
    )
    .await;
    on_page(&cf.mock, async |page| {
        page.wait_for_text("world", "tr", "app-99").await?;
        for _ in 0..19 {
            page.ask("document.querySelector('#world .body > button').click()")
                .await?;
        }
        page.wait_for_text("world", "tr", "app-1999").await?;
        for (width, folder) in [(1280, "wide"), (390, "phone")] {
            let screen =
                json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
            let cdp = page.driver.cdp();
            cdp.send_raw("Emulation.setDeviceMetricsOverride", screen)
                .await?;
            for tab in ["requests", "faults", "times", "routes"] {
                if width < 1280 {
                    page.click("#tab-apps").await?;
                }
                page.ask("scrollTo(0, document.body.scrollHeight / 2)")
                    .await?;
                page.click(&format!("#tab-{tab}")).await?;
                let panel = format!("panel-{tab}");
                assert_eq!(page.ask(&in_reach(&panel)).await?, true, "{folder} {tab}");
                save_screenshot(page, &format!("{folder}-{tab}")).await?;
            }
            let overhang = "document.documentElement.scrollWidth - innerWidth";
            assert!(page.ask(overhang).await?.as_i64().unwrap() <= 0, "{folder}");
        }
        Ok(())
    })
    .await;
}

/// Saves a screenshot if `SCREENSHOTS` names a folder.
async fn save_screenshot(page: &Page, name: &str) -> WebDriverResult<()> {
    match std::env::var_os("SCREENSHOTS") {
        Some(folder) => {
            let file = std::path::Path::new(&folder).join(format!("{name}.png"));
            page.driver.screenshot(&file).await
        }
        None => Ok(()),
    }
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn faults_are_set_applied_and_removed() {
    let cf = Session::v3().await;
    on_page(&cf.mock, async |page| {
        page.click("#tab-faults").await?;
        page.fill("#fault [name=path]", "/v3/spaces").await?;
        page.fill("#fault [name=status]", "503").await?;
        page.fill("#fault [name=times]", "1").await?;
        page.click("#fault button").await?;
        page.wait_for_text("faults", "li", "answer /v3/spaces times=1 status=503")
            .await?;
        assert_eq!(cf.get("/v3/spaces").await.status, 503);
        assert_eq!(cf.get("/v3/spaces").await.status, 200);
        page.wait_for_text("faults", "li", "applied to 1 of 2")
            .await?;
        page.click("#tab-requests").await?;
        let answered = page.wait_for_text("log", "tr", "503").await?.text().await?;
        assert!(answered.contains("answer"), "{answered}");
        page.click("#tab-faults").await?;

        // The form has the fields of a fault, and shows why they are invalid.
        page.click("#fault [name=fault] [value=delay]").await?;
        page.fill("#fault [name=delay]", "soon").await?;
        page.click("#fault button").await?;
        page.read("fault-complaint", "Bad request: faults: ")
            .await?;
        assert_eq!(cf.get("/_mock/faults").await.json()[1], json!(null));

        page.click("#faults-clear").await?;
        page.read("faults-empty", "No faults are set").await?;
        assert_eq!(cf.get("/_mock/faults").await.json(), json!([]));
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn faults_are_written_as_json() {
    let cf = Session::v3().await;
    cf.mock
        .set_faults(vec![Fault::failed_copy().of("clone")])
        .unwrap();
    on_page(&cf.mock, async |page| {
        page.click("#tab-faults").await?;
        page.wait_for_text("faults", "li", "failed_copy app=clone")
            .await?;
        page.click("#faults-json-title").await?;
        let json = page.ask("document.querySelector('#faults-json').value");
        let json = json.await?;
        let shown: Value = serde_json::from_str(json.as_str().unwrap()).unwrap();
        assert_eq!(shown, json!([{"fault": "failed_copy", "app": "clone"}]));

        page.fill("#faults-json", r#"[{"fault": "answer"}, "#)
            .await?;
        page.click("#faults-form button").await?;
        page.read("faults-complaint", "Bad request: faults: EOF while parsing")
            .await?;
        page.wait_for_text("faults", "li", "failed_copy app=clone")
            .await?;

        let fault = r#"[{"fault": "drop_after", "method": "POST", "path": "/v3/*"}]"#;
        page.fill("#faults-json", fault).await?;
        page.click("#faults-form button").await?;
        page.wait_for_text("faults", "li", "drop_after POST /v3/*")
            .await?;
        let set = cf.get("/_mock/faults").await.json();
        assert_eq!(set[0]["fault"], "drop_after");
        assert_eq!(set[1], Value::Null);
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn times_are_set_and_the_clock_is_moved() {
    let cf = Session::v3().await;
    let (org, _) = cf.space().await;
    on_page(&cf.mock, async |page| {
        page.click("#tab-times").await?;
        page.fill("#times [name=latency]", "30ms").await?;
        page.fill("#times [name=job]", "5m").await?;
        page.click("#times button").await?;
        page.read("said", "The times are set.").await?;
        let began = Instant::now();
        let job = cf.delete(&format!("/v3/organizations/{org}")).await;
        assert!(began.elapsed() >= Duration::from_millis(30));

        let state = async || cf.get(job.header("location")).await.json()["state"].clone();
        assert_eq!(state().await, "PROCESSING");
        page.fill("#advance-by", "5m").await?;
        page.click("#advance button").await?;
        page.read("said", "advanced by 5m").await?;
        assert_eq!(state().await, "COMPLETE");

        page.fill("#times [name=job]", "a while").await?;
        page.click("#times button").await?;
        page.read("times-complaint", "Bad request: times: ").await?;
        assert_eq!(cf.get("/_mock/times").await.json()["job"], "5m");
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn tokens_expire_and_a_reset_is_confirmed() {
    let cf = Session::v3().await;
    cf.space().await;
    on_page(&cf.mock, async |page| {
        page.wait_for_text("world", "summary", "space").await?;
        page.click("#expire").await?;
        page.read("said", "expired").await?;
        assert_eq!(cf.get("/v3/spaces").await.status, 401);

        page.click("#reset").await?;
        page.click("#reset-dialog [value=cancel]").await?;
        page.click("#reset").await?;
        page.wait_for_text("world", "summary", "space").await?;
        page.click("#reset-dialog [value=reset]").await?;
        page.read("said", "was reset").await?;
        page.read("world-empty", "no organizations").await?;
        assert!(page.has_none("log", "tr", "/v3/organizations").await?);
        assert_eq!(cf.mock.state()["organizations"], json!([]));
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn the_page_works_in_dark_mode_on_narrow_screens_and_by_keyboard() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    cf.create_app(&space, &"long-".repeat(50)).await;
    on_page(&cf.mock, async |page| {
        page.wait_for_text("world", "tr", "long-").await?;
        let mut grounds = Vec::new();
        for scheme in ["light", "dark"] {
            let scheme = json!({"name": "prefers-color-scheme", "value": scheme});
            let media = json!({"features": [scheme]});
            let cdp = page.driver.cdp();
            cdp.send_raw("Emulation.setEmulatedMedia", media).await?;
            let style = "getComputedStyle(document.body)";
            grounds.push(page.ask(&format!("{style}.backgroundColor")).await?);
            grounds.push(page.ask(&format!("{style}.color")).await?);
        }
        let [ground, text, dark_ground, light_text] = grounds.as_slice() else {
            panic!("{grounds:?}");
        };
        assert!(ground != dark_ground && text != light_text, "{grounds:?}");

        let screen = json!({"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        let cdp = page.driver.cdp();
        cdp.send_raw("Emulation.setDeviceMetricsOverride", screen)
            .await?;
        let overhang = "document.documentElement.scrollWidth - innerWidth";
        let overhang = page.ask(overhang).await?;
        assert!(overhang.as_i64().unwrap() <= 0, "{overhang}");

        let unnamed = "[...document.querySelectorAll('button, input, select, textarea')] \
            .filter((control) => !(control.ariaLabel ?? control.labels[0]?.innerText \
                ?? control.textContent).trim()).map((control) => control.outerHTML)";
        assert_eq!(page.ask(unnamed).await?, json!([]));

        let summary = page.wait_for_text("world", "summary", "space").await?;
        page.ask("document.querySelector('#world-filter').focus()")
            .await?;
        let focused = page.driver.active_element().await?;
        focused.send_keys(Key::Tab).await?;
        assert_eq!(page.driver.active_element().await?, summary);
        summary.send_keys(Key::Enter).await?;
        let open = "document.querySelector('#world details').open";
        assert_eq!(page.ask(open).await?, false);
        summary.send_keys(Key::Enter).await?;
        page.wait_for_text("world", "tr", "long-").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn the_page_stays_usable_with_ten_thousand_apps() {
    let cf = Session::v3().await;
    let org = cf.create_org("org").await;
    for batch in 0..10 {
        let space = cf.create_space(&org, &format!("space-{batch}")).await;
        let apps = (0..1000).map(|n| format!("- name: app-{batch}-{n}\n  no-route: true\n"));
        let manifest = format!("applications:\n{}", apps.collect::<String>());
        cf.applied(&space, manifest).await;
    }
    on_page(&cf.mock, async |page| {
        page.wait_for_text("counts", "div", "apps10,000").await?;
        page.wait_for_text("world", "summary", "space-7")
            .await?
            .click()
            .await?;
        page.wait_for_text("world", "tr", "app-7-99").await?;
        let rows = "document.querySelectorAll('#world tr').length";
        assert!(page.ask(rows).await?.as_u64().unwrap() < 200);
        page.wait_for_text("world", "button", "Show more of 1,000 apps")
            .await?
            .click()
            .await?;
        page.wait_for_text("world", "tr", "app-7-199").await?;

        page.fill("#world-filter", "app-3-777").await?;
        page.wait_for_text("world", "tr", "app-3-777").await?;
        page.wait_until_gone("world", "summary", "space-7").await?;
        Ok(())
    })
    .await;
}
