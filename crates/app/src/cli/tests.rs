//! What command lines mean, and what help and mistakes look like.
//!
//! Owns: the tests of flags, subcommands, suggestions, help and exit codes. Does not: test what values mean; `config`
//! does.

use super::*;
use crate::config::Config;

fn bench() -> clap::Command {
    clap::Command::new("load")
        .about("Make load")
        .arg(Arg::new("viewers").long("viewers"))
}

fn top() -> clap::Command {
    clap::Command::new("view")
        .about("Show a server live")
        .arg(Arg::new("api").long("api"))
}

fn parsed(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("weir").chain(line.split_whitespace());
    parse(words, bench(), top())
}

fn origin(line: &str) -> Settings {
    match parsed(line) {
        Ok(Command::Origin(settings)) => settings,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    let error = parsed(line).expect_err("a command line that is wrong");
    assert_eq!(error.exit_code(), 2, "{line}");
    error.to_string()
}

fn help(line: &str) -> String {
    let error = parsed(line).expect_err("help");
    assert_eq!(error.exit_code(), 0, "{line}");
    error.to_string()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_definition_is_sound() {
    command(bench(), top()).debug_assert();
}

#[test]
fn without_a_command_it_is_an_origin() {
    assert_eq!(origin(""), Settings::default());
    for line in [
        "-c a.toml --rtmp-listen [::]:1",
        "origin --config a.toml --rtmp-listen=[::]:1",
    ] {
        let settings = origin(line);
        assert_eq!(settings.file, Some(PathBuf::from("a.toml")));
        assert_eq!(settings.flags, [pair("rtmp-listen", "[::]:1")]);
    }
}

#[test]
fn every_key_is_a_flag() {
    for key in KEYS {
        let value = if key.value_name() == "BOOL" {
            "false"
        } else {
            "x"
        };
        let line = format!("--{}={value}", key.flag());
        for (role, command) in [
            (Role::Origin, "origin"),
            (Role::Proxy, "proxy"),
            (Role::Any, "check"),
        ] {
            let settings = match parsed(&format!("{command} {line}")) {
                Ok(Command::Origin(settings) | Command::Proxy(settings)) => settings,
                Ok(Command::Check(check)) => check.settings,
                other => {
                    assert!(!role.uses(key), "{command} {line}: {other:?}");
                    continue;
                }
            };
            assert!(role.uses(key), "{command} {line}");
            assert_eq!(settings.flags, [pair(&key.flag(), value)]);
        }
    }
}

#[test]
fn a_proxy_has_its_own_settings_and_not_the_origins() {
    let Ok(Command::Proxy(settings)) = parsed("proxy -c a.toml --proxy-rtmp-listen 1935") else {
        panic!()
    };
    assert_eq!(settings.file, Some(PathBuf::from("a.toml")));
    assert_eq!(settings.flags, [pair("proxy-rtmp-listen", "1935")]);
    refused("proxy --rtmp-listen [::]:1");
    refused("origin --proxy-rtmp-listen 1935");
    refused("proxy --limits-streams 1");
}

#[test]
fn lists_may_be_given_again_and_switches_without_a_value() {
    let settings = origin("--rtmp-listen 0.0.0.0:1 --rtmp-listen [::]:1 --stream-gop-cache");
    assert_eq!(
        settings.flags,
        [
            pair("rtmp-listen", "0.0.0.0:1"),
            pair("rtmp-listen", "[::]:1"),
            pair("stream-gop-cache", "true")
        ]
    );
    refused("--log-level info --log-level debug");
    refused("--stream-gop-cache=maybe");
}

#[test]
fn what_is_parsed_can_be_loaded() {
    let settings = origin("--stream-grace 3s --http-publish=false");
    let sources = settings
        .sources(vec![pair("WEIR_STREAM_GRACE", "4s")])
        .unwrap();
    let config = Config::load(&sources).unwrap().config;
    assert_eq!(config.stream.grace, Duration::from_secs(3));
    assert!(!config.http.publish);
}

#[test]
fn a_mistyped_flag_or_command_brings_a_suggestion() {
    assert!(refused("--rtmp-lisen x").contains("--rtmp-listen"));
    assert!(refused("orgin").contains("origin"));
}

#[test]
fn check_takes_its_file_either_way_but_not_both() {
    for line in ["check a.toml", "check -c a.toml"] {
        let Ok(Command::Check(check)) = parsed(line) else {
            panic!("{line}")
        };
        assert_eq!(check.settings.file, Some(PathBuf::from("a.toml")));
        assert!(!check.defaults);
    }
    refused("check a.toml -c b.toml");
    for (line, role) in [
        ("check", Role::Any),
        ("check --role origin", Role::Origin),
        ("check --role proxy", Role::Proxy),
    ] {
        let Ok(Command::Check(check)) = parsed(line) else {
            panic!("{line}")
        };
        assert_eq!(check.role, role);
    }
    refused("check --role bench");
    let Ok(Command::Check(check)) = parsed("check --defaults --log-level debug") else {
        panic!()
    };
    assert!(check.defaults);
    assert_eq!(check.settings.flags, [pair("log-level", "debug")]);
}

#[test]
fn relay_takes_two_addresses_and_hides_their_secrets() {
    let line = "relay rtmp://u:hush@a/live/s rtmp://b/live/s?token=hush \
                --retry-max-delay 5s --retry-limit 3 --log-format json";
    let Ok(Command::Relay(relay)) = parsed(line) else {
        panic!("{line}")
    };
    assert_eq!(relay.from.host_str(), Some("a"));
    assert_eq!(relay.to.query(), Some("token=hush"));
    assert_eq!(relay.retry_max_delay, Duration::from_secs(5));
    assert_eq!(relay.connect_timeout, Duration::from_secs(10));
    assert_eq!(relay.retry_limit, 3);
    assert_eq!(relay.settings.flags, [pair("log-format", "json")]);
    assert!(!format!("{relay:?}").contains("hush"));

    refused("relay rtmp://a/live/s");
    assert!(refused("relay rtmp://a/l/s http://b/l/s").contains("expected rtmp://"));
    assert!(refused("relay live/s rtmp://b/l/s").contains("relative URL"));
    refused("relay rtmp:///live/s rtmp://b/l/s");
    refused("relay rtmp://a/l/s rtmp://b/l/s --retry-max-delay 5");
    refused("relay rtmp://a/l/s rtmp://b/l/s --rtmp-listen [::]:1");
}

#[test]
fn top_keeps_its_own_arguments() {
    let Ok(Command::Top(matches)) = parsed("top --api http://h") else {
        panic!("weir top is no command");
    };
    let api = matches.get_one::<String>("api");
    assert_eq!(api.map(String::as_str), Some("http://h"));
}

#[test]
fn bench_keeps_its_own_arguments() {
    let Ok(Command::Bench(matches)) = parsed("bench --viewers 7") else {
        panic!()
    };
    assert_eq!(matches.get_one::<String>("viewers").unwrap(), "7");
}

#[test]
fn help_has_every_key_with_variable_and_default() {
    for (role, command) in [
        (Role::Origin, "origin"),
        (Role::Proxy, "proxy"),
        (Role::Any, "check"),
    ] {
        let text = help(&format!("{command} --help"));
        for key in KEYS {
            let uses = role.uses(key);
            let flag = format!(" --{} ", key.flag());
            let listed = text.contains(&flag) || text.contains(&format!(" --{}[", key.flag()));
            assert_eq!(listed, uses, "{command} {key:?}");
            let variable = format!("[env: {}]", key.variable());
            assert_eq!(text.contains(&variable), uses, "{command} {key:?}");
            let default = key.plain_default_of(role).filter(|_| uses);
            let shown = default.is_none_or(|plain| text.contains(&format!("[default: {plain}]")));
            assert!(shown, "{command} {key:?}");
        }
        for (section, heading) in SECTIONS {
            let uses = KEYS
                .iter()
                .any(|key| key.section == *section && role.uses(key));
            assert_eq!(text.contains(&format!("\n{heading}:\n")), uses, "{heading}");
        }
        let longest = text
            .lines()
            .max_by_key(|line| line.chars().count())
            .unwrap();
        assert!(longest.chars().count() <= 100, "{longest}");
    }
    let text = help("origin --help");
    assert!(text.contains("[env: WEIR_RTMP_LISTEN] [default: 0.0.0.0:1935]"));
    let text = help("proxy --help");
    assert!(text.contains("[env: WEIR_PROXY_RTMP_LISTEN] [default: :11935]"));
    assert!(text.contains("[env: WEIR_SERVER_DRAIN_TIMEOUT] [default: 20s]"));
    assert!(text.contains("PROXY_*"));
    let short = help("--help");
    assert!(short.lines().count() < 30, "{short}");
    assert!(help("--version").starts_with("weir "));
}

#[test]
fn a_secret_on_the_command_line_is_not_in_debug() {
    let settings = origin("--api-token swordfish --log-level debug");
    let debug = format!("{settings:?}");
    assert!(
        !debug.contains("swordfish") && debug.contains("debug"),
        "{debug}"
    );
}

#[test]
fn exit_codes_are_what_the_help_says() {
    for (exit, code) in [(Exit::Success, 0), (Exit::Failure, 1), (Exit::Usage, 2)] {
        assert_eq!(
            format!("{:?}", ExitCode::from(exit)),
            format!("{:?}", ExitCode::from(code))
        );
    }
}
