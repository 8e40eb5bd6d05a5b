//! Tests of the keys: the Go proxy's table, the uniform form, and that the protocols agree.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use proptest::prelude::*;
use weir_gate::Address;

use super::*;

/// What the paths of these tests must have escaped.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

const FORMS: [KeyForm; 2] = [KeyForm::Uniform, KeyForm::Go];

fn text(key: Result<Key, KeyError>) -> Result<String, KeyError> {
    key.map(|key| key.to_string())
}

fn ok(text: &str) -> Result<String, KeyError> {
    Ok(text.to_owned())
}

fn rtmp(tc_url: &str, stream: &str, form: KeyForm) -> Result<String, KeyError> {
    text(from_rtmp(tc_url, stream, form))
}

fn http(target: &str, host: &str, form: KeyForm) -> Result<String, KeyError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    text(from_http(host, path, query, form))
}

fn srt(stream_id: &str, form: KeyForm) -> Result<String, KeyError> {
    text(from_srt(stream_id, form))
}

/// C33, C34, C35: the table of ordinary addresses.
#[test]
fn ordinary_rtmp_addresses_have_one_key_in_both_forms() {
    for form in FORMS {
        for (tc_url, stream, key) in [
            ("rtmp://1.2.3.4/live", "s", "__defaultVhost__/live/s"),
            ("rtmp://localhost:1935/live", "s", "__defaultVhost__/live/s"),
            ("rtmp://v.com:1935/live", "s?token=1", "v.com/live/s"),
            ("rtmp://user:pw@v.com/live", "s", "v.com/live/s"),
            ("rtmp://1.2.3.4/a/b", "c", "__defaultVhost__/a/b/c"),
            (
                "rtmp://1.2.3.4/live",
                "s.flv",
                "__defaultVhost__/live/s.flv",
            ),
            ("rtmp://1.2.3.4/live", "s%20x", "__defaultVhost__/live/s x"),
            ("rtmp://[::1]:1935/live", "s", "__defaultVhost__/live/s"),
            (
                "rtmp://[::ffff:1.2.3.4]/live",
                "s",
                "__defaultVhost__/live/s",
            ),
            ("rtmp://v.com/live", "s?vhost=&a=b", "v.com/live/s"),
        ] {
            assert_eq!(
                rtmp(tc_url, stream, form),
                ok(key),
                "{form:?} {tc_url} {stream}"
            );
        }
    }
}

#[test]
fn the_go_form_keeps_the_go_proxys_oddities() {
    for (tc_url, stream, key) in [
        ("rtmp://EXAMPLE.com/live", "s", "EXAMPLE.com/live/s"),
        ("rtmp://v.com./live", "s", "v.com./live/s"),
        (
            "rtmp://1.2.3.4/live?vhost=v.com",
            "s",
            "__defaultVhost__/live",
        ),
        ("rtmp://1.2.3.4/live#f", "s", "__defaultVhost__/live"),
        ("rtmp://1.2.3.4/live/", "s", "__defaultVhost__/live//s"),
        ("rtmp://1.2.3.4/live", "/s", "__defaultVhost__/live//s"),
        ("", "s", "__defaultVhost__/s"),
        ("rtmp://v.com/live/_definst_", "s", "v.com/live/_definst_/s"),
        ("rtmp://v.com/live", "../s", "v.com/live/../s"),
        (
            "rtmp://1.2.3.4/live...vhost...v.com",
            "s",
            "__defaultVhost__/live...vhost...v.com/s",
        ),
        ("rtmp:live", "s", "__defaultVhost__"),
        ("live", "s", "__defaultVhost__live/s"),
        ("//v.com/live", "s", "v.com/live/s"),
        ("///v.com/live", "s", "__defaultVhost__///v.com/live/s"),
        ("rtmp://%c3%a9.com/live", "s", "é.com/live/s"),
    ] {
        assert_eq!(
            rtmp(tc_url, stream, KeyForm::Go),
            ok(key),
            "{tc_url} {stream}"
        );
    }
    for (tc_url, stream, error) in [
        ("rtmp://1.2.3.4/live", "s%zz", KeyError::Escape),
        ("rtmp://1.2.3.4/live", "s%2", KeyError::Escape),
        ("rtmp://1.2.3.4/live", "s#%zz", KeyError::Escape),
        ("rtmp://1.2.3.4/live", "s%ff", KeyError::Encoding),
        ("rtmp://v.com:x/live", "s", KeyError::Host),
        ("rtmp://[::1/live", "s", KeyError::Host),
        ("rtmp://[::1]x/live", "s", KeyError::Host),
        ("rtmp://v com/live", "s", KeyError::Host),
        ("rtmp://v%2ecom/live", "s", KeyError::Host),
        ("rtmp://u ser@v.com/live", "s", KeyError::Url),
        ("rtmp://u%zz@v.com/live", "s", KeyError::Escape),
        ("://v.com/live", "s", KeyError::Url),
        ("1a:b/live", "s", KeyError::Url),
        ("rtmp://v.com/live", "s\n", KeyError::Url),
        (
            "rtmp://v.com/live",
            "s%0a",
            KeyError::Name(InvalidKey::Character),
        ),
    ] {
        assert_eq!(
            rtmp(tc_url, stream, KeyForm::Go),
            Err(error),
            "{tc_url} {stream}"
        );
    }
}

