//! The web console in Chromium, page by page, at a real origin and a real proxy.
//!
//! Elements are found by their `data-testid`, which `console/README.md` lists.

mod pictures;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};

use weir_testkit::browser::{Look, Page};
use weir_testkit::clock_picture::Clock;
use weir_testkit::{Browser, ClockPublisher, Cluster, Weir};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

/// A mark as a selector.
fn mark(id: &str) -> String {
    format!("[data-testid=\"{id}\"]")
}

/// The address of a page of the console.
fn console(at: SocketAddr, page: &str) -> String {
    format!("http://{at}/console/#/{page}")
}

/// Opens a page, and waits until it is there. Fails at once when the build has the plain page only.
fn open<'a>(browser: &'a Browser, at: SocketAddr, page: &str, look: &Look) -> Page<'a> {
    let open = browser.open(&console(at, page), look);
    let built = open.count("#app") == 1;
    assert!(
        built,
        "the console was not built: `cargo xtask install`, `cargo xtask console`"
    );
    let name = page.split('/').next().unwrap_or_default();
    open.wait_for(&mark(&format!("page-{name}")));
    open
}

/// Nothing was an error, and nobody but the server was asked.
fn assert_clean(page: &Page<'_>, at: SocketAddr) {
    assert_eq!(page.errors(), [""; 0]);
    let own = format!("http://{at}/");
    for asked in page.requests() {
        let url = &asked.url;
        let is_own = url.starts_with(&own) || url.starts_with("blob:") || url.starts_with("data:");
        assert!(is_own, "asked elsewhere: {url}");
        let refused = asked.status.is_some_and(|status| status >= 400);
        assert!(!refused, "{} for {url}", asked.status.unwrap_or_default());
    }
}

/// A text that waits to be another.
fn await_other(page: &Page<'_>, selector: &str, before: &str) {
    let (selector, before) = (
        serde_json::json!(selector).to_string(),
        serde_json::json!(before).to_string(),
    );
    page.until(&format!(
        "document.querySelector({selector}).innerText !== {before}"
    ));
}

/// Waits until the element's text has `wanted` in it.
fn await_text(page: &Page<'_>, selector: &str, wanted: &str) {
    let (selector, wanted) = (
        serde_json::json!(selector).to_string(),
        serde_json::json!(wanted).to_string(),
    );
    page.until(&format!(
        "document.querySelector({selector})?.innerText.includes({wanted})"
    ));
}

/// The page of the one stream of this name, from the overview.
fn go_to_stream(page: &Page<'_>, name: &str) {
    page.click(&format!("{} a:has-text(\"{name}\")", mark("streams")));
    page.wait_for(&mark("page-stream"));
}

/// A viewer of HTTP-FLV; it leaves when dropped.
struct Looker {
    socket: TcpStream,
    reading: Option<JoinHandle<io::Result<u64>>>,
}

impl Looker {
    /// Begins to watch the stream `live/name`.
    fn new(at: SocketAddr, name: &str) -> Self {
        let mut socket = TcpStream::connect(at).expect("it listens");
        write!(
            socket,
            "GET /live/{name}.flv HTTP/1.1\r\nHost: {at}\r\nUser-Agent: looker/1\r\n\r\n"
        )
        .expect("it reads");
        let mut first = [0; 12];
        socket.read_exact(&mut first).expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
        let mut reading = socket.try_clone().expect("a descriptor");
        let reading = thread::spawn(move || io::copy(&mut reading, &mut io::sink()));
        Self {
            socket,
            reading: Some(reading),
        }
    }

    /// Its own address.
    fn address(&self) -> String {
        self.socket.local_addr().expect("bound").to_string()
    }

