//! Tests of names: what comes and goes with an answer; a resolver that asks a name server of our own.

use std::net::{IpAddr, Ipv4Addr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::UdpSocket;
use weir_cluster::{Endpoints, Service};

use super::*;

fn name(kind: DnsKind) -> DnsName {
    let mut endpoints = Endpoints::default();
    endpoints.set(Service::Rtmp, vec!["1935".to_owned()]);
    endpoints.set(Service::Http, vec!["8080".to_owned()]);
    DnsName {
        name: "origins.test.".to_owned(),
        kind,
        endpoints,
        device: "dns".to_owned(),
        weight: 100,
    }
}

fn at(host: &str) -> StaticOrigin {
    origin(&name(DnsKind::Address), host.to_owned(), None)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_answer_says_how_long_it_holds_within_bounds() {
    let now = clock::now();
    let mut source = Source::new(now);
    for (ttl, expected) in [(0, 1), (1, 1), (30, 30), (60, 60), (86_400, 60)] {
        let answer = Answer::Found(vec![at("192.0.2.1")], now + SECOND * ttl);
        source.take(answer, "n", now);
        assert_eq!(source.due, now + SECOND * expected, "ttl {ttl}");
    }
    source.take(Answer::Empty, "n", now);
    assert_eq!(source.due, now + RETRY);
    source.take(Answer::Failed("planted".to_owned()), "n", now);
    assert_eq!(source.due, now + RETRY);
}

#[test]
fn origins_come_and_go_with_the_name() {
    let now = clock::now();
    let mut source = Source::new(now);
    let (one, two) = (at("192.0.2.1"), at("192.0.2.2"));
    let mut take = |answer| source.take(answer, "n", now);
    let both = vec![one.clone(), two.clone()];
    assert_eq!(take(Answer::Found(both.clone(), now)), (both, vec![]));
    let left = take(Answer::Found(vec![two.clone()], now));
    assert_eq!(left, (vec![two.clone()], vec![identity(&one)]));
    let nothing = (vec![], vec![]);
    for _ in 0..5 {
        assert_eq!(take(Answer::Failed("planted".to_owned())), nothing);
    }
    assert_eq!(take(Answer::Empty), nothing, "it may just have started");
    let (_, gone) = take(Answer::Found(vec![two.clone()], now));
    assert_eq!(gone, []);
    assert_eq!(take(Answer::Empty), nothing);
    let (_, gone) = take(Answer::Empty);
    assert_eq!(gone, [identity(&two)]);
}

#[test]
fn all_proxies_make_the_same_identity() {
    let id = identity(&at("192.0.2.1"));
    assert_eq!(id, identity(&at("192.0.2.1")));
    assert_ne!(id, identity(&at("192.0.2.2")));
    assert!(id.as_str().starts_with("static-"), "{id}");
    let mut elsewhere = at("192.0.2.1");
    let texts = vec!["1936".to_owned()];
    elsewhere.endpoints.set(Service::Rtmp, texts);
    assert_ne!(id, identity(&elsewhere));
}

/// The encoded name `origins.test.`
const QUESTION: &[u8] = b"\x07origins\x04test\x00";

/// A record of the name asked for (RFC 1035, section 4.1.3), class IN, that holds for 30 seconds.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = vec![0xc0, 12];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 30]);
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}

fn srv(priority: u16, weight: u16, port: u16, target: &[u8]) -> Vec<u8> {
    let numbers = [priority, weight, port];
    let mut data: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
    data.extend(target);
    record(33, &data)
}

/// Answers every question with those of `records` that are of the kind asked for; without any, that there is none.
async fn serve(socket: &UdpSocket, records: &[(u16, Vec<u8>)]) {
    let mut query = [0; 512];
    loop {
        let (_, from) = socket.recv_from(&mut query).await.expect("a query");
        let kind = u16::from_be_bytes([query[12 + QUESTION.len()], query[13 + QUESTION.len()]]);
        let found = records.iter().filter(|(of, _)| *of == kind);
        let found: Vec<&Vec<u8>> = found.map(|(_, record)| record).collect();
        // answer, recursion desired and available; NXDOMAIN when there is none
        let code = if found.is_empty() { 3 } else { 0 };
        let mut answer = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0];
        answer.push(found.len() as u8);
        answer.extend([0, 0, 0, 0]);
        answer.extend(QUESTION);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        found.iter().for_each(|record| answer.extend(*record));
        socket.send_to(&answer, from).await.expect("sent");
    }
}

async fn ask(kind: DnsKind, records: &[(u16, Vec<u8>)]) -> Answer {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let mut connection = ConnectionConfig::udp();
    connection.port = socket.local_addr().expect("bound").port();
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let server = NameServerConfig::new(ip, true, vec![connection]);
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    *builder.options_mut() = ResolverOpts::default();
    let resolver = builder.build().expect("a resolver");
    let name = name(kind);
    tokio::select! {
        answer = look_up(&resolver, &name) => answer,
        () = serve(&socket, records) => unreachable!("it serves for ever"),
    }
}

fn hosts(answer: &Answer) -> Vec<(&str, u16, u32)> {
    let Answer::Found(origins, until) = answer else {
        panic!("{answer:?}");
    };
    assert!(*until > clock::now());
    let origins = origins.iter().map(|origin| {
        let port = origin.endpoints.port(Service::Rtmp);
        let port = port.expect("a port").expect("a port");
        (origin.host.as_str(), port, origin.weight)
    });
    let mut hosts: Vec<_> = origins.collect();
    hosts.sort_unstable();
    hosts
}

#[tokio::test(flavor = "current_thread")]
async fn each_address_of_a_name_is_an_origin() {
    let records = [
        (1, record(1, &[192, 0, 2, 1])),
        (1, record(1, &[192, 0, 2, 2])),
    ];
    let answer = ask(DnsKind::Address, &records).await;
    let expected = [("192.0.2.1", 1935, 100), ("192.0.2.2", 1935, 100)];
    assert_eq!(hosts(&answer), expected);
    assert_eq!(ask(DnsKind::Address, &[]).await, Answer::Empty);
}

#[tokio::test(flavor = "current_thread")]
async fn service_records_say_host_port_and_weight() {
    let records = [
        (33, srv(10, 0, 1001, b"\x01a\x04test\x00")),
        (33, srv(10, 300, 1002, b"\x01b\x04test\x00")),
        (33, srv(20, 0, 1003, b"\x01c\x04test\x00")),
    ];
    let answer = ask(DnsKind::Srv, &records).await;
    // the third one is for when the others cannot be reached
    assert_eq!(
        hosts(&answer),
        [("a.test", 1001, 100), ("b.test", 1002, 300)]
    );
    let none = [(33, srv(0, 0, 0, b"\x00"))];
    assert_eq!(ask(DnsKind::Srv, &none).await, Answer::Empty);
    assert_eq!(ask(DnsKind::Srv, &[]).await, Answer::Empty);
}