#[test]
fn the_uniform_form_reads_addresses_as_the_origin_does() {
    for (tc_url, stream, key) in [
        ("rtmp://EXAMPLE.com.:80/live", "s", "example.com/live/s"),
        ("rtmp://1.2.3.4/live?vhost=v.com", "s", "v.com/live/s"),
        (
            "rtmp://1.2.3.4/live?a=b/c&domain=V.com",
            "s?t=1",
            "v.com/live/s",
        ),
        (
            "rtmp://x.com/live?vhost=app.com",
            "s?vhost=name.com",
            "name.com/live/s",
        ),
        (
            "rtmp://x.com/live",
            "s?token=1?vhost=v%2Ecom",
            "v.com/live/s",
        ),
        ("rtmp://x.com/live", "s?vhost=v.com/x", "v.com/live/s"),
        ("rtmp://x.com/live", "s?vhost=players", "players/live/s"),
        (
            "rtmp://x.com/live",
            "s?vhost=__defaultVhost__",
            "__defaultVhost__/live/s",
        ),
        (
            "rtmp://x.com/live",
            "s?vhost=10.0.0.1",
            "__defaultVhost__/live/s",
        ),
        ("rtmp://1.2.3.4/live#f", "s", "__defaultVhost__/live/s"),
        ("rtmp://1.2.3.4//live/", "/s/", "__defaultVhost__/live/s"),
        ("rtmp://1.2.3.4/live...vhost...v.com", "s", "v.com/live/s"),
        (
            "rtmp://1.2.3.4/live",
            "s...vhost...v.com?token=1",
            "v.com/live/s",
        ),
        (
            "rtmp://1.2.3.4/live...vhost...v.com?vhost=w.com",
            "s",
            "w.com/live/s",
        ),
        ("rtmp://v.com/live/_definst_", "s", "v.com/live/s"),
        (
            "rtmp://v.com/live/_definst_x",
            "s",
            "v.com/live/_definst_x/s",
        ),
        ("", "s", "__defaultVhost__/__defaultApp__/s"),
        ("rtmp://v.com", "s", "v.com/__defaultApp__/s"),
        ("rtmp://v.com/live/s", "", "v.com/live/s"),
        ("live", "s", "__defaultVhost__/live/s"),
        ("rtmp://v.com/live", "100%", "v.com/live/100%"),
        ("rtmp://v.com/live", "s%3ftoken=1", "v.com/live/s"),
        ("rtmp://[2001:db8::1]/live", "s", "__defaultVhost__/live/s"),
    ] {
        assert_eq!(
            rtmp(tc_url, stream, KeyForm::Uniform),
            ok(key),
            "{tc_url} {stream}"
        );
    }
    for (tc_url, stream, error) in [
        ("rtmp://v.com", "", KeyError::Name(InvalidKey::Empty)),
        ("rtmp://v.com/live", "../s", KeyError::Segment),
        ("rtmp://v com.de/live", "s", KeyError::Host),
        (
            "rtmp://v.com/live",
            "a\u{0}",
            KeyError::Name(InvalidKey::Character),
        ),
    ] {
        assert_eq!(
            rtmp(tc_url, stream, KeyForm::Uniform),
            Err(error),
            "{tc_url} {stream}"
        );
    }
}

