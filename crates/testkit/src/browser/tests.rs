//! The browser against pages and streams of a foreign server, and what must not go unseen.

use std::fs;

use super::*;
use crate::nginx::Nginx;
use crate::{Media, Process, Tool};

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>t</title><link rel=icon href=data:,>
    <style>body { background: white } @media (prefers-color-scheme: dark) { body { background: black } }</style>
    <p id=said>nothing</p><p id=hidden hidden>secret</p><input id=name>
    <select id=of><option value=1>one<option value=2>two</select>
    <button onclick=\"said.textContent = 'hello ' + document.getElementById('name').value;
        setTimeout(() => { document.getElementById('hidden').hidden = false }, 50)\">Greet</button>
    <script>document.getElementById('name').addEventListener('keydown', (event) => {
        if (event.key === 'Enter') said.textContent = 'entered'; })</script>";

/// A page that asks for what is not there and for another machine, and fails.
const FAULTY: &str = "<!doctype html><title>f</title><img src=/gone.png>
    <img src=http://example.com/outside.png>
    <script>new WebSocket('ws://example.com/socket');
    console.error('deliberate'); throw new Error('thrown on purpose')</script>";

fn nginx(files: &[(&str, &str)]) -> Nginx {
    let nginx = Nginx::origin();
    for (name, text) in files {
        fs::write(nginx.files().join(name), text).unwrap();
    }
    nginx
}

