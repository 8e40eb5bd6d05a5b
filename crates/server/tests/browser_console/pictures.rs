//! How the pages look: on wide windows and on phones, light and dark.
//!
//! The pictures go to `target/screenshots`. With `WEIR_TEST_BLESS=1` those of the README are written too.

use std::fs;
use std::path::{Path, PathBuf};

use weir_testkit::browser::{Look, Page};
use weir_testkit::{Browser, Cluster, Process, Tool, Weir};

use super::{BINARY, Looker, assert_clean, console, go_to_stream, mark, open};

/// Largest picture in the repository, in bytes.
const MOST_BYTES: u64 = 300 << 10;

/// Names of the README's pictures.
const OF_README: [&str; 2] = ["console-overview.png", "console-stream.png"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every kind of window, and what its pictures are called.
fn looks() -> [(&'static str, Look); 4] {
    let of = |dark, viewport| Look {
        dark,
        viewport,
        ..Look::default()
    };
    let (wide, phone) = ((1280, 800), (390, 844));
    [
        ("wide-light", of(false, wide)),
        ("wide-dark", of(true, wide)),
        ("phone-light", of(false, phone)),
        ("phone-dark", of(true, phone)),
    ]
}

/// Takes a picture of the whole page. Fails when the page is wider than its window.
fn take(page: &Page<'_>, name: &str) {
    let folder = root().join("target/screenshots");
    fs::create_dir_all(&folder).expect("a folder");
    page.screenshot_whole(&folder.join(format!("{name}.png")));
    let widths = page.eval(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth, \
         [...document.querySelectorAll('body *')].filter((one) => \
           one.getBoundingClientRect().right > document.documentElement.clientWidth + 1) \
           .map((one) => `${one.tagName}.${one.className}`).slice(0, 5)]",
    );
    assert!(
        widths[0].as_u64() <= widths[1].as_u64(),
        "{name} scrolls sideways: {widths}"
    );
}

/// Waits until graphs have something to show.
fn await_history(page: &Page<'_>) {
    page.until("document.querySelector('[data-testid=tile-in] .value').innerText !== '0'");
}

/// A publisher of moving test pictures and a tone, as fast as they play.
fn stage(url: &str) -> Process {
    let words = "-nostdin -loglevel error -re -f lavfi -i testsrc2=size=640x360:rate=25 \
                 -f lavfi -i sine=frequency=440:sample_rate=44100 -c:v libx264 -preset ultrafast -tune zerolatency \
                 -g 25 -b:v 800k -c:a aac -b:a 96k -f flv";
    let mut command = Tool::Ffmpeg.command(words.split_whitespace());
    Process::spawn(command.arg(url))
}

/// Starts the player of the stream's page, and waits until it plays.
fn play(page: &Page<'_>) {
    page.click(&mark("tab-llhls"));
    page.click(&mark("play"));
    page.wait_for(&format!("{}[data-state=playing]", mark("player-state")));
    page.until("document.querySelector('video').currentTime > 1");
}

/// Goes to the page by the navigation, and waits for what it is to show.
fn turn_to(page: &Page<'_>, name: &str, ready: &str) {
    page.click(&mark(&format!("nav-{name}")));
    page.wait_for(&format!("{} {ready}", mark(&format!("page-{name}"))));
}

#[test]
fn pages_of_an_origin() {
    let weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    let publisher = stage(&weir.rtmp("stage"));
    weir.publishing("stage");
    let viewers: Vec<_> = (0..5).map(|_| Looker::new(at, "stage")).collect();
    let browser = Browser::start();
    for (kind, look) in looks() {
        let page = open(&browser, at, "overview", &look);
        page.wait_for(&format!("{} tr[data-key]", mark("streams")));
        await_history(&page);
        take(&page, &format!("overview-{kind}"));
        page.press("body", "?");
        page.wait_for(&mark("help-dialog"));
        take(&page, &format!("help-{kind}"));
        page.press("body", "Escape");
        go_to_stream(&page, "stage");
        play(&page);
        take(&page, &format!("stream-{kind}"));
        for (name, ready) in [
            ("clients", "tr[data-key]"),
            ("config", "tr[data-key]"),
            ("log", ".line"),
        ] {
            turn_to(&page, name, ready);
            take(&page, &format!("{name}-{kind}"));
        }
        assert_clean(&page, at);
    }
    drop((viewers, publisher));
    weir.assert_well();
}

#[test]
fn pages_of_a_proxy() {
    let cluster = Cluster::start(BINARY, 2, 1);
    let proxy = cluster.proxy(0);
    let at = proxy.listener("http");
    let _publisher = stage(&proxy.rtmp("stage"));
    let browser = Browser::start();
    for (kind, look) in looks() {
        let page = open(&browser, at, "overview", &look);
        page.wait_for(&format!("{} tr[data-key]", mark("streams")));
        take(&page, &format!("proxy-overview-{kind}"));
        for (name, ready) in [
            ("cluster", "tr[data-key]"),
            ("clients", "tr[data-key]"),
            ("config", "tr[data-key]"),
        ] {
            turn_to(&page, name, ready);
            take(&page, &format!("proxy-{name}-{kind}"));
        }
        page.click(&mark("nav-overview"));
        go_to_stream(&page, "stage");
        take(&page, &format!("proxy-stream-{kind}"));
        assert_clean(&page, at);
    }
    proxy.assert_well();
}

#[test]
fn pages_that_ask_for_something() {
    let weir = Weir::start(BINARY, &["--api-token", "a-long-secret"]);
    let at = weir.address("http");
    let browser = Browser::start();
    for (kind, look) in looks() {
        let page = browser.open(&console(at, "overview"), &look);
        page.wait_for(&mark("page-login"));
        take(&page, &format!("login-{kind}"));
        page.fill(&mark("login-token"), "a-long-secret");
        page.click(&mark("login-submit"));
        page.wait_for(&mark("how-to-publish"));
        take(&page, &format!("empty-{kind}"));
        page.goto(&console(at, "stream/none"));
        page.wait_for(&mark("page-stream"));
        take(&page, &format!("no-stream-{kind}"));
    }
    weir.assert_well();
}

#[test]
fn pictures_of_the_readme() {
    let folder = root().join("docs/images");
    if std::env::var_os("WEIR_TEST_BLESS").is_some() {
        fs::create_dir_all(&folder).expect("a folder");
        let weir = Weir::start(BINARY, &[]);
        let at = weir.address("http");
        let _publishers = ["stage", "garden", "talk"].map(|name| {
            let publisher = stage(&weir.rtmp(name));
            weir.publishing(name);
            publisher
        });
        let _viewers: Vec<_> = (0..24).map(|_| Looker::new(at, "stage")).collect();
        let browser = Browser::start();
        let look = Look {
            viewport: (1280, 860),
            ..Look::default()
        };
        let page = open(&browser, at, "overview", &look);
        // graphs of a minute: one sample comes every other second
        page.until("document.querySelectorAll('tr[data-key]').length === 3");
        await_history(&page);
        go_to_stream(&page, "stage");
        play(&page);
        page.until("document.querySelector('video').currentTime > 40");
        page.screenshot(&folder.join(OF_README[1]));
        page.click(&mark("nav-overview"));
        page.wait_for(&format!("{} tr[data-key]", mark("streams")));
        page.screenshot(&folder.join(OF_README[0]));
    }
    for name in OF_README {
        let size = fs::metadata(folder.join(name)).map(|file| file.len());
        let size = size.unwrap_or_else(|error| {
            panic!("docs/images/{name}: {error}; WEIR_TEST_BLESS=1 makes it")
        });
        assert!(size <= MOST_BYTES, "{name} has {size} bytes");
    }
}
