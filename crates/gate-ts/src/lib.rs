//! MPEG-TS over UDP: what encoders, DVB gateways and `ffmpeg -f mpegts udp://…` send.
//!
//! Owns: one socket a stream ([`serve`]): datagrams in, with or without an RTP header (RFC 3550, RFC 2250), frames into the
//! hub. Does not: parse MPEG-TS (`weir-container` does).
//!
//! UDP has no beginning and no end. The first datagram with a packet of MPEG-TS begins a session, its sender is the
//! publisher, and others are not heard while it sends; a silence as long as `rtmp.publish_idle_timeout` ends it. There is
//! nobody to tell of an error, so each goes to the log and the counters.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

use std::io;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use weir_container::ts::{Demuxer, PACKET_BYTES};
use weir_gate::{Gate, Ingest, Opened};
use weir_hub::{SessionRole, Unpublished};
use weir_media::StreamKey;
use weir_net::clock;

/// The protocol's name in logs, metrics and the API.
pub const PROTOCOL: &str = "ts-udp";

/// Largest datagram that IP carries.
const MOST_DATAGRAM: usize = 65_535;

/// First byte of a packet of MPEG-TS (ISO/IEC 13818-1, section 2.4.3.2).
const SYNC: u8 = 0x47;

/// Length of an RTP header without sources and extensions (RFC 3550, section 5.1).
const RTP_HEADER: usize = 12;

/// Datagrams of one turn, so that a fast sender does not hold up the core.
const DATAGRAMS_A_TURN: usize = 64;

/// How often a session that hears nothing is looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A stream under way.
struct Session {
    source: SocketAddr,
    opened: Opened,
    ingest: Ingest,
    demuxer: Demuxer,
    /// When the last datagram came.
    last: Instant,
}

/// Publishes `key` with what comes on `socket`, until the drain.
pub async fn serve(gate: Gate, socket: StdSocket, key: StreamKey) {
    if let Err(error) = run(&gate, socket, &key).await {
        tracing::error!(stream = %key, %error, "udp listener failed");
    }
}

async fn run(gate: &Gate, socket: StdSocket, key: &StreamKey) -> io::Result<()> {
    let socket = UdpSocket::from_std(socket)?;
    let mut session: Option<Session> = None;
    let mut buffer = vec![0; MOST_DATAGRAM];
    let mut timer = tokio::time::interval(LOOK_EVERY);
    // a sender that is refused is logged once, not with each datagram
    let mut refused = None;
    loop {
        let now = clock::now();
        session = session.and_then(|session| session.look_after(now, gate));
        tokio::select! {
            readable = socket.readable() => readable?,
            _ = timer.tick() => continue,
            () = gate.core.shutdown().draining(), if session.is_none() => return Ok(()),
            () = gate.core.shutdown().stopped() => {
                if let Some(session) = session.take() {
                    session.end("drained", "the server stops");
                }
                return Ok(());
            }
        }
        for _ in 0..DATAGRAMS_A_TURN {
            let (length, source) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // of an earlier answer of ours, which there is none of
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            let now = clock::now();
            let Some(packets) = packets(buffer.get(..length).unwrap_or_default()) else {
                continue;
            };
            if session.is_none() && refused != Some(source) {
                session = begin(gate, key, source, now);
                refused = session.is_none().then_some(source);
            }
            let Some(current) = session.as_mut().filter(|session| session.source == source) else {
                continue;
            };
            current.opened.received(length);
            if let Err(error) = current.take(now, packets)
                && let Some(session) = session.take()
            {
                session.end("taken_over", error);
            }
        }
        if session.is_none() {
            refused = refused.filter(|_| !gate.hub.is_live(key));
        }
    }
}

