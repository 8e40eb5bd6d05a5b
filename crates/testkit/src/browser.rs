//! A headless Chromium under the hands of a test.
//!
//! Owns: the browser's start and end, pages that are opened, looked at and worked with, and by [`playback`] streams that
//! play. Does not: know Weir. A page sees what any page of a stranger sees: the pages that play are served from an
//! origin of their own, so a stream plays only when its answers allow other origins (CORS).
//!
//! The browser cannot reach other machines: every name but this host's fails to resolve. All waiting is for events, with
//! long limits; a slow machine makes a test slow and not red. What the page's console calls an error is collected.
//!
//! ```no_run
//! use weir_testkit::{Browser, Player};
//!
//! let browser = Browser::start();
//! let playback = browser.play(Player::Flv, "http://127.0.0.1:8080/live/s.flv");
//! let report = playback.played(3.0);
//! assert!(report.plays(3.0), "{report}");
//!
//! let page = browser.open("http://127.0.0.1:8080/", &Default::default());
//! page.click("text=Streams");
//! page.wait_for("table");
//! page.screenshot(std::path::Path::new("/tmp/streams.png"));
//! assert_eq!(page.errors(), [""; 0]);
//! ```

mod driver;
pub mod playback;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use self::driver::Driver;
pub use self::playback::{PlayReport, Playback, Player};

/// How long a playback may take to be as a test wants it: longer than [`crate::PATIENCE`], because a browser that decodes
/// on a core shared with ten other programs runs at a fraction of its pace.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A running browser; any number of pages. Ends when dropped, with all its processes.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
}

impl Browser {
    /// Starts it, with a profile of its own. Panics when it does not start.
    pub fn start() -> Self {
        Self {
            driver: Driver::start(),
        }
    }

    /// Plays a stream with a player's own settings. It begins at once; ask the [`Playback`].
    pub fn play(&self, player: Player, url: &str) -> Playback<'_> {
        self.play_with(player, url, &json!({}))
    }

    /// As [`Browser::play`], with settings in the words of the player's library: the configuration of mpegts.js or hls.js,
    /// the settings of dash.js, such as `json!({ "liveSyncDuration": 2 })`.
    pub fn play_with(&self, player: Player, url: &str, options: &Value) -> Playback<'_> {
        Playback::start(self, player, url, options)
    }

    /// Opens a page and waits until it is loaded. Panics when nobody answers; an answer that is an error is a page too.
    pub fn open(&self, url: &str, look: &Look) -> Page<'_> {
        let number = self.driver.new_page();
        let page = Page {
            browser: self,
            number,
        };
        page.order("open", json!({ "url": url, "look": look.json() }));
        page
    }

    /// The browser's process, which leads the group of all its processes, where the system tells.
    pub fn pid(&self) -> Option<u64> {
        self.driver.browser()
    }
}

/// Whom a page takes its viewer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Width and height of the window's inside, in CSS pixels.
    pub viewport: (u32, u32),
    /// Whether the viewer prefers dark pages.
    pub dark: bool,
    /// The viewer's language, such as `en-US` or `zh-CN`.
    pub locale: String,
}

impl Default for Look {
    /// A light window of 1280 by 800 in English.
    fn default() -> Self {
        Self {
            viewport: (1280, 800),
            dark: false,
            locale: "en-US".to_owned(),
        }
    }
}

impl Look {
    fn json(&self) -> Value {
        let (width, height) = self.viewport;
        json!({
            "viewport": { "width": width, "height": height },
            "colorScheme": if self.dark { "dark" } else { "light" },
            "locale": self.locale,
        })
    }
}

/// A request of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The whole address.
    pub url: String,
    /// The method.
    pub method: String,
    /// What it is for, in the browser's words: `document`, `script`, `fetch`, `xhr`, `image`, `websocket`…
    pub kind: String,
    /// The answer's status; `None` before there is one.
    pub status: Option<u64>,
    /// Why it failed, in the browser's words, such as `net::ERR_ABORTED`.
    pub failure: Option<String>,
}