    /// Waits until the server has ended it.
    fn ended(mut self) {
        let read = self.reading.take().expect("once").join();
        // closed or reset, and both are an end
        assert!(read.is_ok(), "{read:?}");
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        // it may have been ended by the server
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[test]
fn the_overview_shows_streams_and_its_numbers_move() {
    let weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    let browser = Browser::start();
    let page = open(&browser, at, "overview", &Look::default());
    page.wait_for(&mark("how-to-publish"));
    await_text(&page, &mark("tile-streams"), "0");
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("shown"));
    weir.publishing("shown");
    let row = format!("{} tr[data-key]", mark("streams"));
    page.wait_for(&row);
    page.wait_gone(&mark("how-to-publish"));
    await_text(&page, &row, "live/shown");
    await_text(&page, &row, "640×360");
    await_text(&page, &format!("{} .value", mark("tile-streams")), "1");
    await_text(&page, &format!("{} .value", mark("tile-publishers")), "1");
    await_other(&page, &format!("{} .value", mark("tile-in")), "0");
    let uptime = format!("{row} [data-column=uptime]");
    let before = page.text(&uptime);
    await_other(&page, &uptime, &before);
    let _viewer = Looker::new(at, "shown");
    await_text(&page, &format!("{row} [data-column=viewers]"), "1");
    page.fill(&mark("streams-filter"), "another");
    page.wait_gone(&row);
    page.fill(&mark("streams-filter"), "shown");
    page.wait_for(&row);
    assert_clean(&page, at);
    publisher.stop();
    weir.assert_well();
}

/// What the video's picture is, roughly, as a text.
const PICTURE: &str = "(() => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [192, 108];
    const context = canvas.getContext('2d');
    context.drawImage(document.querySelector('video'), 0, 0, 192, 108);
    return context.getImageData(0, 0, 192, 108).data.join();
})()";

#[test]
fn the_stream_page_plays_in_every_way() {
    let weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("played"));
    weir.publishing("played");
    let browser = Browser::start();
    let page = open(&browser, at, "overview", &Look::default());
    go_to_stream(&page, "played");
    await_text(&page, &mark("track-video"), "640");
    await_text(&page, &mark("use-url.m3u8"), &weir.file("played.m3u8"));
    for kind in ["flv", "hls", "llhls", "dash"] {
        page.click(&mark(&format!("tab-{kind}")));
        if page.count(&format!("{}:visible", mark("play"))) == 1 {
            page.click(&mark("play"));
        }
        page.wait_for(&format!(
            "{}[aria-selected=true]",
            mark(&format!("tab-{kind}"))
        ));
        page.wait_for(&format!("{}[data-state=playing]", mark("player-state")));
        let time = "document.querySelector('video').currentTime";
        let began = page.eval(time).as_f64().expect("a time");
        let picture = page.eval(PICTURE);
        page.until(&format!("{time} > {began} + 2"));
        assert_ne!(page.eval(PICTURE), picture, "{kind}: the same picture");
        page.until(
            "/[0-9]/.test(document.querySelector('[data-testid=player-latency]').innerText)",
        );
        println!("{kind}: latency {}", page.text(&mark("player-latency")));
        let error = page.count(&format!("{}:visible", mark("player-error")));
        assert_eq!(error, 0, "{kind}: {}", page.text(&mark("player-error")));
    }
    page.click(&mark("play-stop"));
    page.wait_for(&format!("{}[data-state=idle]", mark("player-state")));
    assert_clean(&page, at);
    drop(publisher);
    weir.assert_well();
}

#[test]
fn clients_are_found_sorted_turned_over_and_sent_away() {
    let weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("watched"));
    weir.publishing("watched");
    let mut viewers: Vec<Looker> = (0..30).map(|_| Looker::new(at, "watched")).collect();
    let browser = Browser::start();
    let page = open(&browser, at, "clients", &Look::default());
    let rows = format!("{} tr[data-key]", mark("clients"));
    // the browser's own connections are clients too
    page.fill(&mark("clients-search"), "watched");
    await_text(&page, &mark("clients-range"), "of 31");
    assert_eq!(page.count(&rows), 31);

    page.select(&mark("clients-size"), "25");
    page.until(&format!(
        "document.querySelectorAll('{rows}').length === 25"
    ));
    page.click(&mark("clients-next"));
    page.until(&format!("document.querySelectorAll('{rows}').length === 6"));
    page.click(&mark("clients-back"));
    page.until(&format!(
        "document.querySelectorAll('{rows}').length === 25"
    ));

    let head = format!("{} th:has-text(\"Protocol\")", mark("clients"));
    page.click(&format!("{head} button"));
    page.wait_for(&format!("{head}[aria-sort=ascending]"));
    page.click(&format!("{head} button"));
    page.wait_for(&format!("{head}[aria-sort=descending]"));
    await_text(&page, &rows, "rtmp");
    page.click(&format!("{head} button"));
    await_text(&page, &rows, "flv");

    let own = viewers.pop().expect("thirty");
    let peer = own.address();
    page.fill(&mark("clients-search"), &peer);
    await_text(&page, &rows, &peer);
    page.until(&format!("document.querySelectorAll('{rows}').length === 1"));
    page.click(&mark("kick"));
    page.click(&mark("confirm"));
    page.wait_for(&mark("note-good"));
    page.wait_gone(&rows);
    own.ended();
    page.fill(&mark("clients-search"), "watched");
    await_text(&page, &mark("clients-range"), "of 30");
    assert_clean(&page, at);
    publisher.stop();
    weir.assert_well();
}

