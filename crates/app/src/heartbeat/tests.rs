//! The heartbeat against a proxy that only listens.

use std::sync::mpsc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::config::{Secret, Urls};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"code\":0,\"pid\":\"1\"}";

/// So long that nothing happens for the time being over.
const NEVER: Duration = Duration::from_secs(3600);

/// Longest wait for what must come. A test that takes it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy: it hands out each request and gives the answer in force.
struct Fake {
    listener: TcpListener,
    answer: &'static str,
}

/// A request as it came.
struct Asked {
    head: String,
    body: Value,
}

impl Asked {
    fn draining(&self) -> &Value {
        &self.body["weir"]["draining"]
    }
}

impl Fake {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            listener,
            answer: OK,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.listener.local_addr().unwrap())
    }

    async fn next(&self) -> Asked {
        tokio::time::timeout(PATIENCE, async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let (head, wanted) = loop {
                assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
                let text = String::from_utf8(bytes.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.split_once("Content-Length: ").unwrap().1;
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    break (head.to_owned(), body.to_owned());
                }
            };
            stream.write_all(self.answer.as_bytes()).await.unwrap();
            let body = serde_json::from_str(&wanted).unwrap_or_default();
            Asked { head, body }
        })
        .await
        .expect("a request comes")
    }
}

fn settings(urls: &[String], interval: Duration) -> config::Heartbeat {
    config::Heartbeat {
        urls: Urls(urls.iter().map(|url| url.parse().unwrap()).collect()),
        interval,
        ..config::Heartbeat::default()
    }
}

fn listening() -> Vec<Listening> {
    [
        ("rtmp.listen", "127.0.0.1:19350"),
        ("rtmp.listen", "0.0.0.0:19351"),
        ("rtmp.listen", "[::]:19351"),
        ("http.listen", "0.0.0.0:8081"),
        ("api.listen", "127.0.0.1:19851"),
    ]
    .into_iter()
    .map(|(key, address)| Listening {
        key,
        address: address.parse().unwrap(),
    })
    .collect()
}

fn identity() -> Identity {
    Identity::new(&[], std::time::UNIX_EPOCH)
}

fn heartbeat(settings: config::Heartbeat) -> Heartbeat {
    let meter = Meter::new(Box::new(|| Totals {
        sessions: 3,
        ..Totals::default()
    }));
    Heartbeat::of(settings, listening(), identity(), meter)
}

/// Runs `test` beside a heartbeat with `settings`; the sender says that the last session has ended.
async fn beside(
    settings: config::Heartbeat,
    test: impl AsyncFnOnce(&Shutdown, oneshot::Sender<()>),
) {
    let shutdown = Shutdown::new();
    let (ended, over) = oneshot::channel();
    let over = async { over.await.unwrap_or(()) };
    let beating = run(heartbeat(settings), shutdown.clone(), over);
    tokio::join!(beating, test(&shutdown, ended));
}

