//! What attempts make of redirects and failures.
//!
//! Owns: the tests of `dial` that need no server of their own. Does not: test sessions (`weir-rtmp` does).

use super::*;
use std::cell::RefCell;

fn url(text: &str) -> RtmpUrl {
    text.parse().expect("an address")
}

fn sent_to(address: &str) -> DialError {
    Cause::Rejected {
        code: "NetConnection.Connect.Rejected".to_owned(),
        description: "moved".to_owned(),
        redirect: Some(address.to_owned()),
    }
    .into()
}

fn stopped() -> Outcome {
    Outcome {
        end: End::Stopped,
        ran: Duration::ZERO,
    }
}

#[test]
fn a_redirect_may_lack_the_stream() {
    let from = url("rtmp://a/live/inst/s?token=1");
    let to = |address| redirected(&from, address).expect("usable");
    assert_eq!(to("rtmp://b:99/live"), url("rtmp://b:99/live/s?token=1"));
    assert_eq!(
        to("rtmp://b/live/inst"),
        url("rtmp://b/live/inst/s?token=1")
    );
    assert_eq!(to("rtmp://b/live/other"), url("rtmp://b/live/other"));
    let error = redirected(&from, "https://b/x?key=secret").expect_err("another protocol");
    assert_eq!(
        error.to_string(),
        "redirected to https://b/x?key=***, which is not usable: \
         address does not begin with rtmp://"
    );
    assert!(!error.may_pass());
}

#[tokio::test(flavor = "current_thread")]
async fn redirects_are_followed_and_a_loop_is_left() {
    let tried = RefCell::new(Vec::new());
    let result = follow(&url("rtmp://a/live/s"), async |url| {
        tried.borrow_mut().push(url.host.clone());
        match url.host.as_str() {
            "a" => Err(sent_to("rtmp://b/live")),
            _ => Ok(stopped()),
        }
    })
    .await;
    assert_eq!(result.expect("arrives"), stopped());
    assert_eq!(tried.take(), ["a", "b"]);

    let mut count = 0;
    let result = follow(&url("rtmp://a/live/s"), async |_| {
        count += 1;
        Err(sent_to("rtmp://a/live"))
    })
    .await;
    assert!(matches!(
        result.expect_err("a loop").cause,
        Cause::Redirects
    ));
    assert_eq!(count, MAX_REDIRECTS + 1);
}

#[test]
fn failures_name_the_guilty_and_whether_they_may_pass() {
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    let address = "127.0.0.1:1".parse().expect("an address");
    let cause = Cause::Connect {
        address,
        error: refused,
    };
    assert_eq!(
        (cause.fault(), cause.may_pass()),
        (Fault::Network, true),
        "{cause}"
    );
    let cause = Cause::Rejected {
        code: "NetStream.Publish.BadName".to_owned(),
        description: "live/s?token=abc is taken".to_owned(),
        redirect: None,
    };
    assert_eq!((cause.fault(), cause.may_pass()), (Fault::Peer, true));
    let shown = "rejected: NetStream.Publish.BadName (live/s?token=***)";
    assert_eq!(cause.to_string(), shown);
    let error = Error::PeerMisbehaved {
        offset: 1,
        csid: None,
        what: Misbehaviour::NotRtmp(b'H'),
    };
    let cause = Cause::Protocol(error);
    assert_eq!((cause.fault(), cause.may_pass()), (Fault::Peer, false));
    assert_eq!(Cause::Refused(Refusal::Sessions(1)).fault(), Fault::Us);
    assert_eq!(Cause::Closed.to_string(), "connection closed by the server");
}

#[tokio::test(flavor = "current_thread")]
async fn every_address_of_a_name_is_tried() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let limit = Duration::from_secs(10);
    // where the name has an IPv6 address too, that one refuses
    let (_, address) = connect::connect("localhost", port, limit)
        .await
        .expect("connects");
    assert_eq!(address.port(), port);
    drop(listener);
    let error = connect::connect("127.0.0.1", port, limit).await;
    assert!(matches!(error, Err(Cause::Connect { .. })));
    let error = connect::connect("name.invalid", port, limit).await;
    assert!(matches!(error, Err(Cause::Dns { .. })));
}
