//! Tests of the closed loop against a scripted server.

use std::net::TcpListener;
use std::thread;

use super::*;
use crate::args::{Protocol, tests::parse};

fn files(line: &str) -> Files {
    let words: Vec<_> = line.split_whitespace().collect();
    let Protocol::Files(files) = parse(&words).unwrap().protocol else {
        panic!("not files")
    };
    files
}

/// Answers requests on `connections` connections, each until its client goes; a playlist, files, and nothing else.
fn serve(connections: usize, close_after: usize) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        thread::scope(|scope| {
            for _ in 0..connections {
                let (socket, _) = listener.accept().unwrap();
                scope.spawn(move || answer(socket, close_after));
            }
        });
    });
    (address, server)
}

fn answer(mut socket: TcpStream, close_after: usize) {
    let mut buffer = vec![0; 4096];
    for _ in 0..close_after {
        // the bench asks one thing at a time, in one write
        let Ok(length @ 1..) = socket.read(&mut buffer) else {
            return;
        };
        let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let path = head.split(' ').nth(1).unwrap();
        let (status, body) = match path {
            "/live/x.m3u8" => (
                200,
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmedia.m3u8?a=b\n",
            ),
            "/live/media.m3u8?a=b" => (
                200,
                "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n1.ts\n#EXTINF:1,\n2.ts\n",
            ),
            "/live/1.ts" | "/live/2.ts" => (200, "media"),
            _ => (404, ""),
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if socket.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn files_are_got_over_and_over() {
    let (address, server) = serve(4, usize::MAX);
    let line = format!(
        "files http://{address}/live/1.ts http://{address}/live/2.ts http://{address}/none \
         -c 4 --threads 2 --seconds 0.3 --warmup 0"
    );
    let report = run(&files(&line)).unwrap();
    server.join().unwrap();
    assert_eq!((report.files, report.connections.running), (3, 4));
    assert!(report.requests > 3 && report.requests_per_second > 0.0);
    assert_eq!(report.latency_ms.count, report.requests);
    // a third of all, and no connection failed by it
    let refused = report.statuses[&404];
    assert!(refused > 0 && refused < report.requests);
    assert_eq!(report.bad(), refused);
    assert!(report.bytes_in > report.requests * 5);
    let table = report.to_string();
    for part in ["4 of 4 running", "× HTTP 404", "a second"] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let document = serde_json::to_value(&report).unwrap();
    assert_eq!(document["connections"]["wanted"], 4);
}

#[test]
fn playlists_stand_for_their_segments() {
    let (address, server) = serve(2, 1);
    let args = files(&format!("files http://{address}/live/x.m3u8"));
    let found = judge(&args).unwrap();
    server.join().unwrap();
    assert_eq!(found.paths, ["/live/2.ts", "/live/1.ts"]);
    let (address, server) = serve(2, 1);
    let args = files(&format!("files http://{address}/live/x.m3u8 --newest 1"));
    assert_eq!(judge(&args).unwrap().paths, ["/live/2.ts"]);
    server.join().unwrap();
}

#[test]
fn servers_may_close_between_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // it takes connections until the test has ended, and closes each after two answers
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || answer(socket, 2));
        }
    });
    let line = format!("files http://{address}/live/1.ts -c 2 --seconds 0.2 --warmup 0");
    let report = run(&files(&line)).unwrap();
    assert_eq!((report.connections.running, report.bad()), (2, 0));
    assert!(report.requests > 2);
}

#[test]
fn says_why_nothing_could_connect() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let report = run(&files(&format!("files http://{address}/a -c 2"))).unwrap();
    let reason = report.nothing_ran().unwrap();
    assert_eq!(reason, "connection: connect: connection refused (×2)");
}

#[test]
fn usage_without_sense_is_refused() {
    for rest in [
        "http://127.0.0.1/a -c 0",
        "http://127.0.0.1/a --threads 0",
        "http://127.0.0.1/a --newest 0",
        "http://127.0.0.1/a http://127.0.0.2/a",
        "ftp://127.0.0.1/a",
    ] {
        let error = run(&files(&format!("files {rest}"))).unwrap_err();
        assert_eq!(crate::exit_code(&error), 2, "{rest}: {error}");
    }
}