/// The packets of MPEG-TS in a datagram, if it has any.
fn packets(datagram: &[u8]) -> Option<&[u8]> {
    let is_ts = |bytes: &[u8]| bytes.len() >= PACKET_BYTES && bytes.first() == Some(&SYNC);
    if is_ts(datagram) {
        return Some(datagram);
    }
    let first = *datagram.first()?;
    // version 2; the payload type may be any, as gateways choose it freely
    if first >> 6 != 2 {
        return None;
    }
    let mut at = RTP_HEADER + usize::from(first & 15) * 4;
    if first & 0x10 != 0 {
        let words = datagram.get(at + 2..at + 4)?;
        at += 4 + usize::from(u16::from_be_bytes(words.try_into().ok()?)) * 4;
    }
    datagram.get(at..).filter(|packets| is_ts(packets))
}

/// Begins a session for `source`, if it may publish.
fn begin(gate: &Gate, key: &StreamKey, source: SocketAddr, now: Instant) -> Option<Session> {
    let (permit, refusal) = gate.admit(PROTOCOL, source)?;
    if let Some(refusal) = refusal {
        tracing::warn!(stream = %key, peer = %source, %refusal, "udp sender not heard");
        return None;
    }
    let mut opened = Opened::new(gate, PROTOCOL, source, permit);
    match gate.hub.publish(now, key, opened.session()) {
        Ok(publisher) => {
            let id = opened.session().id;
            tracing::info!(session = %id, stream = %key, peer = %source, "publishing");
            opened
                .session()
                .set_activity(SessionRole::Publisher, Some(key.clone()));
            let limit = gate.settings().max_message_bytes;
            Some(Session {
                source,
                ingest: gate.ingest(publisher, id, now),
                opened,
                demuxer: Demuxer::new(usize::try_from(limit).unwrap_or(usize::MAX)),
                last: now,
            })
        }
        Err(error) => {
            gate.metrics.refused(PROTOCOL, "publish");
            opened.end("refused", error);
            None
        }
    }
}

impl Session {
    fn take(&mut self, now: Instant, packets: &[u8]) -> Result<(), weir_gate::IngestError> {
        self.last = now;
        self.demuxer.push(packets);
        while let Some(frame) = self.demuxer.pull() {
            self.ingest.push_frame(now, frame)?;
        }
        Ok(())
    }

    /// Ends the session if it is over.
    fn look_after(self, now: Instant, gate: &Gate) -> Option<Self> {
        if let Some(reason) = self.opened.session().ending() {
            self.end(reason.label(), "the server ended the session");
            return None;
        }
        if now.saturating_duration_since(self.last) >= gate.settings().publish_idle {
            self.end("publish_idle", "the publisher sent nothing");
            return None;
        }
        Some(self)
    }

    fn end(mut self, reason: &'static str, detail: impl std::fmt::Display) {
        let now = clock::now();
        self.demuxer.flush();
        while let Some(frame) = self.demuxer.pull() {
            if self.ingest.push_frame(now, frame).is_err() {
                break;
            }
        }
        self.opened.end(reason, detail);
        self.ingest.finish(now, Unpublished::Lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let mut packet = vec![0; PACKET_BYTES];
        if let Some(first) = packet.first_mut() {
            *first = SYNC;
        }
        packet
    }

    #[test]
    fn packets_are_found_with_and_without_rtp() {
        let plain = packet();
        assert_eq!(packets(&plain), Some(&plain[..]));
        let rtp = [&[0x80, 33][..], &[0; 10], &plain].concat();
        assert_eq!(packets(&rtp), Some(&plain[..]));
        let sources = [&[0x82, 33][..], &[0; 18], &plain].concat();
        assert_eq!(packets(&sources), Some(&plain[..]));
        let extension = [&[0x90, 33][..], &[0; 10], &[0, 0, 0, 1, 9, 9, 9, 9], &plain].concat();
        assert_eq!(packets(&extension), Some(&plain[..]));
    }

    #[test]
    fn what_is_no_transport_stream_is_not_heard() {
        let long_extension = [&[0x90, 33][..], &[0; 10], &[0, 0, 0xff, 0xff]].concat();
        for datagram in [
            &b""[..],
            b"G",
            &[0x80],
            &[0x80; 40],
            &[0x47; 187],
            &long_extension,
        ] {
            assert_eq!(packets(datagram), None);
        }
    }
}
