//! What people are told when a server is there.
//!
//! Owns: the addresses in the log, and on a terminal what to try first. Does not: know why an address is what it is.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;

use crate::config::Role;
use crate::origin::Listening;

/// Says every address and what to try first: on a terminal in a few lines for people, else in the log.
pub(super) fn greet(role: Role, listening: &[Listening]) {
    for one in listening {
        tracing::info!(key = one.key, address = %one.address, "listening");
    }
    let mut out = std::io::stdout();
    if out.is_terminal() {
        // a closed terminal is no reason not to serve
        let _ = writeln!(out, "{}", advice(role, listening));
    }
}

/// What to try first in `role`.
fn advice(role: Role, listening: &[Listening]) -> String {
    let address = |key: &str| {
        let one = listening.iter().find(|one| one.key == key);
        one.map(|one| reachable(one.address))
    };
    let is_proxy = role == Role::Proxy;
    let [rtmp, http] = match is_proxy {
        true => ["proxy.rtmp_listen", "proxy.http_listen"],
        false => ["rtmp.listen", "http.listen"],
    };
    let mut text = String::new();
    if let Some(system) = address("proxy.system_listen").filter(|_| is_proxy) {
        text.push_str(&format!(
            "\nRegister an origin:\n  weir origin --heartbeat-urls \
             http://{system}/api/v1/srs/register\n"
        ));
    }
    if let Some(rtmp) = address(rtmp) {
        let url = format!("rtmp://{rtmp}/live/livestream");
        text.push_str("\nPublish a stream:\n");
        text.push_str("  ffmpeg -re -stream_loop -1 -i any.mp4 -c copy -f flv ");
        text.push_str(&url);
        text.push_str("\nWatch it:\n  ffplay ");
        text.push_str(&url);
        text.push('\n');
    }
    if let Some(http) = address(http) {
        text.push_str(&format!("  ffplay http://{http}/live/livestream.flv\n"));
    }
    let api = match is_proxy {
        true => address("proxy.system_listen"),
        false => address("api.listen"),
    };
    if let Some(api) = api {
        text.push_str(&format!(
            "See who is there:\n  curl http://{api}/api/v1/streams\n"
        ));
    }
    text
}

/// The address as someone on this machine would write it.
fn reachable(address: SocketAddr) -> String {
    match (address.ip().is_unspecified(), address.port()) {
        (true, 1935) => "localhost".to_owned(),
        (true, port) => format!("localhost:{port}"),
        (false, _) => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(key: &'static str, address: &str) -> Listening {
        let address = address.parse().unwrap();
        Listening { key, address }
    }

    #[test]
    fn advice_names_what_is_there_and_nothing_else() {
        let origin = [
            at("rtmp.listen", "0.0.0.0:1935"),
            at("api.listen", "127.0.0.1:1985"),
        ];
        let text = advice(Role::Origin, &origin);
        assert!(
            text.contains("ffplay rtmp://localhost/live/livestream\n"),
            "{text}"
        );
        assert!(text.contains("curl http://127.0.0.1:1985/"), "{text}");
        assert!(
            !text.contains(".flv") && !text.contains("Register"),
            "{text}"
        );

        let proxy = [
            at("proxy.rtmp_listen", "[::]:11935"),
            at("proxy.http_listen", "[::1]:18080"),
            at("proxy.system_listen", "[::]:12025"),
        ];
        let text = advice(Role::Proxy, &proxy);
        for part in [
            "--heartbeat-urls http://localhost:12025/api/v1/srs/register\n",
            "ffplay rtmp://localhost:11935/live/livestream\n",
            "ffplay http://[::1]:18080/live/livestream.flv\n",
            "curl http://localhost:12025/",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(advice(Role::Proxy, &[]), "");
    }
}
