//! Asking an origin whether it is well.
//!
//! Owns: a connection to its first TCP service, and, for one that hung before, the first words of RTMP or HTTP. Does
//! not: decide when, or what it means.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_cluster::{Node, Service};
use weir_net::clock;
use weir_net::dial::{self, ConnectError};

use super::condition::Finding;

/// Length of C1 and S1 (RTMP 1.0, section 5.2.3).
const C1_LEN: usize = 1536;

/// The version in C0 and S0 (RTMP 1.0, section 5.2.2).
const RTMP_VERSION: u8 = 3;

/// Services over TCP, that which is probed first.
const TCP_SERVICES: [Service; 3] = [Service::Rtmp, Service::Http, Service::Api];

/// What of an origin is probed; `None` when it serves nothing over TCP.
pub(super) fn target(node: &Node) -> Option<(Service, u16)> {
    TCP_SERVICES
        .iter()
        .find_map(|service| Some((*service, node.endpoints.port(*service).ok()??)))
}

/// Probes `service` of an origin at `host`; `deep` waits for its first words too. Takes at most `limit`.
pub(super) async fn probe(
    host: &str,
    (service, port): (Service, u16),
    deep: bool,
    limit: Duration,
) -> Finding {
    let began = clock::now();
    let mut stream = match dial::connect(host, port, limit).await {
        Ok((stream, _)) => stream,
        Err(ConnectError::Connect { error, .. }) if error.kind() != ErrorKind::TimedOut => {
            return Finding::Refused;
        }
        // a resolver that does not answer says nothing about the origin
        Err(_) => return Finding::Timeout,
    };
    if deep {
        let left = limit.saturating_sub(clock::now().saturating_duration_since(began));
        let words = async {
            match service {
                Service::Rtmp => speak_rtmp(&mut stream).await,
                _ => speak_http(&mut stream, host).await,
            }
        };
        match tokio::time::timeout(left, words).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Finding::Silent,
        }
    }
    Finding::Well(clock::now().saturating_duration_since(began))
}

/// Sends C0 and C1 and reads S0 and S1.
async fn speak_rtmp(stream: &mut TcpStream) -> io::Result<()> {
    // the simple handshake: no time, no version, no random bytes are asked of a client
    let mut hello = [0; 1 + C1_LEN];
    if let Some(version) = hello.first_mut() {
        *version = RTMP_VERSION;
    }
    stream.write_all(&hello).await?;
    let version = stream.read_u8().await?;
    if version != RTMP_VERSION {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut answer = [0; C1_LEN];
    stream.read_exact(&mut answer).await.map(|_| ())
}

/// Sends a request and reads the beginning of the answer.
async fn speak_http(stream: &mut TcpStream, host: &str) -> io::Result<()> {
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    match &answer == b"HTTP/1." {
        true => Ok(()),
        false => Err(ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::net::TcpListener;
    use weir_cluster::{Endpoints, NodeId, Report};

    use super::*;

    /// Long enough on a loaded machine, for what must come.
    const LONG: Duration = Duration::from_secs(20);
    /// For what never comes.
    const SHORT: Duration = Duration::from_millis(50);

    async fn origin() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        (listener, port)
    }

    /// Probes deeply an origin that reads `hear` bytes and says `words`.
    async fn ask(service: Service, hear: usize, words: Vec<u8>) -> Finding {
        let (listener, port) = origin().await;
        let answer = async {
            let (mut stream, _) = listener.accept().await.expect("a probe");
            let mut heard = vec![0; hear];
            stream.read_exact(&mut heard).await.expect("its words");
            stream.write_all(&words).await.expect("it listens");
        };
        tokio::join!(probe("127.0.0.1", (service, port), true, LONG), answer).0
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_listener_is_well_and_none_is_refused() {
        let (listener, port) = origin().await;
        let target = (Service::Rtmp, port);
        let found = probe("127.0.0.1", target, false, LONG).await;
        assert!(matches!(found, Finding::Well(_)), "{found:?}");
        let found = probe("127.0.0.1", target, true, SHORT).await;
        assert_eq!(found, Finding::Silent, "nobody accepts");
        drop(listener);
        let found = probe("127.0.0.1", target, false, LONG).await;
        assert_eq!(found, Finding::Refused);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_name_is_looked_up_for_each_probe() {
        let found = probe("name.invalid", (Service::Rtmp, 1), false, LONG).await;
        assert_eq!(found, Finding::Timeout);
        let (_listener, port) = origin().await;
        let found = probe("localhost", (Service::Rtmp, port), false, LONG).await;
        assert!(matches!(found, Finding::Well(_)), "{found:?}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn first_words_are_checked() {
        let rtmp = |version: u8| [vec![version], vec![7; C1_LEN]].concat();
        let found = ask(Service::Rtmp, 1 + C1_LEN, rtmp(3)).await;
        assert!(matches!(found, Finding::Well(_)), "{found:?}");
        let found = ask(Service::Rtmp, 1 + C1_LEN, rtmp(b'H')).await;
        assert_eq!(found, Finding::Silent);
        let found = ask(Service::Rtmp, 1 + C1_LEN, vec![3; 9]).await;
        assert_eq!(found, Finding::Silent, "it hangs up");
        let found = ask(Service::Http, 5, b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec()).await;
        assert!(matches!(found, Finding::Well(_)), "{found:?}");
        let found = ask(Service::Http, 5, b"SSH-2.0-x\r\n".to_vec()).await;
        assert_eq!(found, Finding::Silent);
    }

    #[test]
    fn the_first_tcp_service_is_probed() {
        let node = |services: &[(Service, &str)]| {
            let mut endpoints = Endpoints::default();
            for (service, text) in services {
                endpoints.set(*service, vec![(*text).to_owned()]);
            }
            Node {
                id: NodeId::new("s", "v", "1"),
                host: "127.0.0.1".to_owned(),
                device: String::new(),
                server: "s".to_owned(),
                service: "v".to_owned(),
                pid: "1".to_owned(),
                endpoints,
                report: Report::default(),
                updated: SystemTime::UNIX_EPOCH,
            }
        };
        let all = node(&[(Service::Http, "8080"), (Service::Rtmp, "1935")]);
        assert_eq!(target(&all), Some((Service::Rtmp, 1935)));
        let bad = node(&[(Service::Http, "8080"), (Service::Rtmp, "nonsense")]);
        assert_eq!(target(&bad), Some((Service::Http, 8080)));
        assert_eq!(target(&node(&[(Service::Srt, "10080")])), None);
    }
}
