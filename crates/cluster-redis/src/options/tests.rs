//! URLs of every form, and what is shown of them.

use proptest::prelude::*;

use super::*;

fn host(host: &str, port: u16) -> Address {
    Address {
        host: host.to_owned(),
        port,
    }
}

#[test]
fn a_server_is_named() {
    assert_eq!(
        Server::parse("redis://10.0.0.1:7000/3"),
        Ok(Server::new("10.0.0.1", 7000, "", 3))
    );
    assert_eq!(
        Server::parse("redis://r"),
        Ok(Server::new("r", 6379, "", 0))
    );
    assert_eq!(
        Server::parse("redis://r/"),
        Ok(Server::new("r", 6379, "", 0))
    );
    assert_eq!(
        Server::parse("redis://:p%40s@[::1]"),
        Ok(Server::new("::1", 6379, "p@s", 0))
    );
    let server = Server::parse(" rediss://me:a@b/c:d@r:1 ").unwrap();
    assert!(server.tls);
    assert_eq!(
        (server.user.as_str(), server.password.reveal()),
        ("me", "a@b/c:d")
    );
    assert_eq!(server.hosts, [host("r", 1)]);
}

#[test]
fn sentinels_are_named_with_their_master() {
    let server = Server::parse("redis+sentinel://u:p@a,b:1,[::2]:3/my%20master/5").unwrap();
    assert_eq!(server.kind, Kind::Sentinel("my master".to_owned()));
    assert_eq!(
        server.hosts,
        [host("a", 26_379), host("b", 1), host("::2", 3)]
    );
    assert_eq!(server.db, 5);
    assert_eq!(Server::parse("redis+sentinel://a"), Err(UrlError::Master));
    assert_eq!(
        Server::parse("redis+sentinel://a//1"),
        Err(UrlError::Master)
    );
}

#[test]
fn a_cluster_is_named_by_some_of_its_hosts() {
    let server = Server::parse("rediss+cluster://a:1,b").unwrap();
    assert_eq!((server.kind, server.tls), (Kind::Cluster, true));
    assert_eq!(server.hosts, [host("a", 1), host("b", 6379)]);
    assert_eq!(Server::parse("redis+cluster://a/1"), Err(UrlError::Excess));
}

#[test]
fn other_texts_are_refused_without_repeating_them() {
    for (url, error) in [
        ("", UrlError::Scheme),
        ("http://a", UrlError::Scheme),
        ("redis:a", UrlError::Scheme),
        ("redis://", UrlError::Host),
        ("redis://a,b", UrlError::Host),
        ("redis://a b", UrlError::Host),
        ("redis://[::1", UrlError::Host),
        ("redis://[::1]7", UrlError::Host),
        ("redis://a:", UrlError::Port),
        ("redis://a:0", UrlError::Port),
        ("redis://a:65536", UrlError::Port),
        ("redis://a/x", UrlError::Database),
        ("redis://a/-1", UrlError::Database),
        ("redis://a/1/2", UrlError::Excess),
        ("redis://a?db=1", UrlError::Excess),
        ("redis://:%ff@a", UrlError::Login),
    ] {
        assert_eq!(Server::parse(url), Err(error), "{url}");
    }
    let many = format!("redis+cluster://{}", vec!["a"; MAX_HOSTS + 1].join(","));
    assert_eq!(Server::parse(&many), Err(UrlError::Host));
}

#[test]
fn passwords_are_never_shown() {
    for url in [
        "redis://:hunter2@a:1",
        "rediss+cluster://me:hunter2@a,b",
        "redis+sentinel://me:hunter2@a/m/1",
    ] {
        let options = Options::new(Server::parse(url).unwrap());
        let error = ConnectError::Server {
            server: options.server.to_string(),
            why: StateError::Full("x"),
        };
        for shown in [
            format!("{options:?}"),
            options.server.to_string(),
            format!("{error} {error:?}"),
        ] {
            assert!(
                shown.contains("***") && !shown.contains("hunter2"),
                "{shown}"
            );
        }
    }
    let shown = Server::parse("redis+sentinel://me:x@a,[::1]:2/m/1")
        .unwrap()
        .to_string();
    assert_eq!(shown, "redis+sentinel://me:***@a:26379,[::1]:2/m/1");
    assert_eq!(Server::new("a", 1, "", 0).to_string(), "redis://a:1");
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in "(rediss?(\\+sentinel|\\+cluster)?://)?.{0,60}") {
        let _ = Server::parse(&text);
    }

    #[test]
    fn what_is_shown_without_secrets_names_the_same(name in "[a-z]{1,8}", port in 1..=u16::MAX, db in 0..20_u32) {
        let server = Server::new(&name, port, "", db);
        prop_assert_eq!(Server::parse(&server.to_string()), Ok(server));
    }
}