/// C36, C37.
#[test]
fn requests_with_an_address_as_host_have_the_key_of_rtmp() {
    for form in FORMS {
        for target in [
            "/live/s.flv",
            "/live/s.ts?token=1",
            "/live/s.m3u8",
            "/live/s",
            "/rtc/v1/whip/?app=live&stream=s",
            "/rtc/v1/whep/?stream=s&secret=x&app=live",
        ] {
            let key = ok("__defaultVhost__/live/s");
            assert_eq!(
                http(target, "1.2.3.4:18080", form),
                key,
                "{form:?} {target}"
            );
            assert_eq!(http(target, "1.2.3.4", form), key, "{form:?} {target}");
        }
        assert_eq!(
            http("/live/a.b.flv", "v.com:80", form),
            ok("v.com/live/a.b")
        );
        assert_eq!(http("/l/s%20x.flv", "v.com:80", form), ok("v.com/l/s x"));
        assert_eq!(
            http("/live/s%zz.flv", "v.com:80", form),
            Err(KeyError::Escape)
        );
        assert_eq!(
            http("/live/%ff.flv", "v.com:80", form),
            Err(KeyError::Encoding)
        );
    }
}

/// W44: a host has the same key with and without a port, and `vhost=` counts.
#[test]
fn the_uniform_form_of_requests() {
    for (target, host, key) in [
        ("/live/s.flv", "V.com", "v.com/live/s"),
        ("/live/s.flv", "v.com.:443", "v.com/live/s"),
        ("/live/s.flv?vhost=v.com", "1.2.3.4:80", "v.com/live/s"),
        ("/live...vhost...v.com/s.flv", "1.2.3.4:80", "v.com/live/s"),
        ("//live///s.m3u8", "", "__defaultVhost__/live/s"),
        ("/live/_definst_/s.flv", "v.com", "v.com/live/s"),
        ("/s.flv", "v.com", "v.com/__defaultApp__/s"),
        ("/x?app=a/b&stream=c.d", "v.com", "v.com/a/b/c.d"),
        ("/x?stream=s%3Ftoken%3D1&app=live", "v.com", "v.com/live/s"),
        ("/a%2Fb/c.flv", "v.com", "v.com/a/b/c"),
        ("/live/s%2520x.flv", "v.com", "v.com/live/s x"),
        ("/live/100%25.flv", "v.com", "v.com/live/100%"),
        ("/live/s.flv?t=a,vhost=w.com", "v.com", "v.com/live/s"),
        ("/live/s.flv", "[::1]:80", "__defaultVhost__/live/s"),
        ("/live/s.d/", "v.com", "v.com/live/s.d"),
    ] {
        assert_eq!(
            http(target, host, KeyForm::Uniform),
            ok(key),
            "{target} {host}"
        );
    }
    let uniform = |target, host| http(target, host, KeyForm::Uniform);
    assert_eq!(
        uniform("/", "v.com"),
        Err(KeyError::Name(InvalidKey::Empty))
    );
    assert_eq!(uniform("/live/../s.flv", "v.com"), Err(KeyError::Segment));
    assert_eq!(uniform("/live/s.flv", "v.com/x"), Err(KeyError::Host));
}

#[test]
fn the_go_form_of_requests_depends_on_the_port() {
    for (target, host, key) in [
        ("/live/s.flv", "v.com", "__defaultVhost__/live/s"),
        ("/live/s.flv", "v.com:80", "v.com/live/s"),
        ("/live/s.flv", "V.com:80", "V.com/live/s"),
        ("/live/s.flv", "v.com:", "v.com/live/s"),
        ("/live/s.flv", ":80", "__defaultVhost__/live/s"),
        ("/live/s.flv", "a:b:80", "__defaultVhost__/live/s"),
        ("/live/s.flv", "[::1]", "__defaultVhost__/live/s"),
        ("/live/s.flv", "[::1]:80", "__defaultVhost__/live/s"),
        ("/live/s.flv?vhost=w.com", "v.com:80", "v.com/live/s"),
        ("/x?app=live", "v.com:80", "v.com/live"),
        ("/x?stream=s", "v.com:80", "v.com/s"),
        ("/x?app=a+b&stream=c", "v.com:80", "v.com/a b/c"),
        ("/x?app=%zz&app=live&stream=s", "v.com:80", "v.com/live/s"),
        ("/x.flv?app=&stream=", "v.com:80", "v.com/x"),
        ("/live/s%3Fx.flv", "v.com:80", "v.com/live/s"),
        ("/live/s%2520x.flv", "v.com:80", "v.com/live/s x"),
        ("//live//s.flv", "v.com:80", "v.com//live//s"),
    ] {
        assert_eq!(http(target, host, KeyForm::Go), ok(key), "{target} {host}");
    }
    assert_eq!(
        http("/live/s%25zz.flv", "v.com:80", KeyForm::Go),
        Err(KeyError::Escape)
    );
}