#[test]
fn the_configuration_says_where_values_come_from() {
    let weir = Weir::start(BINARY, &["--stream-grace", "7s"]);
    let at = weir.address("http");
    let browser = Browser::start();
    let page = open(&browser, at, "config", &Look::default());
    let row = "tr[data-key='stream.grace']";
    await_text(&page, row, "7s");
    await_text(&page, row, "--stream-grace");
    page.wait_for("tr[data-key='stream.latency']");
    page.click(&mark("config-changed"));
    page.wait_gone("tr[data-key='stream.latency']");
    page.wait_for(row);
    page.click(&mark("config-changed"));
    page.fill(&mark("config-filter"), "hls.part");
    page.wait_gone(row);
    page.wait_for("tr[data-key='hls.part']");
    assert_clean(&page, at);
    weir.assert_well();
}

#[test]
fn the_log_follows_what_happens() {
    let weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    let browser = Browser::start();
    let page = open(&browser, at, "log", &Look::default());
    await_text(&page, &mark("log"), "listening");
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("logged"));
    await_text(&page, &mark("log"), "live/logged");
    page.fill(&mark("log-filter"), "publishing");
    page.until("document.querySelectorAll('[data-testid=log] .line:not([hidden])').length === 1");
    page.select(&mark("log-level"), "error");
    page.until("document.querySelectorAll('[data-testid=log] .line').length === 0");
    assert_clean(&page, at);
    publisher.stop();
    weir.assert_well();
}

#[test]
fn languages_and_colours_are_chosen_and_remembered() {
    let weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    let browser = Browser::start();
    let page = open(&browser, at, "overview", &Look::default());
    assert_eq!(page.text("h1"), "Overview");
    page.select(&mark("language"), "zh-CN");
    await_text(&page, "h1", "概览");
    await_text(&page, &mark("nav-clients"), "客户端");
    let lang = page.eval("document.documentElement.lang");
    assert!(lang.as_str().is_some_and(|lang| lang.starts_with("zh")));
    let light = "(() => {
        const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).map(Number);
        return r + g + b > 3 * 128;
    })()";
    assert_eq!(page.eval(light), true);
    page.select(&mark("theme"), "dark");
    assert_eq!(page.eval(light), false);
    page.goto("about:blank");
    page.goto(&console(at, "clients"));
    await_text(&page, "h1", "客户端");
    assert_eq!(page.eval(light), false);
    page.select(&mark("theme"), "light");
    assert_eq!(page.eval(light), true);
    assert_clean(&page, at);
    drop(page);
    let chinese = Look {
        locale: "zh-CN".to_owned(),
        dark: true,
        ..Look::default()
    };
    let page = open(&browser, at, "log", &chinese);
    assert_eq!(page.text("h1"), "日志");
    assert_eq!(page.eval(light), false);
    assert_clean(&page, at);
    weir.assert_well();
}

