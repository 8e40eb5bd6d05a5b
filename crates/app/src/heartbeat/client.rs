//! One HTTP request to a proxy, and what it says to it (RFC 9112).
//!
//! Owns: the connection, the request, and the little of the answer that matters. Does not: try again, follow redirects
//! or keep connections: a beat comes every few seconds.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_net::dial::{self, ConnectError};

use super::Proxy;
use crate::config::Secret;

/// Time for a whole call. A proxy in the same network answers in milliseconds; a lost packet is sent again within one
/// second.
const LIMIT: Duration = Duration::from_secs(2);

/// Bytes of an answer that are looked at: enough for the head and the reason of a refusal.
const MOST_ANSWER_BYTES: u64 = 8 << 10;

/// Characters of a reason that go into the log.
const SHOWN: usize = 200;

/// A request.
pub(super) enum Call {
    /// Registers, with this body.
    Post(String),
    /// Says goodbye, with this query.
    Delete(String),
}

/// Why a call was in vain.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection failed.
    #[error("connection to proxy failed: {0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("proxy did not answer within {LIMIT:?}")]
    Timeout,
    /// What came is no HTTP.
    #[error("proxy does not answer in http")]
    NoHttp,
    /// The proxy does not want it.
    #[error("proxy refuses with status {status}: {reason}")]
    Refused {
        /// The status.
        status: u16,
        /// The beginning of the body.
        reason: String,
    },
}

/// Calls `proxy` with what `call` makes of the address of this side of the connection.
pub(super) async fn call(
    proxy: &Proxy,
    token: &Secret,
    call: impl FnOnce(IpAddr) -> Call,
) -> Result<(), CallError> {
    let mut answer = Vec::new();
    let talk = async {
        let (mut stream, _) = dial::connect(&proxy.host, proxy.port, LIMIT).await?;
        proxy.knows.store(true, Ordering::Relaxed);
        let request = request(proxy, token, call(stream.local_addr()?.ip()));
        // who refuses a body may have answered and closed before all of it is sent
        let sent = stream.write_all(request.as_bytes()).await;
        let read = read(&mut stream, &mut answer).await;
        sent.and(read).map_err(CallError::from)
    };
    let done = tokio::time::timeout(LIMIT, talk).await;
    match done.unwrap_or(Err(CallError::Timeout)) {
        Err(error) if answer.is_empty() => Err(error),
        _ => judge(&answer),
    }
}

/// Reads until all that matters of an answer is there.
async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    let mut bounded = stream.take(MOST_ANSWER_BYTES);
    while bounded.read_buf(answer).await? > 0 {
        let has_head = answer.windows(4).any(|four| four == b"\r\n\r\n");
        // of a refusal the reason matters too, which ends with the connection
        if has_head && judge(answer).is_ok() {
            break;
        }
    }
    Ok(())
}

fn request(proxy: &Proxy, token: &Secret, call: Call) -> String {
    let (method, query, body) = match &call {
        Call::Post(body) => ("POST", None, body.as_str()),
        Call::Delete(query) => ("DELETE", Some(query.as_str()), ""),
    };
    let queries = [proxy.query.as_deref(), query];
    let query: Vec<&str> = queries.into_iter().flatten().collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let (path, query) = (&proxy.path, query.join("&"));
    let mut text = format!("{method} {path}{mark}{query} HTTP/1.1\r\n");
    let (host, port) = (&proxy.host, proxy.port);
    text += &match host.contains(':') {
        true => format!("Host: [{host}]:{port}\r\n"),
        false => format!("Host: {host}:{port}\r\n"),
    };
    text += concat!("User-Agent: Weir/", env!("CARGO_PKG_VERSION"), "\r\n");
    if !token.is_empty() {
        text += &format!("Authorization: Bearer {}\r\n", token.expose());
    }
    if !body.is_empty() {
        text += "Content-Type: application/json\r\n";
    }
    text += &format!("Content-Length: {}\r\n", body.len());
    text += "Connection: close\r\n\r\n";
    text + body
}

/// What the status line says (RFC 9112, section 4).
fn judge(answer: &[u8]) -> Result<(), CallError> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| word.parse::<u16>().ok());
    match status {
        _ if !version.starts_with("HTTP/1.") => Err(CallError::NoHttp),
        None => Err(CallError::NoHttp),
        Some(200..300) => Ok(()),
        Some(status) => {
            let shown = body.chars().filter(|one| !one.is_control());
            let reason = shown.take(SHOWN).collect();
            Err(CallError::Refused { status, reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_status() {
        let judge = |text: &str| judge(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(judge("HTTP/1.1 200 OK\r\n\r\n{}"), Ok(()));
        assert_eq!(judge("HTTP/1.0 204 No Content\r\n"), Ok(()));
        let refused = judge("HTTP/1.1 400 Bad Request\r\nX: y\r\n\r\nempty\r\n ip");
        let said = "proxy refuses with status 400: empty ip";
        assert_eq!(refused, Err(said.to_owned()));
        for nonsense in [
            "",
            "\r\n\r\n",
            "SSH-2.0-x\r\n",
            "HTTP/1.1 x y\r\n",
            "HTTP/1.1",
        ] {
            let said = "proxy does not answer in http".to_owned();
            assert_eq!(judge(nonsense), Err(said), "{nonsense}");
        }
        let long = format!("HTTP/1.1 500 No\r\n\r\n{}", "x".repeat(9000));
        assert!(judge(&long).is_err_and(|said| said.len() < 300));
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_judged(answer in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            // what matters is that it returns
            let _ = judge(&answer);
        }
    }
}