/// C38, B44.
#[test]
fn srt_stream_ids() {
    for form in FORMS {
        for (id, key) in [
            ("#!::r=live/s,m=publish", "__defaultVhost__/live/s"),
            ("#!::h=v.com,r=live/s,m=publish", "v.com/live/s"),
            ("#!::m=request,r=live/s?secret=1,h=v.com", "v.com/live/s"),
            ("#!::h=localhost,r=live/s", "__defaultVhost__/live/s"),
            ("#!::h=live/s,m=publish", "__defaultVhost__/live/s"),
            ("#!::h=v.com/live/s,m=publish", "v.com/live/s"),
            ("live/s", "__defaultVhost__/live/s"),
            ("live/s?vhost=v.com&token=1", "v.com/live/s"),
            ("s", "__defaultVhost__/live/s"),
            ("a/b/c", "__defaultVhost__/a/b/c"),
        ] {
            assert_eq!(srt(id, form), ok(key), "{form:?} {id}");
        }
        assert_eq!(srt("#!::m=publish", form), Err(KeyError::Resource));
        assert_eq!(srt("", form), Err(KeyError::Name(InvalidKey::Empty)));
    }
    for (id, uniform, go) in [
        (
            "#!::auth=x,h=v.com,r=live/s",
            "v.com/live/s",
            "__defaultVhost__/live/s",
        ),
        (
            "#!::user=x,r=live/s",
            "__defaultVhost__/live/s",
            "__defaultVhost__/x",
        ),
        (
            "#!::r=/live/s",
            "__defaultVhost__/live/s",
            "__defaultVhost__//live/s",
        ),
        ("#!::r=s", "__defaultVhost__/live/s", "__defaultVhost__/s"),
        (
            "#!::r=live/s,vhost=w.com",
            "w.com/live/s",
            "__defaultVhost__/live/s",
        ),
        ("#!::h=,h=v.com,r=a/b", "v.com/a/b", "v.com/a/b"),
    ] {
        assert_eq!(srt(id, KeyForm::Uniform), ok(uniform), "{id}");
        assert_eq!(srt(id, KeyForm::Go), ok(go), "{id}");
    }
}

#[test]
fn errors_never_show_the_text() {
    let secret = "rtmp://u ser@v com/live%zz?token=hunter2";
    for form in FORMS {
        let error = from_rtmp(secret, "..%", form).expect_err("no URL at all");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let long = "a".repeat(MAX_INPUT_BYTES + 1);
        assert_eq!(rtmp(&long, "s", form), Err(KeyError::TooLong));
        assert_eq!(http("/live/s", &long, form), Err(KeyError::TooLong));
        assert_eq!(srt(&long, form), Err(KeyError::TooLong));
    }
}

