//! Headless Chromium, driven through chromedriver.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use mock_capi::MockCapi;
use tempfile::TempDir;
use thirtyfour::extensions::query::ElementPollerWithTimeout;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, LoggingPrefsLogLevel};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The timeout for an expected element.
const ELEMENT_TIMEOUT: Duration = Duration::from_secs(60);
/// The timeout for all actions on a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(240);
/// The number of attempts to start chromedriver.
const ATTEMPTS: usize = 10;
/// The number of browsers that run at once.
static BROWSERS: Semaphore = Semaphore::const_new(3);

/// A running chromedriver, which is killed when it is dropped.
struct Driver {
    url: String,
    _process: Child,
    /// A folder for the browser's files, some of which it does not delete.
    _folder: TempDir,
    /// Kept open, because chromedriver continues to write to it.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    /// Starts chromedriver, and retries if it exits. chromedriver chooses a port that is
    /// free in IPv4, and exits if a connection of another test uses the same port in
    /// IPv6.
    async fn start(program: PathBuf) -> Self {
        for _ in 0..ATTEMPTS {
            if let Some(driver) = Self::try_start(&program).await {
                return driver;
            }
        }
        panic!("chromedriver does not start");
    }

    async fn try_start(program: &Path) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mut process = Command::new(program)
            .arg("--port=0")
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = timeout(ELEMENT_TIMEOUT, port(&mut output)).await.unwrap()?;
        Some(Self {
            url: format!("http://127.0.0.1:{port}"),
            _process: process,
            _folder: folder,
            _output: output,
        })
    }
}

/// The port that chromedriver prints. `None` if it exits first.
async fn port(output: &mut Lines<BufReader<ChildStdout>>) -> Option<u16> {
    while let Some(line) = output.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return Some(port.trim_end_matches('.').parse().unwrap());
        }
    }
    None
}

/// The path of a program that must be on the `PATH`.
fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut files = env::split_paths(&path).map(|folder| folder.join(name));
    let file = files.find(|file| file.is_file());
    file.unwrap_or_else(|| panic!("{name} is not on the PATH: install chromium and chromedriver"))
}

/// Runs actions on the page of a mock.
pub(crate) async fn on_page(mock: &MockCapi, act: impl AsyncFnOnce(&Page) -> WebDriverResult<()>) {
    on_url(&format!("{}/_mock/", mock.uri()), act).await;
}

/// Runs actions on a page in a browser, and checks that the page logs nothing to the
/// console.
pub(crate) async fn on_url(url: &str, act: impl AsyncFnOnce(&Page) -> WebDriverResult<()>) {
    let (driver, browser) = (program("chromedriver"), program("chromium"));
    let _turn = BROWSERS.acquire().await.unwrap();
    let driver = Driver::start(driver).await;
    let session = WebDriver::new(&driver.url, capabilities(browser).unwrap());
    let session = timeout(ELEMENT_TIMEOUT, session).await.unwrap().unwrap();
    let run = session.run_and_quit(async |driver| {
        let act = async {
            let page = Page { driver };
            page.driver.goto(url).await?;
            act(&page).await?;
            page.check_console().await
        };
        timeout(PAGE_TIMEOUT, act).await.unwrap()
    });
    run.await.unwrap();
}

fn capabilities(browser: PathBuf) -> WebDriverResult<ChromeCapabilities> {
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities.set_binary(browser.to_str().unwrap())?;
    // The sandbox is disabled, because it does not work for root.
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1400,1000",
    ] {
        capabilities.add_arg(argument)?;
    }
    capabilities.set_browser_log_level(LoggingPrefsLogLevel::All)?;
    Ok(capabilities)
}

/// A page that is open in a browser.
pub(crate) struct Page {
    pub(crate) driver: WebDriver,
}

impl Page {
    /// Waits until an element of a kind below `#id` with a text is visible, and returns
    /// the innermost.
    pub(crate) async fn wait_for_text(
        &self,
        id: &str,
        kind: &str,
        text: &str,
    ) -> WebDriverResult<WebElement> {
        let matching = format!("{kind}[contains(., {text:?})]");
        let path = format!("//*[@id='{id}']//{matching}[not(.//{matching})]");
        self.wait_for(By::XPath(path)).await
    }

    /// Waits until the element `#id` has a text, and returns it.
    pub(crate) async fn read(&self, id: &str, text: &str) -> WebDriverResult<WebElement> {
        let path = format!("//*[@id='{id}'][contains(., {text:?})]");
        self.wait_for(By::XPath(path)).await
    }

    async fn wait_for(&self, by: By) -> WebDriverResult<WebElement> {
        let poller = ElementPollerWithTimeout::new(ELEMENT_TIMEOUT, Duration::from_millis(50));
        let query = self.driver.query(by).with_poller(Arc::new(poller));
        query.and_displayed().first().await
    }

    /// Whether no element of a kind below `#id` has a text now.
    pub(crate) async fn has_none(&self, id: &str, kind: &str, text: &str) -> WebDriverResult<bool> {
        let path = format!("//*[@id='{id}']//{kind}[contains(., {text:?})]");
        Ok(self.driver.find_all(By::XPath(path)).await?.is_empty())
    }

    /// Waits until no element of a kind below `#id` has a text.
    pub(crate) async fn wait_until_gone(
        &self,
        id: &str,
        kind: &str,
        text: &str,
    ) -> WebDriverResult<()> {
        let lost = async {
            while !self.has_none(id, kind, text).await? {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        timeout(ELEMENT_TIMEOUT, lost).await.unwrap()
    }

    /// Replaces the content of a field.
    pub(crate) async fn fill(&self, css: &str, text: &str) -> WebDriverResult<()> {
        let field = self.driver.find(By::Css(css)).await?;
        field.clear().await?;
        field.send_keys(text).await
    }

    pub(crate) async fn click(&self, css: &str) -> WebDriverResult<()> {
        self.driver.find(By::Css(css)).await?.click().await
    }

    /// The result of a script.
    pub(crate) async fn ask(&self, script: &str) -> WebDriverResult<serde_json::Value> {
        let script = format!("return {script}");
        let answer = self.driver.execute(script, Vec::new()).await?;
        Ok(answer.json().clone())
    }

    /// Checks that the console contains only expected messages.
    async fn check_console(&self) -> WebDriverResult<()> {
        let mut entries = self.driver.browser_log().await?;
        entries.retain(|entry| !entry.message.contains("400 (Bad Request)"));
        assert!(entries.is_empty(), "{entries:?}");
        Ok(())
    }
}
