//! From the variables of the Go proxy to our keys.
//!
//! Owns: the tests of each variable, of `.env`, of which source wins, and of each refusal. Does not: test what our own
//! keys mean; `config` does.

use proptest::prelude::*;

use super::super::{Config, Key, Loaded, Role, Sources};
use super::*;

fn proxy(env: &[(&str, &str)], dotenv: &str) -> Sources {
    Sources {
        env: env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        dotenv: (!dotenv.is_empty()).then(|| dotenv.to_owned()),
        role: Role::Proxy,
        ..Sources::default()
    }
}

fn load(env: &[(&str, &str)], dotenv: &str) -> Loaded {
    Config::load(&proxy(env, dotenv)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(env: &[(&str, &str)], dotenv: &str) -> Vec<String> {
    let problems = Config::load(&proxy(env, dotenv)).expect_err("a wrong configuration");
    problems.0.iter().map(ToString::to_string).collect()
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(ToString::to_string).collect()
}

fn text(loaded: &Loaded, full_name: &str) -> String {
    let key: &Key = key(full_name).unwrap();
    key.text(&loaded.config)
}

/// C1, C7: nothing is set, and all is as with the Go proxy.
#[test]
fn without_variables_the_defaults_are_those_of_the_go_proxy() {
    let loaded = load(&[], "");
    for (key, value) in [
        ("proxy.rtmp_listen", "[\":11935\"]"),
        ("proxy.http_listen", "[\":18080\"]"),
        ("proxy.api_listen", "[\":11985\"]"),
        ("proxy.system_listen", "[\":12025\"]"),
        ("proxy.webrtc_listen", "[\":18000\"]"),
        ("proxy.srt_listen", "[\":20080\"]"),
        ("proxy.force_quit_timeout", "\"30s\""),
        ("server.drain_timeout", "\"20s\""),
        ("cluster.state", "\"memory\""),
        ("cluster.lease", "\"5m\""),
        ("cluster.default_backend", "[]"),
        ("redis.host", "\"127.0.0.1\""),
        ("redis.port", "6379"),
        ("redis.db", "0"),
        ("proxy.static_files", "\"\""),
    ] {
        assert_eq!(text(&loaded, key), value, "{key}");
    }
    assert!(loaded.warnings.is_empty() && loaded.report().is_empty());
}

/// Each variable of the table, with a value of its own and what the key then is.
#[test]
fn each_variable_sets_its_key_from_the_environment_and_from_the_file() {
    let values = [
        ("GO_PPROF", ":6060", "[\":6060\"]"),
        ("PROXY_FORCE_QUIT_TIMEOUT", "1m30s", "\"90s\""),
        ("PROXY_GRACE_QUIT_TIMEOUT", "1.5m", "\"90s\""),
        ("PROXY_HTTP_API", "1", "[\":1\"]"),
        ("PROXY_HTTP_SERVER", ":2", "[\":2\"]"),
        ("PROXY_RTMP_SERVER", "127.0.0.1:3", "[\"127.0.0.1:3\"]"),
        ("PROXY_WEBRTC_SERVER", "4", "[\":4\"]"),
        ("PROXY_SRT_SERVER", "5", "[\":5\"]"),
        ("PROXY_SYSTEM_API", "[::1]:6", "[\"[::1]:6\"]"),
        ("PROXY_STATIC_FILES", "./x y", "\"./x y\""),
        ("PROXY_LOAD_BALANCER_TYPE", "redis", "\"redis\""),
        ("PROXY_REDIS_HOST", "r", "\"r\""),
        ("PROXY_REDIS_PORT", "7", "7"),
        ("PROXY_REDIS_PASSWORD", "p#w d", "\"p#w d\""),
        ("PROXY_REDIS_DB", "8", "8"),
        ("PROXY_REDIS_KEY_PREFIX", "x", "\"x\""),
        ("PROXY_ORIGIN_SERVER_TTL", "30s", "\"30s\""),
    ];
    assert_eq!(values.len(), VARIABLES.len());
    for ((name, full_name, _), (of, value, toml)) in VARIABLES.iter().zip(values) {
        assert_eq!(*name, of);
        let loaded = load(&[(name, value)], "");
        assert_eq!(text(&loaded, full_name), toml);
        assert_eq!(loaded.origin_of(full_name).to_string(), *name);
        let loaded = load(&[(name, "")], &format!("\n{name}=\"{value}\"\r\n"));
        assert_eq!(text(&loaded, full_name), toml);
        assert_eq!(loaded.origin_of(full_name).to_string(), ".env:2");
        // C3, C4: what is empty is not set, what the environment has wins
        let loaded = load(&[(name, "")], "");
        assert_eq!(*loaded.origin_of(full_name), Origin::Default);
        let loaded = load(&[(name, value)], &format!("{name}=off"));
        assert_eq!(text(&loaded, full_name), toml);
        // the origin's commands know nothing of it
        let mut sources = proxy(&[(name, "~!")], "");
        for role in [Role::Origin, Role::Any] {
            sources.role = role;
            assert_eq!(Config::load(&sources).unwrap().config, Config::default());
        }
    }
}

#[test]
fn flags_win_over_our_variables_over_those_of_go_over_its_file_over_ours() {
    let mut sources = proxy(&[], "");
    sources.file = Some(("weir.toml".into(), "proxy.rtmp_listen = 1".to_owned()));
    let at = |sources: &Sources| {
        let loaded = Config::load(sources).unwrap();
        let origin = loaded.origin_of("proxy.rtmp_listen").to_string();
        (text(&loaded, "proxy.rtmp_listen"), origin)
    };
    let pair = |port: u16, at: &str| (format!("[\":{port}\"]"), at.to_owned());
    assert_eq!(at(&sources), pair(1, "weir.toml:1"));
    sources.dotenv = Some("PROXY_RTMP_SERVER=2".to_owned());
    assert_eq!(at(&sources), pair(2, ".env:1"));
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    sources.env.push(set("PROXY_RTMP_SERVER", "3"));
    assert_eq!(at(&sources), pair(3, "PROXY_RTMP_SERVER"));
    sources.env.insert(0, set("WEIR_PROXY_RTMP_LISTEN", "4"));
    assert_eq!(at(&sources), pair(4, "WEIR_PROXY_RTMP_LISTEN"));
    sources.flags.push(set("proxy-rtmp-listen", "5"));
    assert_eq!(at(&sources), pair(5, "--proxy-rtmp-listen"));
    let ours = proxy(&[], "WEIR_PROXY_RTMP_LISTEN=6\nWEIR_LOG_LEVEL=debug");
    assert_eq!(at(&ours), pair(6, ".env:1"));
}

/// C14: one origin that registers with nobody, HTTP included.
#[test]
fn the_default_backend_is_an_origin_of_its_own() {
    let on = ("PROXY_DEFAULT_BACKEND_ENABLED", "on");
    let shown = |env: &[(&str, &str)]| text(&load(env, ""), "cluster.default_backend");
    assert_eq!(
        shown(&[on]),
        "[\"rtmp://127.0.0.1:1935,http://127.0.0.1:8080,api://127.0.0.1:1985,\
         srt://127.0.0.1:10080,rtc://127.0.0.1:8000\"]"
    );
    let all = [
        on,
        ("PROXY_DEFAULT_BACKEND_IP", "fd00::1"),
        ("PROXY_DEFAULT_BACKEND_RTMP", "1"),
        ("PROXY_DEFAULT_BACKEND_HTTP", "2"),
        ("PROXY_DEFAULT_BACKEND_API", "3"),
        ("PROXY_DEFAULT_BACKEND_SRT", "4"),
        ("PROXY_DEFAULT_BACKEND_RTC", "5"),
    ];
    assert_eq!(
        shown(&all),
        "[\"rtmp://[fd00::1]:1,http://[fd00::1]:2,api://[fd00::1]:3,srt://[fd00::1]:4,\
         rtc://[fd00::1]:5\"]"
    );
    let loaded = load(&[on], "PROXY_DEFAULT_BACKEND_IP=b");
    assert!(text(&loaded, "cluster.default_backend").contains("http://b:8080"));
    let off = [("PROXY_DEFAULT_BACKEND_ENABLED", "off"), all[1], all[2]];
    assert_eq!(shown(&off), "[]");
    let loaded = load(&[("PROXY_DEFAULT_BACKEND_ENABLED", "true")], "");
    assert_eq!(text(&loaded, "cluster.default_backend"), "[]");
    assert_eq!(
        warnings(&loaded),
        ["PROXY_DEFAULT_BACKEND_ENABLED: only `on` enables the default backend"]
    );
    for (name, value) in [
        ("PROXY_DEFAULT_BACKEND_RTMP", "0"),
        ("PROXY_DEFAULT_BACKEND_API", "x"),
        ("PROXY_DEFAULT_BACKEND_IP", "a b"),
    ] {
        let found = refused(&[on, (name, value)], "");
        assert!(found[0].starts_with(&format!("{name}: ")), "{found:?}");
    }
}

/// C75: the token counts when it is switched on, and must be there then.
#[test]
fn authentication_needs_its_type_and_its_token() {
    let on = ("PROXY_HTTP_API_AUTH_ENABLED", "on");
    let bearer = ("PROXY_HTTP_API_AUTH_TYPE", "bearer");
    let token = ("PROXY_HTTP_API_AUTH_TOKEN", "swordfish");
    let loaded = load(&[on, bearer, token], "");
    assert!(loaded.config.proxy.token.matches("swordfish"));
    assert!(!loaded.report().contains("swordfish"));
    assert!(load(&[bearer, token], "").config.proxy.token.is_empty());
    let off = ("PROXY_HTTP_API_AUTH_ENABLED", "off");
    assert!(load(&[off, token], "").config.proxy.token.is_empty());
    let found = refused(&[on, bearer], "");
    let expected = "PROXY_HTTP_API_AUTH_ENABLED: PROXY_HTTP_API_AUTH_ENABLED is on, and needs \
                    PROXY_HTTP_API_AUTH_TOKEN";
    assert_eq!(found, [expected]);
    for wrong in [
        &[on, token][..],
        &[on, ("PROXY_HTTP_API_AUTH_TYPE", "basic"), token],
        &[("PROXY_HTTP_API_AUTH_ENABLED", "yes"), bearer, token],
        &[on, bearer, ("PROXY_HTTP_API_AUTH_TOKEN", "sword fish")],
    ] {
        let found = refused(wrong, "");
        assert!(found[0].starts_with("PROXY_HTTP_API_AUTH_"), "{found:?}");
        assert!(!found.concat().contains("fish"), "{found:?}");
    }
}

/// C9, C73: what Go refuses, and what it should have refused, is refused with the name of the variable.
#[test]
fn wrong_values_name_their_variable() {
    let duration = "expected a duration with its unit, as 30s, 1m30s or 1.5h, found";
    for (name, value, message) in [
        ("PROXY_GRACE_QUIT_TIMEOUT", "30", format!("{duration} `30`")),
        ("PROXY_FORCE_QUIT_TIMEOUT", "x", format!("{duration} `x`")),
        (
            "PROXY_GRACE_QUIT_TIMEOUT",
            "-5s",
            format!("{duration} `-5s`"),
        ),
        (
            "PROXY_ORIGIN_SERVER_TTL",
            "0",
            "0s is outside 1s to 24h".to_owned(),
        ),
        (
            "PROXY_ORIGIN_SERVER_TTL",
            "-30s",
            format!("{duration} `-30s`"),
        ),
        (
            "PROXY_LOAD_BALANCER_TYPE",
            "Redis",
            "expected memory or redis, found \"Redis\": did you mean `redis`?".to_owned(),
        ),
        (
            "PROXY_REDIS_DB",
            "x",
            "expected a whole number, found \"x\"".to_owned(),
        ),
    ] {
        assert_eq!(
            refused(&[(name, value)], ""),
            [format!("{name}: {message}")]
        );
        let dotenv = format!("# c\n{name}={value}");
        assert_eq!(
            refused(&[], &dotenv),
            [format!(".env:2: {name}: {message}")]
        );
    }
}

/// C13: whatever it is, the start does not fail.
#[test]
fn a_wrong_debug_address_is_a_warning() {
    let loaded = load(&[("GO_PPROF", "nonsense")], "");
    assert!(loaded.config.proxy.debug_listen.0.is_empty());
    assert!(warnings(&loaded)[0].starts_with("GO_PPROF: `nonsense` is not an address"));
}

#[test]
fn unknown_names_are_warned_of_and_those_of_kubernetes_are_not() {
    let env = [
        ("PROXY_RTMP_SERVR", "1"),
        ("PROXY_SERVICE_HOST", "10.0.0.1"),
        ("PROXY_PORT_1935_TCP", "tcp://10.0.0.1:1935"),
        ("PROXY_REDIS_PORT", "tcp://10.0.0.1:6379"),
        ("WEIR_REDIS_PORT", "tcp://10.0.0.1:6379"),
        ("HTTP_PROXY", "http://x"),
    ];
    let loaded = load(&env, "PROXY_X=1\nwhat is this\nOTHER=1");
    assert_eq!(
        warnings(&loaded),
        [
            ".env:2: the line sets nothing (expected NAME=value)",
            "PROXY_RTMP_SERVR: unknown variable: did you mean `PROXY_RTMP_SERVER`?",
            ".env:1: PROXY_X: unknown variable",
        ]
    );
    assert_eq!(loaded.config, Config::of(Role::Proxy));
}

#[test]
fn durations_of_go_are_read_as_go_does() {
    for (text, millis) in [
        ("30s", 30_000),
        ("1m30s", 90_000),
        ("1.5h", 5_400_000),
        (".5s", 500),
        ("1.s", 1000),
        ("+2ms", 2),
        ("0", 0),
        ("1us", 1),
        ("1µs", 1),
        ("1500us", 2),
        ("1h2m3s4ms5us6ns", 3_723_005),
        ("0.1234567890123456789s", 124),
    ] {
        assert_eq!(duration(text), Ok(format!("{millis}ms")), "{text}");
    }
    for wrong in [
        "",
        "30",
        "s",
        ".s",
        "1",
        "1x",
        "1 s",
        "1s ",
        "-1s",
        "1s2",
        "++1s",
        "9999999999999999999s",
    ] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_duration_is_taken_or_refused(text in "[+0-9.nuµmsh]{0,12}|\\PC*") {
        let _ = duration(&text);
    }

    #[test]
    fn any_value_is_taken_or_refused(value in "\\PC*", item in 0..VARIABLES.len()) {
        let _ = Config::load(&proxy(&[(VARIABLES[item].0, &value)], ""));
    }
}
