//! From sources to a configuration.
//!
//! With the variable `WEIR_TEST_BLESS` set, the sample file is written instead of compared.
//!
//! Owns: the tests of each key in each source, of which source wins, of the sample file, of every complaint, and of a
//! reload. Does not: test command lines; `cli` does. One file over 600 lines because the table of keys is its one subject.

use std::collections::HashSet;
use std::path::PathBuf;

use proptest::prelude::*;

use super::setting::{Raw, Setting as _};
use super::*;

/// For each key two values that are not its default, as a flag or variable says them. A key without a row fails
/// `every_key_has_a_row`.
const VALUES: &[(&str, [&str; 2])] = &[
    ("server.workers", ["3", "4"]),
    ("server.drain_timeout", ["1s", "2m"]),
    ("log.level", ["debug", "warn,weir_rtmp=trace"]),
    ("log.format", ["json", "text"]),
    ("log.color", ["never", "always"]),
    ("rtmp.listen", ["127.0.0.1:2935", "[::]:1936,0.0.0.0:1936"]),
    ("rtmp.chunk_size", ["128", "4_096"]),
    ("rtmp.handshake_timeout", ["5s", "1m"]),
    ("rtmp.publish_idle_timeout", ["1500ms", "1h"]),
    ("rtmp.max_message_size", ["1MiB", "65536"]),
    ("http.listen", ["127.0.0.1:80", "off"]),
    ("http.cors_origin", ["https://example.com", "null"]),
    ("http.request_timeout", ["5s", "6s"]),
    ("http.max_head_size", ["8KiB", "64 KiB"]),
    ("http.publish", ["false", "true"]),
    ("http.console", ["false", "true"]),
    ("hls.enabled", ["false", "true"]),
    ("hls.segment", ["1s", "6s"]),
    ("hls.part", ["100ms", "1s"]),
    ("hls.low_latency", ["false", "true"]),
    ("hls.window", ["6s", "1h"]),
    ("hls.max_size", ["1MiB", "1GiB"]),
    ("hls.longest_segment", ["12s", "20s"]),
    ("hls.playlist", ["event", "live"]),
    ("hls.container", ["ts", "fmp4"]),
    ("hls.renditions", ["separate", "muxed"]),
    ("hls.when", ["always", "watched"]),
    ("hls.idle", ["10s", "5m"]),
    ("hls.encryption", ["aes-128", "none"]),
    ("hls.key_rotation", ["1m", "1h"]),
    ("hls.folder", ["/var/lib/weir", "segments"]),
    ("dash.enabled", ["false", "true"]),
    (
        "ts.udp_listen",
        ["0.0.0.0:5000=live/x", "239.0.0.1:5000=live/x"],
    ),
    ("api.listen", ["[::1]:1985", "127.0.0.2:1985"]),
    ("api.token", ["swordfish-1", "swordfish-2"]),
    ("stream.gop_cache", ["false", "true"]),
    ("stream.gop_max_size", ["1MiB", "1GiB"]),
    ("stream.gop_max_duration", ["5s", "6s"]),
    ("stream.latency", ["0ms", "350ms"]),
    ("stream.latency_max", ["100ms", "2s"]),
    ("stream.start", ["next-key", "live"]),
    ("stream.slow_viewer", ["disconnect", "skip"]),
    ("stream.lag_max_duration", ["5s", "6s"]),
    ("stream.lag_max_size", ["1MiB", "2MiB"]),
    ("stream.write_timeout", ["5s", "6s"]),
    ("stream.publish_conflict", ["takeover", "refuse"]),
    ("stream.grace", ["0s", "6s"]),
    ("stream.play_wait", ["0", "6s"]),
    (
        "stream.vhosts",
        ["a.example.com", "a.example.com,b.example.com"],
    ),
    ("limits.sessions", ["1", "2"]),
    ("limits.sessions_per_address", ["1", "2"]),
    ("limits.viewers_per_stream", ["1", "2"]),
    ("limits.streams", ["1", "2"]),
    (
        "heartbeat.urls",
        [
            "http://a:12025/api/v1/srs/register",
            "http://a:1/x,http://b/y",
        ],
    ),
    ("heartbeat.interval", ["5s", "6s"]),
    ("heartbeat.token", ["swordfish-1", "swordfish-2"]),
    ("heartbeat.device_id", ["rack 7", "rack 8"]),
    ("heartbeat.address", ["10.0.0.1", "origin.example.org"]),
    ("heartbeat.weight", ["0", "200"]),
    ("heartbeat.capacity", ["1", "2"]),
    ("proxy.rtmp_listen", ["1935", "[::1]:1936,name:1936"]),
    ("proxy.rtmps_listen", ["1936", "off"]),
    ("proxy.http_listen", ["127.0.0.1:80", "off"]),
    ("proxy.https_listen", ["443", "off"]),
    ("proxy.api_listen", ["127.0.0.1:1985", "off"]),
    ("proxy.system_listen", ["127.0.0.1:12025", "off"]),
    ("proxy.webrtc_listen", ["8000", "off"]),
    ("proxy.srt_listen", ["10080", "off"]),
    ("proxy.debug_listen", [":6060", "127.0.0.1:6060"]),
    ("proxy.tls_certificate", ["/etc/weir/chain.pem", "a b.pem"]),
    ("proxy.tls_key", ["/etc/weir/key.pem", "c.pem"]),
    ("proxy.static_files", ["/srv/www", "www"]),
    ("proxy.cors_origin", ["https://example.com", "null"]),
    ("proxy.console", ["false", "true"]),
    ("proxy.token", ["swordfish-1", "swordfish-2"]),
    ("proxy.register_from", ["10.0.0.0/8", "10.1.2.3,fd00::/8"]),
    ("proxy.register_peer_address", ["true", "false"]),
    ("proxy.proxy_protocol_from", ["10.0.0.0/8", "10.1.2.3"]),
    ("proxy.hand_over", ["srs", "proxy-v2"]),
    ("proxy.key_form", ["go", "uniform"]),
    ("proxy.routing", ["signed", "stored"]),
    ("proxy.routing_secret", ["swordfish-1", "swordfish-2"]),
    ("proxy.opening_timeout", ["5s", "6s"]),
    ("proxy.dial_timeout", ["500ms", "6s"]),
    ("proxy.answer_timeout", ["500ms", "6s"]),
    ("proxy.stalled_timeout", ["5s", "6s"]),
    ("proxy.attempts", ["1", "2"]),
    ("proxy.force_quit_timeout", ["5s", "1h"]),
    ("cluster.state", ["redis", "memory"]),
    ("cluster.lease", ["30s", "24h"]),
    ("cluster.claim_idle", ["0s", "1h"]),
    ("cluster.probe_interval", ["500ms", "5s"]),
    (
        "cluster.origins",
        [
            "10.0.0.1:1935",
            "rtmp://a:1935,http://a:8080,dns+srv://_rtmp._tcp.example.org",
        ],
    ),
    (
        "cluster.default_backend",
        ["10.0.0.1:1935", "rtmp://[::1]:1,api://[::1]:2"],
    ),
    (
        "redis.url",
        ["redis://:pass@a:1/2", "rediss+cluster://a:1,b:1"],
    ),
    ("redis.host", ["redis.example.org", "::1"]),
    ("redis.port", ["6380", "1"]),
    ("redis.password", ["a b#c", "ä"]),
    ("redis.db", ["1", "15"]),
    ("redis.key_prefix", ["x", "y z"]),
    ("redis.ca_file", ["/etc/ca.pem", "ca.pem"]),
];

