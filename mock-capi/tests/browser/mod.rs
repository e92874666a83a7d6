//! Chromium without a window, driven through chromedriver.

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

/// After which whatever is waited for does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long all that is done on a page may take.
const DEADLINE: Duration = Duration::from_secs(240);
/// How often chromedriver is started until it listens.
const ATTEMPTS: usize = 10;
/// A few browsers at a time are enough for any machine.
static TURNS: Semaphore = Semaphore::const_new(3);

/// A running chromedriver, killed when it is dropped.
struct Driver {
    url: String,
    _process: Child,
    /// For the files of the browser, which leaves some behind.
    _folder: TempDir,
    /// Kept open, since it goes on writing.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    /// Starts one that listens. The port that it chooses in IPv4 may be taken in
    /// IPv6, by a connection of another test: then it ends, and another is tried.
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
        let port = timeout(PATIENCE, port(&mut output)).await.unwrap()?;
        Some(Self {
            url: format!("http://127.0.0.1:{port}"),
            _process: process,
            _folder: folder,
            _output: output,
        })
    }
}

/// The port that it says it listens on, unless it ends before.
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

/// Acts on the page of a mock.
pub(crate) async fn on_page(mock: &MockCapi, act: impl AsyncFnOnce(&Page) -> WebDriverResult<()>) {
    on_url(&format!("{}/_mock/", mock.uri()), act).await;
}

/// Acts on a page in a browser, and checks that the page logs nothing to the console.
pub(crate) async fn on_url(url: &str, act: impl AsyncFnOnce(&Page) -> WebDriverResult<()>) {
    let (driver, browser) = (program("chromedriver"), program("chromium"));
    let _turn = TURNS.acquire().await.unwrap();
    let driver = Driver::start(driver).await;
    let session = WebDriver::new(&driver.url, capabilities(browser).unwrap());
    let session = timeout(PATIENCE, session).await.unwrap().unwrap();
    let run = session.run_and_quit(async |driver| {
        let act = async {
            let page = Page { driver };
            page.driver.goto(url).await?;
            act(&page).await?;
            page.check_console().await
        };
        timeout(DEADLINE, act).await.unwrap()
    });
    run.await.unwrap();
}

fn capabilities(browser: PathBuf) -> WebDriverResult<ChromeCapabilities> {
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities.set_binary(browser.to_str().unwrap())?;
    // No sandbox, since it does not work for root.
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

/// The page, open in a browser.
pub(crate) struct Page {
    pub(crate) driver: WebDriver,
}

impl Page {
    /// The innermost element of a kind below `#id` that has a text, once it is
    /// to be seen.
    pub(crate) async fn see(
        &self,
        id: &str,
        kind: &str,
        text: &str,
    ) -> WebDriverResult<WebElement> {
        let matching = format!("{kind}[contains(., {text:?})]");
        let path = format!("//*[@id='{id}']//{matching}[not(.//{matching})]");
        self.wait_for(By::XPath(path)).await
    }

    /// The element `#id`, once it has a text.
    pub(crate) async fn read(&self, id: &str, text: &str) -> WebDriverResult<WebElement> {
        let path = format!("//*[@id='{id}'][contains(., {text:?})]");
        self.wait_for(By::XPath(path)).await
    }

    async fn wait_for(&self, by: By) -> WebDriverResult<WebElement> {
        let poller = ElementPollerWithTimeout::new(PATIENCE, Duration::from_millis(50));
        let query = self.driver.query(by).with_poller(Arc::new(poller));
        query.and_displayed().first().await
    }

    /// Whether no element of a kind below `#id` has a text, at once.
    pub(crate) async fn lacks(&self, id: &str, kind: &str, text: &str) -> WebDriverResult<bool> {
        let path = format!("//*[@id='{id}']//{kind}[contains(., {text:?})]");
        Ok(self.driver.find_all(By::XPath(path)).await?.is_empty())
    }

    /// Waits until no element of a kind below `#id` has a text.
    pub(crate) async fn lose(&self, id: &str, kind: &str, text: &str) -> WebDriverResult<()> {
        let lost = async {
            while !self.lacks(id, kind, text).await? {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        timeout(PATIENCE, lost).await.unwrap()
    }

    /// Puts a text in the place of what a field has.
    pub(crate) async fn fill(&self, css: &str, text: &str) -> WebDriverResult<()> {
        let field = self.driver.find(By::Css(css)).await?;
        field.clear().await?;
        field.send_keys(text).await
    }

    pub(crate) async fn click(&self, css: &str) -> WebDriverResult<()> {
        self.driver.find(By::Css(css)).await?.click().await
    }

    /// What a script returns.
    pub(crate) async fn ask(&self, script: &str) -> WebDriverResult<serde_json::Value> {
        let script = format!("return {script}");
        let answer = self.driver.execute(script, Vec::new()).await?;
        Ok(answer.json().clone())
    }

    /// The console tells of what is refused on purpose, and of nothing else.
    async fn check_console(&self) -> WebDriverResult<()> {
        let mut entries = self.driver.browser_log().await?;
        entries.retain(|entry| !entry.message.contains("400 (Bad Request)"));
        assert!(entries.is_empty(), "{entries:?}");
        Ok(())
    }
}