impl Asked {
    /// True when it stayed on this machine: addresses of loopback, and what has no address, such as `data:` and `blob:`.
    pub fn is_local(&self) -> bool {
        let Some((_, rest)) = self.url.split_once("://") else {
            return true;
        };
        if self.url.starts_with("blob:") || self.url.starts_with("data:") {
            return true;
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let is = |name: &str| {
            let after = host.strip_prefix(name);
            after.is_some_and(|after| after.is_empty() || after.starts_with(':'))
        };
        ["127.0.0.1", "localhost", "[::1]"].into_iter().any(is)
    }
}

/// The requests of a page, as the driver tells them.
fn asked(driver: &Driver, page: u64) -> Vec<Asked> {
    let list = driver.order("requests", json!({ "page": page }));
    let list = list.as_array().into_iter().flatten();
    let asked = list.map(|entry| {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        Asked {
            url: text("url").unwrap_or_default(),
            method: text("method").unwrap_or_default(),
            kind: text("kind").unwrap_or_default(),
            status: entry["status"].as_u64(),
            failure: text("failure"),
        }
    });
    asked.collect()
}

/// An open page with storage and cookies of its own. Closed when dropped.
///
/// Selectors are those of Playwright: CSS, `text=…`, `role=button[name="…"]`. Each waits until there is such an element
/// that can be worked with, and panics when there is none for a minute.
#[derive(Debug)]
pub struct Page<'a> {
    browser: &'a Browser,
    number: u64,
}

impl Page<'_> {
    fn order(&self, what: &str, mut order: Value) -> Value {
        order["page"] = json!(self.number);
        self.browser.driver.order(what, order)
    }

    /// Goes to another address in the same page, keeping storage and cookies. Gives the answer's status.
    pub fn goto(&self, url: &str) -> Option<u64> {
        self.order("goto", json!({ "url": url })).as_u64()
    }

    /// What a JavaScript expression gives; promises are awaited.
    pub fn eval(&self, js: &str) -> Value {
        self.order("eval", json!({ "js": js }))
    }

    /// Clicks on the one element.
    pub fn click(&self, selector: &str) {
        self.order("click", json!({ "selector": selector }));
    }

    /// Replaces the text of an input.
    pub fn fill(&self, selector: &str, value: &str) {
        self.order("fill", json!({ "selector": selector, "value": value }));
    }

    /// Chooses the option with this value or label of a `select`.
    pub fn select(&self, selector: &str, value: &str) {
        self.order("select", json!({ "selector": selector, "value": value }));
    }

    /// Presses a key, such as `Enter` or `Control+a`, with the focus on the element.
    pub fn press(&self, selector: &str, key: &str) {
        self.order("press", json!({ "selector": selector, "key": key }));
    }

    /// Waits until the first such element is visible.
    pub fn wait_for(&self, selector: &str) {
        self.order(
            "wait_for",
            json!({ "selector": selector, "state": "visible" }),
        );
    }

    /// Waits until no such element is visible.
    pub fn wait_gone(&self, selector: &str) {
        self.order(
            "wait_for",
            json!({ "selector": selector, "state": "hidden" }),
        );
    }

    /// Waits until a JavaScript expression gives something true, and gives that. Panics when it does not for a minute.
    pub fn until(&self, js: &str) -> Value {
        self.order("until", json!({ "js": js }))
    }

    /// The visible text of the first such element.
    pub fn text(&self, selector: &str) -> String {
        let text = self.order("text", json!({ "selector": selector }));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// How many such elements there are now.
    pub fn count(&self, selector: &str) -> u64 {
        let count = self.order("count", json!({ "selector": selector }));
        count.as_u64().unwrap_or_default()
    }

    /// Writes what the window shows to a PNG file.
    pub fn screenshot(&self, path: &Path) {
        self.order("screenshot", json!({ "path": path, "whole": false }));
    }

    /// As [`Page::screenshot`], of the whole page however long it is.
    pub fn screenshot_whole(&self, path: &Path) {
        self.order("screenshot", json!({ "path": path, "whole": true }));
    }

    /// All requests so far, in their order; those of workers included where the browser tells.
    pub fn requests(&self) -> Vec<Asked> {
        asked(&self.browser.driver, self.number)
    }

    /// Waits until each of `texts` is in one of [`Page::errors`], which come after what they tell of. Panics with all of
    /// them when one does not come for a minute.
    pub fn until_told(&self, texts: &[&str]) {
        let is_told = |errors: &[String]| {
            let has = |text: &&str| errors.iter().any(|error| error.contains(*text));
            texts.iter().all(has)
        };
        let driver = &self.browser.driver;
        let (events, found) = driver.until(self.number, |events| is_told(&events.errors));
        assert!(found, "not all of {texts:?}: {:#?}", events.errors);
    }

    /// Errors on its console so far, refused requests included, and what was thrown.
    pub fn errors(&self) -> Vec<String> {
        self.browser.driver.events(self.number).errors
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.browser.driver.close(self.number);
    }
}

#[cfg(test)]
mod tests;
