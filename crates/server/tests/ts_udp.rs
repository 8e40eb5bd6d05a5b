//! MPEG-TS by UDP: what is sent in datagrams is a stream like any other.

use std::net::UdpSocket;

use weir_testkit::media::Media;
use weir_testkit::weir::{Weir, origin};
use weir_testkit::{Process, Tool};

fn weir(input: &str) -> Weir {
    let mut origin = origin(env!("CARGO_BIN_EXE_weir"), &["--ts-udp-listen", input]);
    // RTMP, HTTP, the API and this one
    Weir::adopt(Process::spawn(&mut origin), 4)
}

/// ffmpeg, which sends a file again and again.
fn sends(weir: &Weir, format: &str, scheme: &str) -> Process {
    let address = weir.address_of("ts.udp_listen");
    let file = Media::H264Aac.published_file(Tool::Ffmpeg);
    let mut command = Tool::Ffmpeg.command(["-v", "error", "-re", "-stream_loop", "-1", "-i"]);
    let target = format!("{scheme}://{address}?pkt_size=1316");
    command
        .arg(file)
        .args(["-c", "copy", "-f", format, &target]);
    Process::spawn(&mut command)
}

/// Whether ffmpeg finds both tracks, and decodes two seconds of them without a word.
fn plays(url: &str) {
    let mut command = Tool::Ffmpeg.command(["-v", "error", "-i", url, "-t", "2"]);
    command.args(["-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"]);
    let played = Process::spawn(&mut command);
    played.succeed();
    assert_eq!(played.said(), "", "{url}");
}

#[test]
fn datagrams_are_a_stream() {
    let weir = weir("127.0.0.1:0=live/udp");
    let _sender = sends(&weir, "mpegts", "udp");
    weir.publishing("udp");
    let shown = weir.api_shows("/api/v1/clients", |list| {
        list.to_string().contains("ts-udp")
    });
    assert!(shown.to_string().contains("live"), "{shown}");
    plays(&weir.file("udp.m3u8"));
    plays(&weir.flv("udp"));
    weir.assert_well();
}

#[test]
fn datagrams_with_rtp_are_a_stream() {
    let weir = weir("127.0.0.1:0=live/rtp");
    let _sender = sends(&weir, "rtp_mpegts", "rtp");
    weir.publishing("rtp");
    plays(&weir.file("rtp.ts"));
    weir.assert_well();
}

#[test]
fn what_is_no_transport_stream_publishes_nothing() {
    let weir = weir("127.0.0.1:0=live/noise");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = weir.address_of("ts.udp_listen");
    for length in 0..1400 {
        let noise: Vec<u8> = (0..length)
            .map(|n| (n * 7 % 251) as u8 & 0x7f | 8)
            .collect();
        let _ = socket.send_to(&noise, address);
    }
    // a stream that is one comes after all that
    let _sender = sends(&weir, "mpegts", "udp");
    weir.publishing("noise");
    weir.assert_well();
}

#[test]
fn one_sender_at_a_time_is_heard_until_it_is_sent_away() {
    let weir = weir("127.0.0.1:0=live/two");
    let first = sends(&weir, "mpegts", "udp");
    weir.publishing("two");
    let list = weir.api_shows("/api/v1/clients", |list| {
        list.to_string().contains("ts-udp")
    });
    let clients = list["clients"].as_array().expect("a list");
    let publisher = clients
        .iter()
        .find(|client| client.to_string().contains("ts-udp"));
    let id = publisher
        .and_then(|client| client["id"].as_str())
        .expect("an id")
        .to_owned();
    drop(first);
    let _second = sends(&weir, "mpegts", "udp");
    weir.api("DELETE", &format!("/api/v1/clients/{id}"));
    weir.api_shows("/api/v1/clients", |list| {
        let text = list.to_string();
        text.contains("ts-udp") && !text.contains(&id)
    });
    weir.assert_well();
}