#[tokio::test(flavor = "current_thread")]
async fn a_registration_is_what_srs_sends_and_more() {
    let proxy = Fake::new().await;
    let mut settings = settings(&[proxy.url()], NEVER);
    settings.token = Secret::new("a-long-secret");
    settings.device_id = "origin1".to_owned();
    settings.weight = 50;
    beside(settings, async |_, ended| {
        let asked = proxy.next().await;
        let (first, rest) = asked.head.split_once("\r\n").unwrap();
        assert_eq!(first, "POST /api/v1/srs/register HTTP/1.1");
        assert!(
            rest.contains("Authorization: Bearer a-long-secret"),
            "{rest}"
        );
        assert!(rest.contains("Content-Type: application/json"), "{rest}");
        let identity = identity();
        let expected = serde_json::json!({
            "device_id": "origin1",
            "ip": "127.0.0.1",
            "server": identity.server, "service": identity.service,
            "pid": std::process::id().to_string(),
            "rtmp": ["19351", "19350"], "http": ["8081"], "api": ["19851"],
            "weir": {
                "weight": 50, "capacity": 0, "draining": false,
                "cpu": 0.0, "egress_bps": 0, "sessions": 3,
            },
        });
        assert_eq!(asked.body, expected);
        drop(ended);
        proxy.next().await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_sent_is_read_by_the_proxy() {
    let proxy = Fake::new().await;
    beside(settings(&[proxy.url()], NEVER), async |_, ended| {
        let body = proxy.next().await.body.to_string();
        let (peer, now) = (IpAddr::from([127, 0, 0, 1]), std::time::UNIX_EPOCH);
        let policy = weir_proxy::register::Policy::default();
        let node = weir_proxy::register::parse(body.as_bytes(), peer, now, &policy).unwrap();
        assert_eq!(
            node.endpoints.port(weir_cluster::Service::Rtmp),
            Ok(Some(19351))
        );
        assert_eq!(node.report.load.unwrap().sessions, 3);
        drop(ended);
        proxy.next().await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn it_beats_on_and_says_at_once_that_it_drains_and_that_it_leaves() {
    let proxy = Fake::new().await;
    let url = proxy.url() + "register?from=here";
    beside(
        settings(&[url], Duration::from_millis(1)),
        async |shutdown, ended| {
            for _ in 0..3 {
                assert_eq!(proxy.next().await.draining(), false);
            }
            shutdown.drain();
            // one may have been under way
            while proxy.next().await.draining() == false {}
            assert_eq!(proxy.next().await.draining(), true);
            drop(ended);
            let goodbye = loop {
                let asked = proxy.next().await;
                if asked.head.starts_with("DELETE ") {
                    break asked;
                }
                assert_eq!(asked.draining(), true);
            };
            let identity = identity();
            let query = format!(
                "from=here&server={}&service={}&pid={}",
                identity.server,
                identity.service,
                std::process::id()
            );
            let first = format!("DELETE /register?{query} HTTP/1.1\r\n");
            assert!(goodbye.head.starts_with(&first), "{}", goodbye.head);
            // the proxy of SRS takes what has a body for a registration
            assert!(goodbye.head.contains("Content-Length: 0"));
        },
    )
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_drain_between_two_beats_is_told_at_once() {
    let proxy = Fake::new().await;
    beside(settings(&[proxy.url()], NEVER), async |shutdown, ended| {
        assert_eq!(proxy.next().await.draining(), false);
        shutdown.drain();
        while proxy.next().await.draining() == false {}
        drop(ended);
        while !proxy.next().await.head.starts_with("DELETE ") {}
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn each_proxy_is_told_whatever_the_others_do() {
    let (mut refusing, proxy) = (Fake::new().await, Fake::new().await);
    refusing.answer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nempty ip";
    let gone = Fake::new().await.url();
    let urls = [gone, refusing.url(), proxy.url()];
    beside(settings(&urls, NEVER), async |_, ended| {
        let (refused, told) = tokio::join!(refusing.next(), proxy.next());
        assert!(refused.head.starts_with("POST ") && told.head.starts_with("POST "));
        drop(ended);
        let (refused, told) = tokio::join!(refusing.next(), proxy.next());
        assert!(refused.head.starts_with("DELETE ") && told.head.starts_with("DELETE "));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_proxy_it_ends_with_the_sessions() {
    beside(settings(&[], NEVER), async |_, ended| drop(ended)).await;
}

/// A log that says how each line begins.
#[derive(Clone)]
struct Lines(mpsc::SyncSender<String>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.0.send(text).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_line_is_logged_when_it_fails_and_one_when_it_works_again() {
    let url = "http://user:secret@127.0.0.1:1/?token=secret"
        .parse()
        .unwrap();
    let proxy = Proxy::new(&url).unwrap();
    let (sender, lines) = mpsc::sync_channel(64);
    let sink = Lines(sender);
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || sink.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        for well in [true, true, false, false, false, true, true] {
            proxy.note(well.then_some(()).ok_or(CallError::Timeout));
        }
    });
    let lines: Vec<String> = lines.try_iter().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, said) in lines.iter().zip([
        "registered with proxy ",
        "cannot register with proxy, trying on ",
        "registered with proxy again ",
    ]) {
        assert!(line.contains(said), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
}

#[test]
fn the_load_is_what_happened_since_the_last_beat() {
    let totals = [(0, 0, 0), (3, 1000, 4), (3, 900, 4), (300, 2000, 5)];
    let mut totals = totals.into_iter().map(|(cpu, sent, sessions)| Totals {
        cpu: Duration::from_secs(cpu),
        sent,
        sessions,
    });
    let mut meter = Meter::new(Box::new(move || totals.next().unwrap_or_default()));
    meter.cpus = 2;
    let start = meter.last.0;
    let after = |seconds| start + Duration::from_secs(seconds);
    let load = Load {
        cpu: 0.75,
        egress_bps: 4000,
        sessions: 4,
    };
    assert_eq!(meter.measure(after(2)), load);
    let idle = Load {
        cpu: 0.0,
        egress_bps: 0,
        sessions: 4,
    };
    assert_eq!(meter.measure(after(4)), idle);
    assert_eq!(meter.measure(after(5)).cpu, 1.0);
    assert_eq!(meter.measure(after(5)), Load::default());
}

#[test]
fn an_address_for_others_leaves_out_what_only_this_host_reaches() {
    let mut settings = settings(&[], NEVER);
    settings.address = "origin.example".to_owned();
    let me = Me {
        settings,
        identity: identity(),
        listening: listening(),
    };
    let body = me.body(IpAddr::from([127, 0, 0, 1]), Load::default(), false);
    assert_eq!(body.ip, "origin.example");
    assert_eq!(body.rtmp, ["19351", "19350"]);
    assert_eq!(body.http, ["8081"]);
    assert!(body.api.is_empty());
}

#[test]
fn addresses_that_cannot_be_called_are_left_out() {
    for (url, called) in [
        (
            "http://proxy.example:12025",
            "proxy.example:12025/api/v1/srs/register",
        ),
        ("http://[::1]:12025/x", "::1:12025/x"),
        (
            "http://proxy.example/",
            "proxy.example:80/api/v1/srs/register",
        ),
    ] {
        let proxy = Proxy::new(&url.parse().unwrap()).unwrap();
        let shown = format!("{}:{}{}", proxy.host, proxy.port, proxy.path);
        assert_eq!(shown, called);
    }
    assert!(Proxy::new(&"https://proxy.example/".parse().unwrap()).is_none());
}