#[test]
fn all_can_be_done_by_keyboard() {
    let weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    let browser = Browser::start();
    let page = open(&browser, at, "overview", &Look::default());
    let focused = "document.activeElement.dataset.testid ?? ''";
    let mut reached = Vec::new();
    for _ in 0..20 {
        // the focused element, or the body before there is one: what is pressed on takes the focus
        page.press(":focus, body >> nth=-1", "Tab");
        let id = page.eval(focused).as_str().unwrap_or_default().to_owned();
        reached.push(id);
    }
    for id in [
        "language",
        "theme",
        "help",
        "nav-overview",
        "nav-clients",
        "nav-config",
        "nav-log",
        "streams-filter",
    ] {
        assert!(reached.iter().any(|one| one == id), "no {id}: {reached:?}");
    }
    page.press("body", "?");
    page.wait_for(&mark("help-dialog"));
    page.press("body", "Escape");
    page.wait_gone(&mark("help-dialog"));
    page.press("body", "g");
    page.press("body", "c");
    page.wait_for(&mark("page-clients"));
    page.press("body", "/");
    assert_eq!(page.eval(focused), "clients-search");
    page.press(&mark("clients-search"), "Escape");
    page.press("body", "g");
    page.press("body", "l");
    page.wait_for(&mark("page-log"));
    assert_clean(&page, at);
    weir.assert_well();
}

#[test]
fn a_server_that_is_away_is_told_and_tried_again() {
    let mut weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    let browser = Browser::start();
    let page = open(&browser, at, "overview", &Look::default());
    page.wait_for(&format!("{}[data-state=ok]", mark("link")));
    assert_clean(&page, at);
    weir.process().signal("KILL");
    page.wait_for(&mark("banner"));
    page.wait_for(&format!("{}[data-state=away]", mark("link")));
    weir = Weir::start(BINARY, &["--http-listen", &at.to_string()]);
    page.click(&mark("retry"));
    page.wait_gone(&mark("banner"));
    page.wait_for(&format!("{}[data-state=ok]", mark("link")));
    weir.assert_well();
}

#[test]
fn the_token_is_asked_for_once() {
    let weir = Weir::start(BINARY, &["--api-token", "a-long-secret"]);
    let at = weir.address("http");
    let browser = Browser::start();
    let page = browser.open(&console(at, "clients"), &Look::default());
    page.wait_for(&mark("page-login"));
    page.fill(&mark("login-token"), "wrong");
    page.click(&mark("login-submit"));
    page.until("document.querySelector('[data-testid=login-error]').innerText !== ''");
    page.fill(&mark("login-token"), "a-long-secret");
    page.press(&mark("login-token"), "Enter");
    page.wait_for(&mark("page-clients"));
    page.goto("about:blank");
    page.goto(&console(at, "config"));
    page.wait_for("tr[data-key='api.token']");
    // nor is it shown to who has it
    assert!(!page.text("body").contains("a-long-secret"));
    page.click(&mark("logout"));
    page.wait_for(&mark("page-login"));
    weir.assert_well();
}

#[test]
fn a_proxy_shows_its_cluster_and_drains_an_origin() {
    let cluster = Cluster::start(BINARY, 2, 1);
    let proxy = cluster.proxy(0);
    let at = proxy.listener("http");
    let publisher = ClockPublisher::rtmp(&Clock::default(), &proxy.rtmp("far"));
    let browser = Browser::start();
    let page = open(&browser, at, "cluster", &Look::default());
    let rows = format!("{} tr[data-key]", mark("origins"));
    page.until(&format!("document.querySelectorAll('{rows}').length === 2"));
    let stream = format!("{} tr[data-key]", mark("streams"));
    await_text(&page, &stream, "live/far");
    await_text(&page, &format!("{stream} [data-column=origin]"), "origin-");

    page.click(&format!("{} >> nth=0", mark("drain")));
    page.click(&mark("confirm"));
    page.wait_for(&mark("undrain"));
    page.wait_for(&mark("note-good"));
    page.click(&mark("undrain"));
    page.wait_gone(&mark("undrain"));
    page.until(&format!(
        "document.querySelectorAll('{}').length === 2",
        mark("drain")
    ));

    page.click(&format!("{stream} a"));
    page.wait_for(&mark("page-stream"));
    page.click(&mark("tab-llhls"));
    page.click(&mark("play"));
    page.wait_for(&format!("{}[data-state=playing]", mark("player-state")));
    for name in ["overview", "clients", "config", "log"] {
        page.click(&mark(&format!("nav-{name}")));
        page.wait_for(&mark(&format!("page-{name}")));
    }
    assert_clean(&page, at);
    publisher.stop();
    proxy.assert_well();
}
