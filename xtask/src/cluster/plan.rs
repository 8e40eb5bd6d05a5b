//! Who is in a cluster, and where.
//!
//! Owns: the options, the ports and the table. Does not: start anybody.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};

/// Names of members begin with these.
pub(super) const PROXY: &str = "proxy";
pub(super) const ORIGIN: &str = "origin";
pub(super) const REDIS: &str = "redis";

/// More of a kind would be no cluster for one machine, and their ports would meet those of another kind.
const MOST: u16 = 50;

/// The Go proxy's ports for RTMP, HTTP, the API and registration: what its users have in their scripts.
const PROXY_PORTS: [u16; 4] = [11_935, 18_080, 11_985, 12_025];

/// Ports of the first origin for RTMP, HTTP and the API; those of an origin alone stay free.
const ORIGIN_PORTS: [u16; 3] = [21_935, 28_080, 21_985];

/// Not Redis's own, which may be taken.
const REDIS_PORT: u16 = 26_379;

/// From a member's ports to those of the next of its kind.
const STEP: u16 = 100;

/// From a member to the next, where `--base-port` says where to begin: room for a member's ports.
const BASE_STEP: u16 = 10;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    origins: u16,
    proxies: u16,
    memory: bool,
    base_port: Option<u16>,
}

/// A cluster.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) proxies: Vec<Proxy>,
    pub(super) origins: Vec<Origin>,
    /// `None` keeps the state in the one proxy's memory.
    pub(super) redis: Option<SocketAddr>,
}

#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) name: String,
    pub(super) rtmp: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) api: SocketAddr,
    pub(super) system: SocketAddr,
}

#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) rtmp: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) api: SocketAddr,
}

impl Options {
    /// Reads the arguments. Fails with the one that makes no sense.
    pub(super) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self {
            origins: 3,
            proxies: 2,
            memory: false,
            base_port: None,
        };
        let mut proxies = None;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut number = || {
                let text = args
                    .next()
                    .with_context(|| format!("{arg} needs a number"))?;
                text.parse()
                    .with_context(|| format!("{arg}: not a number: {text}"))
            };
            match *arg {
                "--origins" => options.origins = number()?,
                "--proxies" => proxies = Some(number()?),
                "--base-port" => options.base_port = Some(number()?),
                "--memory" => options.memory = true,
                _ => bail!("no such option of `cargo xtask cluster`: {arg}"),
            }
        }
        let unless_told = if options.memory { 1 } else { options.proxies };
        options.proxies = proxies.unwrap_or(unless_told);
        for (name, count) in [("origins", options.origins), ("proxies", options.proxies)] {
            ensure!((1..=MOST).contains(&count), "--{name} must be 1 to {MOST}");
        }
        ensure!(
            !options.memory || options.proxies == 1,
            "--memory is for one proxy: several share their state in Redis"
        );
        let room = (options.origins + options.proxies + 1) * BASE_STEP;
        if let Some(base) = options.base_port {
            ensure!(
                base > 0 && base.checked_add(room).is_some(),
                "--base-port {base} leaves no room for {room} ports"
            );
        }
        Ok(options)
    }
}

impl Plan {
    /// The cluster that is asked for.
    pub(super) fn new(options: &Options) -> Self {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        // of the member with this number of all, or of its kind
        let ports = |of_all: u16, of_kind: u16, usual: &[u16]| -> Vec<SocketAddr> {
            let numbers = 0_u16..;
            let port = |(number, usual)| match options.base_port {
                Some(base) => at(base + of_all * BASE_STEP + number),
                None => at(usual + of_kind * STEP),
            };
            numbers.zip(usual.iter().copied()).map(port).collect()
        };
        let proxies = (0..options.proxies).map(|number| {
            let ports = ports(number, number, &PROXY_PORTS);
            Proxy {
                name: format!("{PROXY}-{}", number + 1),
                rtmp: ports[0],
                http: ports[1],
                api: ports[2],
                system: ports[3],
            }
        });
        let origins = (0..options.origins).map(|number| {
            let ports = ports(options.proxies + number, number, &ORIGIN_PORTS);
            Origin {
                name: format!("{ORIGIN}-{}", number + 1),
                rtmp: ports[0],
                http: ports[1],
                api: ports[2],
            }
        });
        let redis = ports(options.proxies + options.origins, 0, &[REDIS_PORT]);
        Self {
            proxies: proxies.collect(),
            origins: origins.collect(),
            redis: (!options.memory).then_some(redis[0]),
        }
    }

