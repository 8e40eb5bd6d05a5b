//! The rules of cluster state, on a Redis of every kind.
//!
//! Owns: which servers. Does not: state rules; `weir_cluster::conformance` does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use weir_cluster::ClusterState;
use weir_cluster::conformance::{self, Subject};
use weir_cluster_redis::{Options, Redis, Server};
use weir_testkit::redis;

use crate::states;

/// Kept well apart from half of itself on a machine that is busy with other tests.
const TIME: Duration = Duration::from_secs(4);

/// Runs every rule at the same time on states that differ by their prefix.
fn conform(options: &Options) {
    static PREFIXES: AtomicUsize = AtomicUsize::new(0);
    let running: Vec<_> = conformance::all()
        .iter()
        .map(|(name, rule)| {
            let mut options = options.clone();
            options.prefix = format!("p{}", PREFIXES.fetch_add(1, Ordering::Relaxed));
            options.lease = TIME;
            options.timeout = Duration::from_secs(10);
            let task = async move {
                let connect = || async {
                    let state = Redis::connect(options.clone()).await.expect("a state");
                    Arc::new(state) as Arc<dyn ClusterState>
                };
                let subject = Subject {
                    first: connect().await,
                    second: connect().await,
                    lease: TIME,
                    ttl: TIME,
                    tells_changes: true,
                    advance: Box::new(|time| Box::pin(tokio::time::sleep(time))),
                };
                rule(subject).await;
            };
            (*name, states::runtime().spawn(task))
        })
        .collect();
    let broken: Vec<&str> = running
        .into_iter()
        .filter_map(|(name, task)| states::block_on(task).is_err().then_some(name))
        .collect();
    assert_eq!(broken, [""; 0], "rules that {} breaks", options.server);
}

#[test]
fn a_server_conforms() {
    let server = redis::Server::start();
    conform(&states::options(&server.url()));
}

#[test]
fn a_server_with_a_password_conforms() {
    let server = redis::Server::start_with(redis::Settings {
        password: Some("p@ss/w:ord".to_owned()),
        ..redis::Settings::default()
    });
    let address = server.address();
    let named = Server::new("127.0.0.1", address.port(), "p@ss/w:ord", 7);
    conform(&Options::new(named));
    assert_eq!(server.cli(&["-n", "0", "dbsize"]), "0");
    states::state(&server.url());
}

#[test]
fn a_server_with_tls_conforms() {
    let (tls, _folder) = certificates();
    let server = redis::Server::start_with(redis::Settings {
        tls: Some(tls.clone()),
        ..redis::Settings::default()
    });
    let mut options = states::options(&server.url());
    let stranger = states::block_on(Redis::connect(options.clone()));
    let said = stranger.expect_err("nobody vouches for it").to_string();
    assert!(said.contains("certificate"), "{said}");
    options.ca_file = Some(tls.authority);
    conform(&options);
}

#[test]
fn a_cluster_conforms() {
    let cluster = redis::Cluster::start();
    conform(&states::options(&cluster.url()));
    for member in cluster.members() {
        assert_ne!(member.cli(&["dbsize"]), "0", "keys are spread over all");
    }
}

#[test]
fn a_server_with_a_sentinel_conforms() {
    let sentinel = redis::Sentinel::start();
    conform(&states::options(&sentinel.url()));
}

/// A certificate for 127.0.0.1 and the authority that signed it.
fn certificates() -> (redis::Tls, TempDir) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: String| -> PathBuf {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        file
    };
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    // a subject that equals the issuer makes a certificate look signed by itself
    authority
        .distinguished_name
        .push(DnType::CommonName, "authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let signed = authority.self_signed(&key).expect("an authority");
    let issuer = Issuer::new(authority, key);
    let own = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
    let leaf = leaf.signed_by(&own, &issuer).expect("a certificate");
    let tls = redis::Tls {
        certificate: write("server.pem", leaf.pem()),
        key: write("server.key", own.serialize_pem()),
        authority: write("authority.pem", signed.pem()),
    };
    (tls, folder)
}
