//! The client against servers that say what a script has.

use std::net::TcpListener;
use std::thread::JoinHandle;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A server that reads one request, says `pieces` one by one, and closes. Gives the request.
fn scripted(pieces: Vec<Vec<u8>>) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            asked.push(byte[0]);
        }
        for piece in pieces {
            // the client may have seen enough
            let _ = stream.write_all(&piece);
        }
        String::from_utf8(asked).unwrap()
    });
    (Client::new(&url, "swordfish").unwrap(), server)
}

fn said(text: &str) -> Result<Value, Error> {
    let (client, server) = scripted(vec![text.as_bytes().to_vec()]);
    let got = client.get("/api/v1/x");
    server.join().unwrap();
    got
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn what_is_asked_names_the_host_and_has_the_token() {
    let (client, server) = scripted(vec![answer("200 OK", "{}").into_bytes()]);
    let _: Value = client.get("/api/v1/streams?count=3").unwrap();
    let asked = server.join().unwrap();
    assert!(
        asked.starts_with("GET /api/v1/streams?count=3 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains(&format!("Host: {}\r\n", client.address())),
        "{asked}"
    );
    assert!(
        asked.contains("Authorization: Bearer swordfish\r\n"),
        "{asked}"
    );
    assert!(!format!("{client:?}").contains("swordfish"));
}

#[test]
fn a_kick_names_the_client_and_nothing_else() {
    let (client, server) = scripted(vec![answer("200 OK", "{}").into_bytes()]);
    client.kick("1tq5/../x y").unwrap();
    let asked = server.join().unwrap();
    assert!(
        asked.starts_with("DELETE /api/v1/clients/1tq5xy HTTP/1.1\r\n"),
        "{asked}"
    );
}

#[test]
fn bodies_end_where_each_framing_says() {
    for text in [
        answer("200 OK", r#"{"a":1}"#),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n"
            .to_owned(),
        "HTTP/1.0 200 OK\r\n\r\n{\"a\":1}".to_owned(),
        format!(
            "HTTP/1.1 103 Early Hints\r\n\r\n{}",
            answer("200 OK", r#"{"a":1}"#)
        ),
    ] {
        // an interim answer may stand in the same read as the one behind it
        match said(&text) {
            Ok(value) => assert_eq!(value, json!({"a": 1}), "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn failures_say_what_to_do() {
    let text = |got: Result<Value, Error>| got.unwrap_err().to_string();
    let token = text(said(&answer("401 Unauthorized", "{}")));
    assert!(
        token.contains("WEIR_API_TOKEN") && token.contains("--token"),
        "{token}"
    );
    let body = r#"{"code":403,"error":"only loopback addresses are served"}"#;
    let forbidden = text(said(&answer("403 Forbidden", body)));
    assert_eq!(
        forbidden,
        "the API refuses: only loopback addresses are served"
    );
    let missing = text(said(&answer("404 Not Found", "<b>nothing\u{7}</b>")));
    assert!(missing.contains("404: <b>nothing</b>"), "{missing}");
    assert!(text(said("SSH-2.0-x\r\n")).contains("no HTTP server"));
    assert!(text(said(&answer("200 OK", "[}"))).contains("not that of a Weir"));
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}";
    assert!(matches!(said(short), Err(Error::Broken(_))));
    assert!(matches!(said(""), Err(Error::Broken(_))));
    let damaged = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert!(matches!(said(damaged), Err(Error::Body(_))));
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(&format!("http://{address}"), "").unwrap();
    let error = client.get::<Value>("/api/v1").unwrap_err();
    assert!(matches!(&error, Error::Refused { address: told } if *told == address.to_string()));
    assert!(error.to_string().contains("api.listen"), "{error}");
}

#[test]
fn bodies_and_heads_have_a_bound() {
    let long = vec![b' '; MOST_BODY_BYTES + 1];
    let (client, server) = scripted(vec![b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), long]);
    assert!(matches!(client.get::<Value>("/"), Err(Error::TooLong)));
    server.join().unwrap();
    let head = vec![b'x'; MOST_HEAD_BYTES + 1];
    let (client, server) = scripted(vec![b"HTTP/1.1 200 OK\r\nA: ".to_vec(), head]);
    assert!(matches!(client.get::<Value>("/"), Err(Error::NotHttp(_))));
    server.join().unwrap();
}

#[test]
fn addresses_are_those_of_http() {
    let address = |url: &str| Client::new(url, "").map(|client| (client.address(), client.base));
    for (url, expected, base) in [
        ("http://127.0.0.1:1985", "127.0.0.1:1985", ""),
        ("http://h", "h:1985", ""),
        ("http://h:80/", "h:80", ""),
        ("http://[::1]:7/", "[::1]:7", ""),
        ("http://h:1/weir/", "h:1", "/weir"),
    ] {
        let got = address(url).unwrap();
        assert_eq!((got.0.as_str(), got.1.as_str()), (expected, base), "{url}");
    }
    for url in ["", "h:1985", "https://h", "http://", "file:///x"] {
        assert!(matches!(address(url), Err(Error::Url { .. })), "{url}");
    }
    assert!(Client::new("http://h", "a b").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, in whatever pieces, is taken or refused, without a panic.
    #[test]
    fn any_answer_is_taken_or_refused(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5),
        with_head in any::<bool>(),
    ) {
        let mut all = pieces;
        if with_head {
            all.insert(0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec());
        }
        let (client, server) = scripted(all);
        let _ = client.get::<Value>("/");
        server.join().unwrap();
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut(body in ".{0,200}", at in 0usize..300) {
        let text = answer("200 OK", &serde_json::to_string(&body).unwrap());
        let (front, back) = text.as_bytes().split_at(at.min(text.len()));
        let (client, server) = scripted(vec![front.to_vec(), back.to_vec()]);
        let got: String = client.get("/").unwrap();
        server.join().unwrap();
        prop_assert_eq!(got, body);
    }
}