    /// Who is where, and what to try. `pid` gives a member's process; `logs` is their folder.
    pub(super) fn table(&self, pid: impl Fn(&str) -> u32, logs: &str, paint: bool) -> String {
        let mut rows = vec![["who", "pid", "RTMP", "HTTP", "lists and metrics"].map(str::to_owned)];
        for Proxy {
            name,
            rtmp,
            http,
            system,
            ..
        } in &self.proxies
        {
            let places = [
                format!("rtmp://{rtmp}"),
                format!("http://{http}"),
                format!("http://{system}"),
            ];
            rows.push(row(name, pid(name), places));
        }
        for Origin {
            name,
            rtmp,
            http,
            api,
        } in &self.origins
        {
            let places = [
                format!("rtmp://{rtmp}"),
                format!("http://{http}"),
                format!("http://{api}"),
            ];
            rows.push(row(name, pid(name), places));
        }
        if let Some(redis) = self.redis {
            let none = String::new;
            rows.push(row(
                REDIS,
                pid(REDIS),
                [format!("redis://{redis}"), none(), none()],
            ));
        }
        let widths: Vec<usize> = (0..5)
            .map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0))
            .collect();
        let mut text = String::from("\n");
        for (number, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            let line = line.join("  ");
            text.push_str(&bold(line.trim_end(), paint && number == 0));
            text.push('\n');
        }
        for (what, how) in self.trials(pid, logs) {
            let what = bold(&format!("\n{what}"), paint && !what.is_empty());
            text.push_str(&format!("{}\n  {how}", what));
        }
        text.push_str("\n\nCtrl-C ends all.\n");
        text
    }

    /// What to try: a heading and a command each.
    fn trials(&self, pid: impl Fn(&str) -> u32, logs: &str) -> Vec<(&'static str, String)> {
        let (Some(first), Some(last)) = (self.proxies.first(), self.proxies.last()) else {
            return Vec::new();
        };
        let victim = self.origins.first().map_or("", |origin| &origin.name);
        vec![
            (
                "publish through the first proxy",
                format!(
                    "ffmpeg -re -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine -c:v libx264 \
                     -tune zerolatency -g 50 -pix_fmt yuv420p -c:a aac -f flv rtmp://{}/live/one",
                    first.rtmp
                ),
            ),
            (
                "play through the last one, by RTMP",
                format!("ffplay -fflags nobuffer rtmp://{}/live/one", last.rtmp),
            ),
            (
                "play by HTTP-FLV",
                format!("ffplay -fflags nobuffer http://{}/live/one.flv", last.http),
            ),
            (
                "list the origins",
                format!("curl http://{}/api/v1/origins", first.system),
            ),
            (
                "list the streams and their origins",
                format!("curl 'http://{}/api/v1/streams?cluster=true'", last.system),
            ),
            (
                "lose an origin, and see where its streams go",
                format!("kill -KILL {}", pid(victim)),
            ),
            ("read the logs", format!("tail -F {logs}/all.log")),
        ]
    }
}

fn row(name: &str, pid: u32, places: [String; 3]) -> [String; 5] {
    let [rtmp, http, lists] = places;
    [name.to_owned(), pid.to_string(), rtmp, http, lists]
}

fn bold(text: &str, paint: bool) -> String {
    if paint {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn addresses(plan: &Plan) -> Vec<SocketAddr> {
        let proxies = plan.proxies.iter();
        let origins = plan.origins.iter();
        proxies
            .flat_map(|proxy| [proxy.rtmp, proxy.http, proxy.api, proxy.system])
            .chain(origins.flat_map(|origin| [origin.rtmp, origin.http, origin.api]))
            .chain(plan.redis)
            .collect()
    }

    fn plan(args: &[&str]) -> Plan {
        Plan::new(&Options::parse(args).unwrap())
    }

    #[test]
    fn the_first_proxy_has_the_ports_of_the_go_proxy() {
        let plan = plan(&[]);
        let first = &plan.proxies[0];
        let ports = [first.rtmp, first.http, first.api, first.system].map(|at| at.port());
        assert_eq!(ports, PROXY_PORTS);
        assert_eq!((plan.proxies.len(), plan.origins.len()), (2, 3));
        assert!(plan.redis.is_some());
    }

    #[test]
    fn no_two_members_meet() {
        for args in [
            &[][..],
            &["--origins", "50", "--proxies", "50"],
            &["--origins", "50", "--proxies", "50", "--base-port", "40000"],
            &["--memory", "--origins", "1"],
        ] {
            let all = addresses(&plan(args));
            let different: HashSet<_> = all.iter().collect();
            assert_eq!(different.len(), all.len(), "{args:?}");
        }
    }

    #[test]
    fn a_base_port_is_where_all_begin() {
        let plan = plan(&["--base-port", "40000", "--origins", "1"]);
        let ports: Vec<u16> = addresses(&plan).iter().map(SocketAddr::port).collect();
        assert_eq!(
            ports,
            [
                40000, 40001, 40002, 40003, 40010, 40011, 40012, 40013, 40020, 40021, 40022, 40030
            ]
        );
    }

    #[test]
    fn options_without_sense_are_named() {
        for (args, said) in [
            (&["--orgins", "1"][..], "--orgins"),
            (&["--origins"], "needs a number"),
            (&["--origins", "x"], "not a number: x"),
            (&["--origins", "0"], "1 to 50"),
            (&["--proxies", "51"], "1 to 50"),
            (&["--memory", "--proxies", "2"], "one proxy"),
            (&["--base-port", "65500"], "no room"),
        ] {
            let error = format!("{:#}", Options::parse(args).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_table_says_what_to_try() {
        let pid = |name: &str| if name == "origin-1" { 4711 } else { 1 };
        let text = plan(&[]).table(pid, "/x", false);
        for part in [
            "proxy-2   1     rtmp://127.0.0.1:12035",
            "-f flv rtmp://127.0.0.1:11935/live/one",
            "ffplay -fflags nobuffer rtmp://127.0.0.1:12035/live/one",
            "http://127.0.0.1:18180/live/one.flv",
            "curl http://127.0.0.1:12025/api/v1/origins",
            "kill -KILL 4711",
            "redis://127.0.0.1:26379",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\x1b'));
        assert!(plan(&[]).table(pid, "/x", true).contains("\x1b[1mwho"));
        assert!(
            !plan(&["--memory"])
                .table(pid, "/x", false)
                .contains("redis")
        );
    }
}
