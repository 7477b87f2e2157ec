//! The pages in a real browser: Chromium, driven by ChromeDriver. Pictures of them are left in
//! `target/pastebin`.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use fantoccini::key::Key;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use futures::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use subconscious::RedisModel;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::sleep;

use super::Site;
use crate::paste::{Language, Paste};
use crate::serve::Limits;

/// How long something may take that the page does by itself.
const PATIENCE: Duration = Duration::from_secs(20);

const CODE: &str =
    "// Greets whoever is named.\nfn greet(name: &str) -> String {\n    format!(\"Hello, {name}! {}\", 42)\n}\n";

#[derive(Clone, Copy)]
enum Look {
    Light,
    Dark,
    Phone,
    DarkPhone,
    WithoutScripts,
}

struct Browser {
    client: Client,
    home: String,
}

impl Browser {
    /// Opens a browser on a site of its own, and closes both whatever happens.
    async fn open(look: Look, body: impl AsyncFnOnce(&Browser, &Site)) {
        if std::env::var("PASTEBIN_BROWSER").is_ok_and(|browser| browser == "none") {
            eprintln!("left out, as PASTEBIN_BROWSER says that there is no browser");
            return;
        }
        let site = Site::new().await;
        let home = format!("http://{}", site.serve(Limits::default()).await);
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("needs `chromium` and `chromedriver` on PATH: `cargo xtask test` installs them where it can");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let port: u16 = loop {
            let Some(line) = lines.next_line().await.unwrap() else { panic!("chromedriver ended: {said}") };
            said += &line;
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(look))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromedriver starts a browser");
        let browser = Browser { client, home };
        let outcome = AssertUnwindSafe(body(&browser, &site)).catch_unwind().await;
        let _ = browser.client.close().await;
        let _ = driver.kill().await;
        site.close().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.home)).await.unwrap();
    }

    async fn click(&self, css: &str) {
        self.client.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    /// Clicks what leads to another page, and waits for that: a click may end before the page goes.
    async fn follow(&self, way: Locator<'_>) {
        let page = self.client.find(Locator::Css("html")).await.unwrap();
        self.client.find(way).await.unwrap().click().await.unwrap();
        let begin = Instant::now();
        while page.tag_name().await.is_ok() {
            assert!(begin.elapsed() < PATIENCE, "still on the same page");
            sleep(Duration::from_millis(10)).await;
        }
        self.client.wait().at_most(PATIENCE).for_element(Locator::Css("footer")).await.unwrap();
    }

    async fn type_into(&self, css: &str, text: &str) {
        self.client.find(Locator::Css(css)).await.unwrap().send_keys(text).await.unwrap();
    }

    async fn text(&self, css: &str) -> String {
        self.client.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
    }

    async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Waits until a script says that something is so.
    async fn until(&self, script: &str) {
        let begin = Instant::now();
        while self.run(&format!("return !!({script})")).await != json!(true) {
            assert!(begin.elapsed() < PATIENCE, "not so: {script}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn picture(&self, name: &str) {
        let program = std::env::current_exe().unwrap();
        let folder = program.ancestors().nth(3).unwrap().join("pastebin");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name).with_extension("png"), self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Nothing is wider than the page, in its margin, or a label on two lines.
    async fn fits_the_window(&self) {
        let page = self.client.current_url().await.unwrap();
        let widths = self.run("return [document.documentElement.scrollWidth, window.innerWidth]").await;
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "{widths} at {page}");
        let beyond = "const end = window.innerWidth - parseFloat(getComputedStyle(document.body).paddingRight); \
            return [...document.querySelectorAll('header *, main *, footer')] \
            .filter(element => element.getBoundingClientRect().right > end + 0.5) \
            .map(element => element.outerHTML.slice(0, 80))";
        assert_eq!(self.run(beyond).await, json!([]), "in the margin at {page}");
        let wrapped = "return [...document.querySelectorAll('form label, .top a, button')] \
            .filter(element => element.getClientRects().length > 1 || element.offsetHeight > 48) \
            .map(element => element.innerText)";
        assert_eq!(self.run(wrapped).await, json!([]), "on two lines at {page}");
    }
}

fn capabilities(look: Look) -> Capabilities {
    // It runs as root in containers, and looks for nothing beyond this machine.
    let mut arguments = vec![
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--window-size=1280,900",
    ];
    if matches!(look, Look::Dark | Look::DarkPhone) {
        arguments.push("--blink-settings=preferredColorScheme=0");
    }
    let mut options = json!({ "args": arguments });
    match look {
        Look::Phone | Look::DarkPhone => {
            options["mobileEmulation"] =
                json!({ "deviceMetrics": { "width": 360, "height": 780, "pixelRatio": 2.0, "mobile": true } });
        }
        Look::WithoutScripts => {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        Look::Light | Look::Dark => {}
    }
    let Value::Object(capabilities) = json!({ "goog:chromeOptions": options }) else { unreachable!() };
    capabilities
}

async fn examples(site: &Site, number: i64) {
    let authors = ["Ada", "Grace", "Linus"];
    for n in 0..number {
        let (language, text) = match n % 3 {
            0 => (Language::Rust, CODE),
            1 => (Language::Python, "def greet(name):\n    return f\"Hello, {name}!\"\n"),
            _ => (Language::Text, "Buy milk, and read on the way home.\n"),
        };
        let mut paste = Paste::new(&format!("Example {n}"), text.into());
        paste.language = language;
        paste.author = (n % 4 > 0).then(|| authors[n as usize % 3].into());
        paste.created_at = Utc::now() - TimeDelta::minutes(7 * (number - n));
        paste.insert(&site.db).await.unwrap();
    }
}

#[tokio::test]
async fn one_pastes_and_reads_in_colours() {
    Browser::open(Look::Light, async |browser, site| {
        examples(site, 8).await;
        browser.goto("/").await;
        let watcher = browser.client.window().await.unwrap();
        browser.until("document.querySelectorAll('#list li').length == 8").await;
        browser.picture("home").await;

        let other = browser.client.new_window(false).await.unwrap();
        browser.client.switch_to_window(other.handle).await.unwrap();
        browser.goto("/").await;
        browser.type_into("#text", CODE).await;
        browser.type_into("#title", "A greeting").await;
        browser.type_into("#author", "Grace & Ada").await;
        browser.click("#language option[value=rust]").await;
        browser.click("#expires option[value='1h']").await;
        browser.follow(Locator::Css("button[type=submit]")).await;
        assert_eq!(browser.text("h1").await, "A greeting");
        let facts = browser.text(".about .facts").await;
        assert!(
            facts.starts_with("Rust · Grace & Ada · just now") && facts.contains("expires in 59 minutes"),
            "{facts}"
        );
        let kept = browser.run("return document.querySelector('pre').textContent").await;
        assert_eq!(kept, CODE);
        let colour = "c => getComputedStyle(document.querySelector(c)).color";
        browser.until(&format!("new Set(['pre', '.comment', '.string', '.keyword'].map({colour})).size == 4")).await;
        browser.picture("paste").await;

        // The first window was told of it meanwhile.
        browser.client.switch_to_window(watcher).await.unwrap();
        browser.until("document.querySelector('#list .heading').textContent == 'A greeting'").await;
    })
    .await;
}

#[tokio::test]
async fn one_reads_a_paste_that_burns_and_then_nobody() {
    Browser::open(Look::Light, async |browser, _| {
        browser.goto("/").await;
        browser.type_into("#text", "the combination is 1234").await;
        browser.click("input[name=burn]").await;
        browser.follow(Locator::Css("button[type=submit]")).await;
        assert_eq!(browser.text("h1").await, "Burn after reading");
        let address = browser.client.current_url().await.unwrap();
        browser.picture("burns").await;
        browser.follow(Locator::Css(".sorry button")).await;
        assert_eq!(browser.text("pre").await, "the combination is 1234");
        browser.client.goto(address.as_str()).await.unwrap();
        assert_eq!(browser.text("h1").await, "Not found");
    })
    .await;
}

#[tokio::test]
async fn a_paste_is_gone_when_its_time_is_over() {
    Browser::open(Look::Light, async |browser, site| {
        browser.goto("/").await;
        browser.type_into("#text", "short-lived").await;
        browser.click("#expires option[value='10m']").await;
        browser.follow(Locator::Css("button[type=submit]")).await;
        let address = browser.client.current_url().await.unwrap();
        let paste = Paste::load(&site.db, &address.path()[1..]).await.unwrap().unwrap();
        paste.expire(&site.db, Duration::from_millis(300)).await.unwrap();
        browser.goto("/").await;
        // The open page loses it by itself.
        browser.until("document.querySelector('#list .empty')").await;
        browser.client.goto(address.as_str()).await.unwrap();
        assert_eq!(browser.text("h1").await, "Not found");
    })
    .await;
}

#[tokio::test]
async fn one_filters_and_turns_pages() {
    Browser::open(Look::Light, async |browser, site| {
        examples(site, 90).await;
        browser.goto("/pastes").await;
        browser.fits_the_window().await;
        browser.picture("pastes").await;
        browser.follow(Locator::LinkText("Python 30")).await;
        assert_eq!(browser.text("main > .facts").await, "30 pastes in Python, newest first");
        assert_eq!(browser.text(".entries .heading").await, "Example 88");
        browser.follow(Locator::Css("a[rel=next]")).await;
        assert_eq!(browser.text(".entries .heading").await, "Example 28");
        browser
            .until("document.querySelectorAll('.entries li').length == 10 && !document.querySelector('a[rel=next]')")
            .await;
        browser.follow(Locator::Css("a[rel=prev]")).await;
        assert_eq!(browser.text(".entries .heading").await, "Example 88");
        browser.follow(Locator::LinkText("Grace 22")).await;
        assert_eq!(browser.text("main > .facts").await, "22 pastes in Python by Grace, newest first");
    })
    .await;
}

#[tokio::test]
async fn whoever_pasted_it_may_delete_it() {
    Browser::open(Look::WithoutScripts, async |browser, site| {
        browser.goto("/").await;
        browser.type_into("#text", "a mistake").await;
        browser.follow(Locator::Css("button[type=submit]")).await;
        assert_eq!(browser.text("pre").await, "a mistake");
        browser.click("summary").await;
        browser.follow(Locator::Css(".delete button")).await;
        assert_eq!(browser.text(".empty").await, "No pastes yet.");
        assert_eq!(Paste::all().count(&site.db).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn one_copies_a_paste() {
    Browser::open(Look::Light, async |browser, site| {
        let mut paste = Paste::new("A greeting", CODE.into());
        paste.language = Language::Rust;
        paste.insert(&site.db).await.unwrap();
        browser.goto(&format!("/{}", paste.id)).await;
        browser.click("#copy").await;
        browser.until("document.getElementById('copy').textContent == 'Copied'").await;
        browser.goto("/").await;
        browser.type_into("#text", &format!("{}v", char::from(Key::Control))).await;
        browser.until("document.getElementById('text').value").await;
        assert_eq!(browser.run("return document.getElementById('text').value").await, CODE);
    })
    .await;
}

#[tokio::test]
async fn without_scripts_there_is_no_button_to_copy() {
    Browser::open(Look::WithoutScripts, async |browser, site| {
        let paste = Paste::new("Any", "text".into());
        let path = format!("/{}", paste.id);
        { paste }.insert(&site.db).await.unwrap();
        browser.goto(&path).await;
        let button = browser.client.find(Locator::Css("#copy")).await.unwrap();
        assert!(!button.is_displayed().await.unwrap());
        assert_eq!(browser.text(".about nav").await, "Raw\nDownload");
    })
    .await;
}

/// The pages of a site with long names, as pictures.
async fn every_page_fits(look: Look, prefix: &str) {
    Browser::open(look, async |browser, site| {
        examples(site, 25).await;
        let mut wide = Paste::new(&"W".repeat(120), format!("let x = \"{}\";\n{CODE}", "wide".repeat(200)));
        wide.language = Language::Rust;
        wide.author = Some("x".repeat(40));
        wide.insert(&site.db).await.unwrap();
        let mut burns = Paste::new("Burns", "the combination is 1234".into());
        (burns.burn, burns.listed) = (true, false);
        burns.insert(&site.db).await.unwrap();
        let (paste, once) = (format!("/{}", wide.id), format!("/{}", burns.id));
        for (name, path) in
            [("home", "/"), ("pastes", "/pastes"), ("paste", &paste), ("burns", &once), ("failure", "/x")]
        {
            browser.goto(path).await;
            browser.fits_the_window().await;
            browser.picture(&format!("{prefix}-{name}")).await;
        }
    })
    .await;
}

#[tokio::test]
async fn it_fits_a_phone() {
    every_page_fits(Look::Phone, "phone").await;
    every_page_fits(Look::DarkPhone, "dark-phone").await;
}

#[tokio::test]
async fn it_fits_a_desktop() {
    every_page_fits(Look::Light, "desktop").await;
    every_page_fits(Look::Dark, "dark-desktop").await;
}

#[tokio::test]
async fn it_is_dark_for_those_who_want_it_dark() {
    Browser::open(Look::Dark, async |browser, site| {
        examples(site, 6).await;
        browser.goto("/").await;
        browser.until("matchMedia('(prefers-color-scheme: dark)').matches").await;
        browser.picture("dark-home").await;
        browser.follow(Locator::Css(".entries li:nth-child(3) a")).await;
        assert_eq!(browser.text("h1").await, "Example 3");
        let sum =
            "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((sum, n) => sum + +n, 0)";
        assert!(browser.run(sum).await.as_f64().unwrap() < 150.0, "the background is dark");
        browser.picture("dark-paste").await;
    })
    .await;
}
