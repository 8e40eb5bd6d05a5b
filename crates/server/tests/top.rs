//! `weir top` against a running origin and a running proxy.

use std::process::{Command, Output};

use weir_testkit::weir::command;
use weir_testkit::{Media, Proxy, Tool, Weir, publish};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

/// Runs `weir top` with `args`.
fn top(args: &[&str]) -> Output {
    let mut top: Command = command(BINARY, &["top"]);
    top.args(args).stdout(std::process::Stdio::piped());
    top.stderr(std::process::Stdio::piped());
    top.output().expect("weir runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn an_origins_streams_and_clients_are_one_table() {
    let weir = Weir::start(BINARY, &[]);
    let options = ["-re", "-stream_loop", "-1"];
    let url = weir.rtmp("show");
    let _publisher = publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &options, &url);
    weir.publishing("show");
    weir.api_shows("/api/v1/streams", |answer| {
        answer["streams"][0]["frame_rate"].is_number() && answer["streams"][0]["video"].is_object()
    });
    let api = format!("http://{}", weir.address("api"));
    // without a terminal there is one table whether it is asked for or not
    for args in [&["--api", &api, "--once"][..], &["--api", &api]] {
        let output = top(args);
        let out = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(out.starts_with("weir origin "), "{out}");
        let line = out.lines().find(|line| line.starts_with("/live/show "));
        let line = line.unwrap_or_else(|| panic!("no line of the stream in {out}"));
        assert!(line.contains("H264 320x180 AAC"), "{line}");
        let client = out.lines().find(|line| line.contains(" publisher "));
        assert!(
            client.is_some_and(|line| line.contains("127.0.0.1")),
            "{out}"
        );
        assert!(!out.contains('\u{1b}'), "{out}");
    }
}

#[test]
fn a_proxy_is_shown_too() {
    let proxy = Proxy::start(BINARY, &[]);
    let api = format!("http://{}", proxy.listener("system"));
    let output = top(&["--api", &api, "--once"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(out.starts_with("weir proxy "), "{out}");
    assert!(out.contains("ORIGIN"), "{out}");
}

#[test]
fn failures_say_what_to_do_and_the_exit_code() {
    let weir = Weir::start(BINARY, &["--api-token", "a-long-secret"]);
    let api = format!("http://{}", weir.address("api"));
    let refused = top(&["--api", &api, "--once"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("WEIR_API_TOKEN"),
        "{}",
        text(&refused.stderr)
    );
    assert!(text(&refused.stdout).is_empty());
    let admitted = top(&["--api", &api, "--token", "a-long-secret", "--once"]);
    assert!(admitted.status.success(), "{}", text(&admitted.stderr));
    weir.stop();
    let gone = top(&["--api", &api, "--once"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        text(&gone.stderr).contains("nothing listens at"),
        "{}",
        text(&gone.stderr)
    );
    assert_eq!(top(&["--api", "ftp://h"]).status.code(), Some(2));
}