/// What must hold of any uniform key.
fn check_uniform(key: &Key) -> Result<(), TestCaseError> {
    let text = key.as_str();
    prop_assert!(!text.contains(['?', '#']) && !text.contains("//"), "{text}");
    prop_assert!(text.split('/').count() >= 3, "{text}");
    prop_assert!(text.split('/').all(|part| !matches!(part, "" | "." | "..")));
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_a_key_or_an_error(a: String, b: String, c: String) {
        for form in FORMS {
            let keys = [from_rtmp(&a, &b, form), from_http(&a, &b, &c, form), from_srt(&a, form)];
            for key in keys.into_iter().flatten() {
                prop_assert_eq!(Key::new(key.as_str()), Ok(key.clone()));
                if form == KeyForm::Uniform {
                    check_uniform(&key)?;
                }
            }
        }
    }

    #[test]
    fn any_address_is_a_key_or_an_error(
        a in "(rtmp:)?/{0,3}[a-zA-Z0-9.:@%/?#\\[\\]é_]{0,30}(\\.\\.\\.vhost\\.\\.\\.)?[a-z./%?&=]{0,20}",
        b in "[a-zé/%?&=#.,]{0,20}",
    ) {
        for form in FORMS {
            let id = format!("#!::{a},r={b}");
            for key in [from_rtmp(&a, &b, form), from_http(&b, &a, &b, form), from_srt(&id, form)] {
                if let (Ok(key), KeyForm::Uniform) = (key, form) {
                    check_uniform(&key)?;
                }
            }
        }
    }

    #[test]
    fn all_protocols_agree(
        app in "[a-zA-Z0-9_-]{1,9}(/[a-z0-9_.-]{0,3}[a-z])?", stream in "[a-zA-Z0-9é_.-]{0,8}[a-z]",
        host in "([a-zA-Z0-9-]{1,9}\\.){0,2}[a-z]{1,4}", port in 1u16.., token in "[a-z0-9=&]{0,9}",
        extension in "flv|ts|m3u8|mpd",
    ) {
        let uniform = KeyForm::Uniform;
        let key = from_rtmp(&format!("rtmp://{host}:{port}/{app}"), &format!("{stream}?{token}"), uniform)?;
        let (path, port) = (format!("/{app}/{stream}.{extension}"), format!("{host}:{port}"));
        let escaped = utf8_percent_encode(&path, CONTROLS).to_string();
        prop_assert_eq!(&from_http(&host, &escaped, "x=1", uniform)?, &key);
        prop_assert_eq!(&from_http(&port, &path, "", uniform)?, &key);
        let query = format!("app={app}&stream={stream}");
        prop_assert_eq!(&from_http(&host, "/rtc/v1/whip/", &query, uniform)?, &key);
        prop_assert_eq!(&from_srt(&format!("#!::h={host},r={app}/{stream},m=publish"), uniform)?, &key);
        // with a port, a lower case host and plain names the Go proxy agrees too
        if host == host.to_ascii_lowercase() {
            prop_assert_eq!(&from_http(&port, &path, "", KeyForm::Go)?, &key);
        }
    }
    /// What the Weir origin takes for one stream has one key.
    #[test]
    fn the_origin_agrees(
        app in "[a-z%]{1,5}(/[a-z0-9 ]{1,4})?", name in "[a-zA-Z0-9é %+.-]{0,8}[a-z]", token in "[a-z0-9]{0,5}",
        host in "[a-z]{1,5}(\\.[a-z]{1,3})?", vhost in "(vhost=[a-z]{1,3}\\.[a-z]{1,3})?",
    ) {
        // a name that says a control character is refused here; an origin takes the escape for the name
        let said = percent_decode_str(&name).decode_utf8_lossy().into_owned();
        prop_assume!(!said.chars().any(char::is_control));
        let query = format!("token={token}&{vhost}");
        let vhosts = [host.clone(), vhost.replace("vhost=", "")];
        let rtmp_name = format!("{name}?{query}");
        let Ok(stream) = Address::new(&host, &app, &rtmp_name, &vhosts) else {
            return Ok(());
        };
        let path = format!("/{app}/{name}.flv");
        let path = utf8_percent_encode(&path, NOT_IN_PATHS).to_string();
        let decoded = percent_decode_str(&path).decode_utf8()?;
        let (http_app, file) = decoded.rsplit_once('/').expect("a slash");
        let http_name = format!("{}?{query}", file.trim_end_matches(".flv"));
        let same = Address::new(&format!("{host}:80"), http_app, &http_name, &vhosts);
        prop_assert_eq!(same, Ok(stream));
        let key = from_rtmp(&format!("rtmp://{host}/{app}"), &rtmp_name, KeyForm::Uniform)?;
        let moved = from_rtmp(&format!("rtmp://{host}/{app}?{query}"), &name, KeyForm::Uniform)?;
        prop_assert_eq!(&moved, &key);
        for host in [format!("{host}:8080"), host] {
            prop_assert_eq!(&from_http(&host, &path, &query, KeyForm::Uniform)?, &key);
        }
    }
}