#[test]
fn a_page_is_worked_with() {
    let nginx = nginx(&[("page.html", PAGE)]);
    let browser = Browser::start();
    let url = format!("http://{}/page.html", nginx.http());
    let look = Look {
        viewport: (400, 300),
        dark: true,
        locale: "zh-CN".to_owned(),
    };
    let page = browser.open(&url, &look);
    assert_eq!(page.text("#said"), "nothing");
    page.fill("#name", "you");
    page.click("button");
    assert_eq!(page.text("#said"), "hello you");
    page.wait_for("#hidden");
    page.press("#name", "Enter");
    assert_eq!(page.text("#said"), "entered");
    page.select("#of", "two");
    assert_eq!(page.eval("document.getElementById('of').value"), "2");
    assert_eq!(page.count("option"), 2);
    page.wait_gone("#none");
    page.eval("setTimeout(() => { window.later = { a: 1 }; }, 200)");
    assert_eq!(page.until("window.later"), json!({ "a": 1 }));
    let seen = page.eval(
        "[innerWidth, innerHeight, navigator.language, getComputedStyle(document.body).backgroundColor]",
    );
    assert_eq!(seen, json!([400, 300, "zh-CN", "rgb(0, 0, 0)"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.png");
    page.screenshot(&file);
    assert!(fs::read(&file).unwrap().starts_with(b"\x89PNG"));
    let asked = page.requests();
    assert_eq!(
        (asked[0].url.as_str(), asked[0].status),
        (url.as_str(), Some(200))
    );
    assert!(asked.iter().all(Asked::is_local));
    assert_eq!(page.errors(), Vec::<String>::new());
}

#[test]
fn what_goes_wrong_in_a_page_is_told() {
    let nginx = nginx(&[("faulty.html", FAULTY)]);
    let browser = Browser::start();
    let page = browser.open(
        &format!("http://{}/faulty.html", nginx.http()),
        &Look::default(),
    );
    page.until_told(&[
        "deliberate",
        "thrown: thrown on purpose",
        "404",
        "/outside.png",
        "example.com/socket",
    ]);
    let asked = page.requests();
    let outside: Vec<_> = asked.iter().filter(|asked| !asked.is_local()).collect();
    assert_eq!(outside.len(), 2, "{asked:#?}");
    for asked in outside {
        assert_eq!(asked.status, None, "nothing reaches other machines");
    }
}

#[test]
fn a_server_that_forbids_other_origins_is_an_error() {
    let nginx = Nginx::origin();
    let browser = Browser::start();
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ns.ts\n#EXT-X-ENDLIST\n";
    fs::write(nginx.files().join("live/s.m3u8"), playlist).unwrap();
    let url = format!("http://{}/live/s.m3u8", nginx.http());
    let playback = browser.play(Player::Hls, &url);
    let report = playback.until("CORS", |report| {
        report.errors.iter().any(|error| error.contains("CORS"))
    });
    assert!(!report.plays(0.0), "{report}");
}

/// A file in four formats, below what `nginx` serves; gives their addresses.
fn packaged(nginx: &Nginx, media: Media) -> [String; 4] {
    ["hls/s.m3u8", "dash/s.mpd", "flv/s.flv", "mpegts/s.ts"].map(|name| {
        let (format, _) = name.split_once('/').expect("so they are written");
        let file = nginx.files().join("of-a-file").join(name);
        fs::create_dir_all(file.parent().expect("it has one")).unwrap();
        let mut command = Tool::Ffmpeg.command(["-nostdin", "-loglevel", "warning", "-i"]);
        command.arg(media.file()).args(["-c", "copy", "-f", format]);
        if format == "hls" {
            command.args(["-hls_time", "1", "-hls_list_size", "0"]);
        }
        Process::spawn(command.arg(file)).succeed();
        format!("http://{}/open/of-a-file/{name}", nginx.http())
    })
}

#[test]
fn players_in_one_browser_play_at_once_and_to_the_end() {
    let nginx = Nginx::origin();
    let [hls, dash, flv, ts] = packaged(&nginx, Media::H264Aac);
    let browser = Browser::start();
    let playbacks = [
        (browser.play(Player::Flv, &flv), "mpegts.version"),
        (browser.play(Player::Ts, &ts), "mpegts.version"),
        (browser.play(Player::Hls, &hls), "Hls.version"),
        (
            browser.play(Player::LowLatencyHls, &hls),
            "player.config.lowLatencyMode",
        ),
        (browser.play(Player::Dash, &dash), "player.getVersion()"),
    ];
    for (playback, _) in &playbacks {
        let report = playback.played(1.0);
        assert!(report.plays(1.0), "{report}");
        // to the end in less time than it lasts
        playback.eval("video.playbackRate = 4");
    }
    for (playback, about) in &playbacks {
        let report = playback.until("the end", |report| report.ended);
        assert!(
            report.plays(f64::from(crate::media::SECONDS) - 1.0),
            "{report}"
        );
        assert_eq!(report.resolution, (320, 180));
        // no clock is in these pictures
        let read = (report.unread, report.median_latency());
        assert_eq!(read, (report.shown, None), "{report}");
        let about = playback.eval(about);
        assert!(!about.is_null() && about != false, "{about}");
    }
}

#[test]
#[should_panic(expected = "browser: open: page.goto: net::ERR_CONNECTION_REFUSED")]
fn nobody_there_is_a_failure() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    Browser::start().open(&format!("http://{address}/"), &Look::default());
}

/// Whether a process runs; one that nobody has waited for does not.
fn runs(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // behind the name, in parentheses, is the state (proc(5))
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn nothing_is_left_when_a_browser_is_dropped() {
    let browser = Browser::start();
    let pid = browser
        .pid()
        .expect("Linux tells the children of a process");
    assert!(runs(pid));
    drop(browser);
    assert!(!runs(pid));
}

#[test]
fn a_browser_whose_driver_died_is_an_error_and_ends_too() {
    let browser = Browser::start();
    let pid = browser
        .pid()
        .expect("Linux tells the children of a process");
    browser.driver.kill();
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        browser.open("about:blank", &Look::default());
    }));
    assert!(opened.is_err());
    drop(browser);
    for _ in 0..PATIENCE.as_millis() / 20 {
        if !runs(pid) {
            return;
        }
        // nothing tells of the end of a process that is not our child
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the browser is still there");
}

#[test]
fn addresses_of_this_machine_are_told_from_others() {
    let asked = |url: &str| Asked {
        url: url.to_owned(),
        method: "GET".to_owned(),
        kind: "fetch".to_owned(),
        status: None,
        failure: None,
    };
    for local in [
        "http://127.0.0.1:80/x",
        "http://localhost/",
        "https://user@[::1]:443/",
        "blob:http://127.0.0.1:1/6d",
        "data:text/plain,http://example.com/",
        "about:blank",
    ] {
        assert!(asked(local).is_local(), "{local}");
    }
    for other in [
        "http://127.0.0.1.example.com/",
        "https://example.com/127.0.0.1",
        "https://localhost@example.com",
        "ws://localhost.example/",
    ] {
        assert!(!asked(other).is_local(), "{other}");
    }
}