/// What must be set for a key to be set alone.
const NEEDS: &[(&str, &str)] = &[
    ("rtmps_listen", "tls_certificate = \"c\"\ntls_key = \"k\""),
    ("https_listen", "tls_certificate = \"c\"\ntls_key = \"k\""),
    ("tls_certificate", "tls_key = \"k\""),
    ("tls_key", "tls_certificate = \"c\""),
];

/// Lines of the file that go with `key` in its section.
fn needed(key: &Key) -> &'static str {
    let needs = NEEDS.iter().find(|(name, _)| *name == key.name);
    needs.map_or("", |(_, lines)| lines)
}

fn pairs(items: &[(&str, &str)]) -> Vec<(String, String)> {
    items
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn file(text: &str) -> Sources {
    Sources {
        file: Some((PathBuf::from("weir.toml"), text.to_owned())),
        ..Sources::default()
    }
}

fn env(items: &[(&str, &str)]) -> Sources {
    Sources {
        env: pairs(items),
        ..Sources::default()
    }
}

fn flags(items: &[(&str, &str)]) -> Sources {
    Sources {
        flags: pairs(items),
        ..Sources::default()
    }
}

fn problems(sources: &Sources) -> Vec<String> {
    let problems = Config::load(sources).expect_err("a configuration that is wrong");
    problems.0.iter().map(ToString::to_string).collect()
}

/// What `key` is after reading `text`, as TOML.
fn read(key: &Key, text: &str) -> String {
    let mut config = Config::default();
    let raw = Raw::Text(text.to_owned());
    (key.value_mut)(&mut config).read(&raw, &key.range).unwrap();
    key.text(&config)
}

#[test]
fn every_key_has_a_row_and_every_field_a_key() {
    let rows: Vec<_> = VALUES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let keys: Vec<_> = KEYS.iter().map(Key::full_name).collect();
    assert_eq!(keys, rows);

    // Sections stand at 4 spaces and fields at 8 in the Debug form of the structs.
    let debug = format!("{:#?}", Config::default());
    let mut section = "";
    let mut fields = Vec::new();
    for line in debug.lines() {
        let name = line
            .trim_start()
            .split_once(':')
            .map_or("", |(name, _)| name);
        match line.len() - line.trim_start().len() {
            4 if !name.is_empty() => section = name,
            8 if !name.is_empty() => fields.push(format!("{section}.{name}")),
            _ => {}
        }
    }
    assert_eq!(keys, fields);
}

#[test]
fn names_in_each_source_are_distinct_and_sections_are_known() {
    let count = KEYS.len();
    assert_eq!(
        KEYS.iter().map(Key::flag).collect::<HashSet<_>>().len(),
        count
    );
    assert_eq!(
        KEYS.iter().map(Key::variable).collect::<HashSet<_>>().len(),
        count
    );
    for key in KEYS {
        assert!(
            SECTIONS.iter().any(|(section, _)| *section == key.section),
            "{key:?}"
        );
        assert!(key.help.ends_with('.'), "{key:?}");
        assert_eq!(super::key(&key.full_name()), Some(key));
    }
    let key = key("rtmp.chunk_size").unwrap();
    assert_eq!(key.flag(), "rtmp-chunk-size");
    assert_eq!(key.variable(), "WEIR_RTMP_CHUNK_SIZE");
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    for (name, [one, two]) in VALUES {
        let key = key(name).unwrap();
        let default = key.default_text();
        let texts = [read(key, one), read(key, two)];
        assert!(texts.iter().any(|text| *text != default), "{name}");
        assert_ne!(texts[0], texts[1], "{name}");

        let toml = format!(
            "\n[{}]\n{} = {}\n{}",
            key.section,
            key.name,
            texts[0],
            needed(key)
        );
        let (flag, variable) = (key.flag(), key.variable());
        let check = |sources: &Sources, text: &str, origin: &str| {
            let loaded = Config::load(sources).unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(key.text(&loaded.config), text, "{name}");
            assert_eq!(loaded.origin_of(name).to_string(), origin, "{name}");
        };
        let roles = [Role::Any, Role::Origin, Role::Proxy];
        for role in roles.into_iter().filter(|role| role.uses(key)) {
            let sources = Sources {
                role,
                ..Sources::default()
            };
            check(&sources, &key.text(&Config::of(role)), "default");
        }
        let mut sources = file(&toml);
        check(&sources, &texts[0], "weir.toml:3");
        sources.env = pairs(&[(&variable, two)]);
        check(&sources, &texts[1], &variable);
        sources.flags = pairs(&[(&flag, one)]);
        check(&sources, &texts[0], &format!("--{flag}"));
    }
}

#[test]
fn every_value_is_read_back_from_its_own_toml() {
    for (name, values) in VALUES {
        let key = key(name).unwrap();
        for value in values {
            let text = read(key, value);
            let toml = format!("[{}]\n{} = {text}\n{}", key.section, key.name, needed(key));
            let mut sources = file(&toml);
            sources.role = Role::Any;
            let loaded = Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(key.text(&loaded.config), text);
        }
    }
}

#[test]
fn the_sample_file_is_the_table_and_has_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weir.toml");
    if std::env::var_os("WEIR_TEST_BLESS").is_some() {
        std::fs::write(path, sample()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == sample(),
        "weir.toml is not what the table of keys makes: run this test with WEIR_TEST_BLESS=1, or \
         weir check --defaults > weir.toml"
    );
    let loaded = Config::load(&file(&committed)).unwrap();
    assert_eq!(loaded.config, Config::default());

    let is_key = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    let set: Vec<_> = committed
        .lines()
        .map(|line| if is_key(line) { &line[1..] } else { line })
        .collect();
    let loaded = Config::load(&file(&set.join("\n"))).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(loaded.config, Config::default());
    for key in KEYS {
        assert_ne!(
            *loaded.origin_of(&key.full_name()),
            Origin::Default,
            "{key:?}"
        );
    }
    assert!(committed.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn unknown_names_of_a_file_are_errors_with_line_and_suggestion() {
    let text = "\
# a comment
[rtmp]
lisen = \"0.0.0.0:1935\"
gop_cache = false
zzzzzz = 1

[rtpm]
listen = []

[stream.gop]
cache = true
";
    assert_eq!(
        problems(&file(text)),
        [
            "weir.toml:3: unknown key `rtmp.lisen`: did you mean `listen`?",
            "weir.toml:4: unknown key `rtmp.gop_cache`: did you mean `gop_cache` in [stream]?",
            "weir.toml:5: unknown key `rtmp.zzzzzz`",
            "weir.toml:7: unknown section `rtpm`: did you mean `rtmp`?",
            "weir.toml:10: unknown key `stream.gop`",
        ]
    );
    assert_eq!(
        problems(&file("chunk_size = 1\nrtmp = 3\nlisten = []")),
        [
            "weir.toml:1: unknown key `chunk_size`: did you mean `chunk_size` in [rtmp]?",
            "weir.toml:2: `rtmp` is a section: write [rtmp]",
            "weir.toml:3: unknown key `listen`: did you mean `listen` in [rtmp] or `listen` in \
             [http] or `listen` in [api]?",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let found = problems(&file("[rtmp]\nlisten = [\"a\n"));
    assert!(
        found
            .iter()
            .all(|problem| problem.starts_with("weir.toml:")),
        "{found:?}"
    );
    assert!(found[0].starts_with("weir.toml:2: "), "{found:?}");
    let found = problems(&file("[log]\nlevel = \"info\"\nlevel = \"debug\"\n"));
    assert!(
        found[0].starts_with("weir.toml:3: ") && found[0].contains("dupl"),
        "{found:?}"
    );
}

#[test]
fn unknown_variables_and_flags_are_errors_with_a_suggestion() {
    assert_eq!(
        problems(&env(&[
            ("WEIR_RTMP_LISEN", "x"),
            ("WEIR_LOG", "debug"),
            ("WEIR_X", "")
        ])),
        [
            "WEIR_RTMP_LISEN: unknown variable: did you mean `WEIR_RTMP_LISTEN`?",
            "WEIR_LOG: unknown variable: did you mean `WEIR_LOG_LEVEL`?",
            "WEIR_X: unknown variable",
        ]
    );
    assert_eq!(
        problems(&env(&[("WEIR_TOKEN", "x"), ("WEIR_", "x")])),
        [
            "WEIR_TOKEN: unknown variable: did you mean `WEIR_API_TOKEN`?",
            "WEIR_: unknown variable",
        ]
    );
    assert_eq!(
        problems(&flags(&[("stream-gop-cahce", "true")])),
        ["--stream-gop-cahce: unknown flag: did you mean `stream-gop-cache`?"]
    );
}

#[test]
fn variables_that_are_no_settings_are_left_alone() {
    let foreign = [
        ("WEIR_CONFIG", "weir.toml"),
        ("WEIR_TEST_TOOLS", "/usr/bin"),
        ("WEIR_SERVICE_HOST", "10.0.0.1"),
        ("WEIR_SERVICE_PORT", "1935"),
        ("WEIR_SERVICE_PORT_RTMP", "1935"),
        ("WEIR_PORT", "tcp://10.0.0.1:1935"),
        ("WEIR_PORT_1935_TCP", "tcp://10.0.0.1:1935"),
        ("WEIR_PORT_1935_TCP_ADDR", "10.0.0.1"),
        ("WEIR_HTTP_PORT_8080_TCP_PROTO", "tcp"),
        ("PATH", "/bin"),
        ("RTMP_LISTEN", "x"),
    ];
    assert_eq!(
        Config::load(&env(&foreign)).unwrap().config,
        Config::default()
    );
    for key in KEYS {
        // A setting whose name looks like one of those would silently not be applied.
        let variable = key.variable();
        let found = problems(&env(&[(&format!("{variable}_ZZZ"), "1")]));
        assert!(found[0].starts_with(&variable), "{found:?}");
    }
}

#[test]
fn a_variable_of_another_kind_of_process_is_warned_of() {
    let set = [
        ("WEIR_RTMP_CHUNK_SIZE", "4096"),
        ("WEIR_PROXY_ATTEMPTS", "2"),
    ];
    for (role, warned) in [
        (Role::Origin, vec!["WEIR_PROXY_ATTEMPTS"]),
        (Role::Proxy, vec!["WEIR_RTMP_CHUNK_SIZE"]),
        (Role::Any, vec![]),
    ] {
        let mut sources = env(&set);
        sources.role = role;
        let warnings = Config::load(&sources).unwrap().warnings;
        let found: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let expected: Vec<_> = warned
            .into_iter()
            .map(|name| format!("{name}: it sets nothing in this kind of process"))
            .collect();
        assert_eq!(found, expected);
    }
}

/// Sources of a proxy's file.
fn proxy_file(text: &str) -> Sources {
    Sources {
        role: Role::Proxy,
        ..file(text)
    }
}

#[test]
fn listeners_of_a_proxy_are_distinct_and_have_what_they_need() {
    for (text, expected) in [
        (
            "proxy.rtmp_listen = 18080",
            "weir.toml:1: proxy.rtmp_listen: :18080 is also in proxy.http_listen",
        ),
        (
            "proxy.rtmps_listen = 1936",
            "weir.toml:1: proxy.rtmps_listen: needs proxy.tls_certificate and proxy.tls_key",
        ),
        (
            "proxy.tls_key = 'k'",
            "weir.toml:1: proxy.tls_key: proxy.tls_certificate is missing",
        ),
        (
            "proxy.tls_certificate = 'c'",
            "weir.toml:1: proxy.tls_certificate: proxy.tls_key is missing",
        ),
        (
            "cluster.default_backend = 'a:1,b:1'",
            "weir.toml:1: cluster.default_backend: expected one origin by its address",
        ),
        (
            "cluster.default_backend = 'dns://a'",
            "weir.toml:1: cluster.default_backend: expected one origin by its address",
        ),
        (
            "redis.url = 'http://hush@a'",
            "weir.toml:1: redis.url: redis url has no known scheme: redis, redis+sentinel or \
             redis+cluster, or rediss for TLS",
        ),
    ] {
        assert_eq!(problems(&proxy_file(text)), [expected]);
        let mut sources = file(text);
        // an origin has none of these, and a file may be for both
        assert!(Config::load(&sources).is_ok(), "{text}");
        sources.role = Role::Any;
        assert_eq!(problems(&sources), [expected]);
    }
    // the admin API is the origin's
    let text = "api.listen = '0.0.0.0:1985'\nrtmp.listen = '0.0.0.0:8080'";
    assert!(Config::load(&proxy_file(text)).is_ok());
}

#[test]
fn settings_of_a_cluster_that_do_not_fit_are_warned_of() {
    let warnings = |text: &str| {
        let loaded = Config::load(&proxy_file(text)).unwrap();
        let shown = loaded.warnings.iter().map(ToString::to_string);
        shown.collect::<Vec<_>>()
    };
    let shared = "cluster.state = 'redis'\nproxy.routing = 'signed'";
    let found = warnings(shared);
    assert!(found[0].starts_with("weir.toml:2: proxy.routing: proxies that share"));
    assert_eq!(found.len(), 1);
    assert!(warnings(&format!("{shared}\nproxy.routing_secret = 'x'")).is_empty());
    assert!(warnings("cluster.state = 'redis'").is_empty());
    assert!(warnings("proxy.routing = 'signed'").is_empty());
    assert_eq!(
        warnings("[redis]\nurl = 'redis://a'\nhost = 'b'\npassword = 'hush'"),
        [
            "weir.toml:3: redis.host: redis.url is set, and used instead",
            "weir.toml:4: redis.password: redis.url is set, and used instead",
        ]
    );
}

#[test]
fn the_summary_has_every_setting_of_the_role_and_no_secret() {
    let text = "[proxy]\ntoken = 'swordfish'\n[redis]\nurl = 'redis://:swordfish@a'\n\
                password = 'swordfish'\n[api]\ntoken = 'swordfish'\n";
    let loaded = Config::load(&proxy_file(text)).unwrap();
    for role in [Role::Origin, Role::Proxy, Role::Any] {
        let summary = loaded.summary(role);
        for key in KEYS {
            let text = format!("{}={}", key.full_name(), key.shown(&loaded.config));
            assert_eq!(summary.contains(&text), role.uses(key), "{text}");
        }
        assert!(!summary.contains("swordfish") && !summary.contains('\n'));
    }
    assert!(!format!("{loaded:?}{}", loaded.report()).contains("swordfish"));
}

#[test]
fn an_empty_variable_is_not_set() {
    let loaded = Config::load(&env(&[("WEIR_HTTP_LISTEN", "")])).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(*loaded.origin_of("http.listen"), Origin::Default);
}

#[test]
fn lists_come_as_one_text_as_a_list_or_from_several_flags() {
    let two: Vec<SocketAddr> = vec![
        "0.0.0.0:1935".parse().unwrap(),
        "[::]:1935".parse().unwrap(),
    ];
    for sources in [
        file("[rtmp]\nlisten = [\"0.0.0.0:1935\", \"[::]:1935\"]"),
        file("[rtmp]\nlisten = \"0.0.0.0:1935, [::]:1935\""),
        file("rtmp.listen = [\n  '0.0.0.0:1935',\n  '[::]:1935',\n]"),
        env(&[("WEIR_RTMP_LISTEN", "0.0.0.0:1935,[::]:1935")]),
        flags(&[
            ("rtmp-listen", "0.0.0.0:1935"),
            ("rtmp-listen", "[::]:1935"),
        ]),
    ] {
        assert_eq!(Config::load(&sources).unwrap().config.rtmp.listen, two);
    }
    for sources in [
        file("[rtmp]\nlisten = []"),
        env(&[("WEIR_RTMP_LISTEN", "off")]),
        flags(&[("rtmp-listen", "")]),
    ] {
        assert!(
            Config::load(&sources)
                .unwrap()
                .config
                .rtmp
                .listen
                .is_empty()
        );
    }
    let hosts = file("[stream]\nvhosts = [\"A.example.com\", \"a.example.com\"]");
    assert_eq!(
        Config::load(&hosts).unwrap().config.stream.vhosts,
        ["a.example.com"]
    );
}

#[test]
fn each_wrong_value_says_what_was_expected() {
    for (toml, message) in [
        (
            "rtmp.chunk_size = 64",
            "rtmp.chunk_size: 64 is outside 128 to 16777215",
        ),
        (
            "rtmp.chunk_size = -1",
            "rtmp.chunk_size: -1 is outside 128 to 16777215",
        ),
        (
            "rtmp.chunk_size = 1.5",
            "rtmp.chunk_size: expected a whole number, found a float",
        ),
        (
            "rtmp.handshake_timeout = 10",
            "rtmp.handshake_timeout: expected a duration with its unit, as \"350ms\" or \"10s\", \
             found 10",
        ),
        (
            "rtmp.handshake_timeout = '10m'",
            "rtmp.handshake_timeout: 10m is outside 1s to 5m",
        ),
        (
            "rtmp.max_message_size = '1GiB'",
            "rtmp.max_message_size: 1GiB is outside 64KiB to 16777215",
        ),
        (
            "http.max_head_size = '16MB'",
            "http.max_head_size: expected a size such as \"512KiB\" or \"16MiB\", or bytes, found \
             \"16MB\"",
        ),
        (
            "http.publish = 'yes'",
            "http.publish: expected true or false, found \"yes\"",
        ),
        (
            "http.publish = 1",
            "http.publish: expected true or false, found 1",
        ),
        (
            "http.listen = ':8080'",
            "http.listen: `:8080` is not an address: did you mean `0.0.0.0:8080`?",
        ),
        (
            "http.listen = 'localhost:8080'",
            "http.listen: `localhost:8080` is not an address (expected an IP address and a port, \
             as 0.0.0.0:1935 or [::]:1935)",
        ),
        (
            "http.listen = 8080",
            "http.listen: expected an address or a list of addresses, found 8080",
        ),
        (
            "http.listen = [8080]",
            "http.listen: expected an address or a list of addresses, found a list of other \
             things than strings",
        ),
        (
            "http.listen = '[::]:1,[::]:1'",
            "http.listen: [::]:1 is there twice",
        ),
        (
            "http.cors_origin = \"*\\r\\nx: y\"",
            "http.cors_origin: expected \"*\", one origin such as \"https://example.com\", or \
             \"\", found \"*\\r\\nx: y\"",
        ),
        (
            "stream.start = 'next_key'",
            "stream.start: expected cache or next-key or live, found \"next_key\": did you mean \
             `next-key`?",
        ),
        (
            "stream.latency = 'fast'",
            "stream.latency: expected \"adaptive\" or a duration with its unit, as \"350ms\" or \
             \"10s\", found \"fast\"",
        ),
        (
            "stream.latency = '3s'",
            "stream.latency: 3s is outside 0s to 2s",
        ),
        (
            "stream.vhosts = 'http://a'",
            "stream.vhosts: `http://a` is not a host name (no scheme, port or path)",
        ),
        (
            "log.level = 'inof'",
            "log.level: `inof` is no level (off, error, warn, info, debug, trace): did you mean \
             `info`?",
        ),
        ("api.token = 12345", "api.token: expected a string"),
        (
            "api.token = 'open sesame'",
            "api.token: only visible ASCII without spaces can stand in a header",
        ),
        (
            "limits.streams = 99999999999999999999",
            "limits.streams: expected a whole number, found \
          a number that is too large",
        ),
        (
            "limits.sessions = 0",
            "limits.sessions: 0 is outside 1 to 10000000",
        ),
    ] {
        assert_eq!(problems(&file(toml)), [format!("weir.toml:1: {message}")]);
    }
    let found = problems(&env(&[("WEIR_LOG_LEVEL", "info,weir=loud")]));
    assert!(
        found[0].starts_with("WEIR_LOG_LEVEL: `info,weir=loud`: "),
        "{found:?}"
    );
}

#[test]
fn all_problems_of_all_sources_are_told_each_with_its_place() {
    let mut sources = file("[rtmp]\nchunk_size = 1\n\n[limits]\nstreams = 0\n");
    sources.env = pairs(&[("WEIR_RTMP_CHUNK_SIZE", "2")]);
    sources.flags = pairs(&[("rtmp-chunk-size", "3")]);
    assert_eq!(
        problems(&sources),
        [
            "weir.toml:2: rtmp.chunk_size: 1 is outside 128 to 16777215",
            "weir.toml:5: limits.streams: 0 is outside 1 to 1000000",
            "WEIR_RTMP_CHUNK_SIZE: 2 is outside 128 to 16777215",
            "--rtmp-chunk-size: 3 is outside 128 to 16777215",
        ]
    );
    let all = Config::load(&sources).unwrap_err().to_string();
    assert_eq!(all.lines().count(), 4);
}

#[test]
fn an_admin_api_that_others_can_reach_needs_a_token() {
    let message = "0.0.0.0:1985 can be reached from other hosts: set api.token (as the variable \
                   WEIR_API_TOKEN), or listen on a loopback address such as 127.0.0.1:1985";
    assert_eq!(
        problems(&file("[api]\nlisten = \"0.0.0.0:1985\"")),
        [format!("weir.toml:2: api.listen: {message}")]
    );
    assert_eq!(
        problems(&flags(&[("api-listen", "127.0.0.1:1986,0.0.0.0:1985")])),
        [format!("--api-listen: {message}")]
    );
    let mut sources = file("[api]\nlisten = \"0.0.0.0:1985\"");
    sources.env = pairs(&[("WEIR_API_TOKEN", "swordfish")]);
    assert!(
        Config::load(&sources)
            .unwrap()
            .config
            .api
            .token
            .matches("swordfish")
    );
    for loopback in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "off"] {
        assert!(
            Config::load(&flags(&[("api-listen", loopback)])).is_ok(),
            "{loopback}"
        );
    }
}

#[test]
fn one_address_cannot_have_two_listeners() {
    let sources = flags(&[("rtmp-listen", "0.0.0.0:8080")]);
    assert_eq!(
        problems(&sources),
        ["--rtmp-listen: 0.0.0.0:8080 is also in http.listen"]
    );
    let sources = file("[rtmp]\nlisten = \"[::]:1\"\n[http]\nlisten = \"[::]:1\"");
    assert_eq!(
        problems(&sources),
        ["weir.toml:4: http.listen: [::]:1 is also in rtmp.listen"]
    );
    let any_port = flags(&[
        ("rtmp-listen", "127.0.0.1:0"),
        ("http-listen", "127.0.0.1:0"),
    ]);
    let config = Config::load(&any_port).unwrap().config;
    let named: Vec<_> = config
        .listeners()
        .map(|listener| listener.to_string())
        .collect();
    assert_eq!(
        named,
        [
            "rtmp.listen 127.0.0.1:0",
            "http.listen 127.0.0.1:0",
            "api.listen 127.0.0.1:1985"
        ]
    );
}

#[test]
fn segments_parts_and_the_window_fit_into_each_other() {
    let told = |items: &[(&str, &str)]| problems(&flags(items));
    assert_eq!(
        told(&[("hls-segment", "1s"), ("hls-part", "2s")]),
        ["--hls-part: it is longer than hls.segment"]
    );
    assert_eq!(
        told(&[("hls-segment", "4s"), ("hls-longest-segment", "3s")]),
        ["--hls-longest-segment: it is shorter than hls.segment"]
    );
    // the default is at fault here, and the message names both keys
    let all = told(&[("hls-segment", "11s")]);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[1].contains("hls.window: it is shorter than 3 times hls.segment"));
    assert!(Config::load(&flags(&[("hls-segment", "10s")])).is_ok());
    assert!(Config::load(&flags(&[("hls-segment", "2s"), ("hls-window", "6s")])).is_ok());
}

#[test]
fn a_reload_tells_what_changes_and_what_waits_for_a_restart() {
    let old = Config::default();
    let sources = flags(&[
        ("rtmp-listen", "0.0.0.0:1936"),
        ("stream-grace", "30s"),
        ("api-token", "swordfish"),
        ("log-level", "debug"),
    ]);
    let new = Config::load(&sources).unwrap().config;
    let changes: Vec<_> = Config::diff(&old, &new)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        changes,
        [
            "log.level: \"info\" -> \"debug\"",
            "rtmp.listen: [\"0.0.0.0:1935\"] -> [\"0.0.0.0:1936\"] (needs a restart)",
            "api.token: \"\" -> \"***\"",
            "stream.grace: \"10s\" -> \"30s\"",
        ]
    );
    assert!(Config::diff(&new, &new).is_empty());

    let running = old.with_live(&new);
    let left = Config::diff(&running, &new);
    assert!(left.iter().all(|change| !change.key.live), "{left:?}");
    assert_eq!(left.len(), 1);
    assert_eq!(running.stream.grace, Duration::from_secs(30));
    assert_eq!(running.rtmp.listen, old.rtmp.listen);
}

#[test]
fn a_reload_keeps_the_origins_of_what_it_does_not_change() {
    let load = |text: &str| Config::load(&file(text)).unwrap();
    let old = load("[stream]\ngrace = '1s'\n[rtmp]\nchunk_size = 4096\n");
    let new = load("[limits]\nsessions = 7\n");
    let merged = old.with_live(&new);
    assert_eq!(merged.config, old.config.with_live(&new.config));
    // live, and not set any more; not live, and still in force; live, and set now
    assert_eq!(*merged.origin_of("stream.grace"), Origin::Default);
    assert_eq!(
        merged.origin_of("rtmp.chunk_size").to_string(),
        "weir.toml:4"
    );
    assert_eq!(
        merged.origin_of("limits.sessions").to_string(),
        "weir.toml:2"
    );
}

#[test]
fn a_secret_that_changed_is_a_change_that_is_not_shown() {
    let with = |token: &str| Config::load(&flags(&[("api-token", token)])).unwrap();
    let (old, new) = (with("swordfish-1"), with("swordfish-2"));
    let changes = Config::diff(&old.config, &new.config);
    assert_eq!(changes[0].to_string(), "api.token: \"***\" -> \"***\"");
    assert_eq!(new.report(), "api.token = \"***\"  # --api-token\n");
    assert!(!format!("{new:?}").contains("swordfish"));
}

#[test]
fn a_secret_matches_itself_and_an_empty_one_nothing() {
    let secret = Secret::new("swordfish");
    assert!(secret.matches("swordfish"));
    for other in ["", "swordfis", "swordfish ", "Swordfish"] {
        assert!(!secret.matches(other), "{other}");
    }
    assert!(!Secret::default().matches(""));
    assert_eq!(format!("{secret:?} {:?}", Secret::default()), "*** \"\"");
}

#[test]
fn the_report_names_each_source() {
    let mut sources = file("[rtmp]\n\nchunk_size = 4096\n[log]\nlevel = \"warn\"");
    sources.env = pairs(&[("WEIR_STREAM_GRACE", "3s")]);
    sources.flags = pairs(&[("log-level", "debug")]);
    assert_eq!(
        Config::load(&sources).unwrap().report(),
        "log.level = \"debug\"  # --log-level\n\
         rtmp.chunk_size = 4096  # weir.toml:3\n\
         stream.grace = \"3s\"  # WEIR_STREAM_GRACE\n"
    );
}

#[test]
fn a_file_is_read_only_when_it_is_named_and_the_flag_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (
        folder.path().join("one.toml"),
        folder.path().join("two.toml"),
    );
    std::fs::write(&one, "[limits]\nstreams = 1\n").unwrap();
    std::fs::write(&two, "[limits]\nstreams = 2\n").unwrap();
    let variable = vec![(CONFIG_VARIABLE.to_owned(), two.display().to_string())];
    let streams = |named: Option<&std::path::Path>, env: &[(String, String)]| {
        let sources = Sources::read(named, env.to_vec(), Vec::new()).unwrap();
        Config::load(&sources).unwrap().config.limits.streams
    };
    assert_eq!(streams(None, &[]), Config::default().limits.streams);
    assert_eq!(streams(None, &variable), 2);
    assert_eq!(streams(Some(&one), &variable), 1);

    let missing = folder.path().join("missing.toml");
    let found = Sources::read(Some(&missing), variable, Vec::new())
        .err()
        .unwrap()
        .to_string();
    assert!(
        found.starts_with("--config: cannot read ") && found.contains("missing.toml"),
        "{found}"
    );
}

#[test]
fn lines_are_wrapped_at_spaces() {
    assert_eq!(wrap("a bb ccc dddd", 6), ["a bb", "ccc", "dddd"]);
    assert_eq!(wrap("longerthan six", 6), ["longerthan", "six"]);
    assert!(wrap("", 6).is_empty());
}

proptest! {
    #[test]
    fn durations_and_sizes_survive_their_text(millis in 0..=3_600_000u64, bytes in 0..=u64::MAX) {
        let (any, raw) = (0..=u64::MAX, |toml: String| Raw::Text(toml.trim_matches('"').to_owned()));
        let duration = Duration::from_millis(millis);
        let mut read = Duration::MAX;
        read.read(&raw(duration.to_toml()), &any).unwrap();
        prop_assert_eq!(read, duration);
        let size = Size::new(bytes);
        let mut read = Size::new(1);
        read.read(&raw(size.to_toml()), &any).unwrap();
        prop_assert_eq!(read, size);
    }

    #[test]
    fn any_text_is_taken_or_refused_and_never_panics(
        text in any::<String>(),
        item in 0..KEYS.len(),
    ) {
        let _ = Config::load(&file(&text));
        let item = &KEYS[item];
        let name = item.flag();
        if let Ok(loaded) = Config::load(&flags(&[(&name, &text)])) {
            let toml = format!("[{}]\n{} = {}", item.section, item.name, item.text(&loaded.config));
            let again = Config::load(&file(&toml)).unwrap();
            prop_assert_eq!(again.config, loaded.config);
        }
    }
}
