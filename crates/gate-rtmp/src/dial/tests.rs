//! What attempts make of redirects and failures.
//!
//! Owns: the tests of `dial` that need no server of their own. Does not: test sessions (`weir-rtmp` does).

use super::*;
use std::cell::RefCell;
use weir_gate::dial::End;

fn url(text: &str) -> RtmpUrl {
    text.parse().expect("an address")
}

fn sent_to(address: &str) -> DialError {
    ProtocolError::Rejected {
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
    let cause = ProtocolError::Rejected {
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
    let cause = ProtocolError::Session(error);
    assert_eq!((cause.fault(), cause.may_pass()), (Fault::Peer, false));
    let closed = ProtocolError::Closed;
    assert_eq!(closed.to_string(), "connection closed by the server");
    assert_eq!(
        (closed.fault(), closed.label()),
        (Fault::Network, "closed_by_peer")
    );
}
