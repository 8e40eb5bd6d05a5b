// What the made-up server says.

import type { Client, ConfigValue, LogLine, Origin, ProxySession, ProxyStream, Stream } from "../src/api";
import type { Sample } from "../src/history";
import { compare, matches, type Order } from "../src/order";

const begun = Date.now();

/** A number that wanders around `middle`, the same for the same time. */
function wave(at: number, seed: number, middle: number, reach: number): number {
  const s = at / 1000 + seed * 97;
  return middle + reach * (0.6 * Math.sin(s / 17) + 0.3 * Math.sin(s / 5.3) + 0.1 * Math.sin(s * 1.7));
}

const NAMES = ["x", "studio-a", "studio-b", "conference/hall-1", "conference/hall-2", "camera-07", "比赛直播", "radio"];

function streams(): Stream[] {
  const now = Date.now();
  return NAMES.map((name, index) => {
    const isAudio = name === "radio";
    const isWaiting = name === "camera-07";
    const kbps = Math.round(isWaiting ? 0 : isAudio ? 128 : wave(now, index, 2600 + index * 700, 240));
    const viewers = Math.round(wave(now, index + 20, 40 * (8 - index), 12));
    const video = {
      media: "video", codec: index % 3 === 2 ? "H265" : "H264", profile: index % 3 === 2 ? "Main" : "High", level: "4",
      width: 1920, height: 1080, kbps: kbps - 128, frame_rate: index === 1 ? 59.94 : 25,
    };
    const audio = { media: "audio", codec: "AAC", profile: "LC", sample_rate: 48_000, channels: 2, kbps: 128 };
    return {
      id: `vid-${index}`, app: "live", name, url: `/live/${name}`,
      uptime_ms: isWaiting ? null : now - begun + 3_600_000 * (index * index + 1),
      kbps: { recv_30s: kbps, send_30s: kbps * viewers },
      gop_ms: isAudio || isWaiting ? null : 2000, frame_rate: isAudio || isWaiting ? null : Math.round(wave(now, index, 25, 0.4) * 100) / 100,
      viewers: isWaiting ? {} : { rtmp: Math.round(viewers * 0.1), "http-flv": Math.round(viewers * 0.5), hls: Math.round(viewers * 0.3), dash: Math.round(viewers * 0.1) },
      drops: index % 2 === 0 ? { viewer_skipped: 12 + index, time_held: 3 } : {},
      lag_ms: isWaiting ? null : Math.round(Math.abs(wave(now, index, 180, 120))),
      tracks: isWaiting ? [] : isAudio ? [audio] : [video, audio],
      publisher: isWaiting ? null : { id: `cid-${index}`, ip: `192.0.2.${index + 10}`, protocol: "rtmp", agent: "FMLE/3.0 (compatible; Lavf60.3.100)", since: begun - 3_600_000 },
      recv_bytes: 123_456_789 * (index + 1), send_bytes: 9_876_543_210 * (index + 1),
    };
  });
}

function history(): { every_ms: number; samples: Sample[] } {
  const every = 2000;
  const last = Math.floor(Date.now() / every) * every;
  const samples = Array.from({ length: 150 }, (_, index) => {
    const at = last - (149 - index) * every;
    return {
      at, streams: 8, publishers: 7, viewers: Math.round(wave(at, 1, 1180, 90)),
      kbps_in: Math.round(wave(at, 2, 27_400, 900)), kbps_out: Math.round(wave(at, 3, 3_870_000, 240_000)),
      cpu_percent: wave(at, 4, 64, 14), rss: Math.round(wave(at, 5, 412_000_000, 9_000_000)),
      errors: Math.floor(at / every) % 71 === 0 ? 1 : 0,
    };
  });
  return { every_ms: every, samples };
}

const kicked = new Set<string>();

function clients(): Client[] {
  const protocols = ["rtmp", "http-flv", "http-ts", "hls", "dash"];
  const agents = ["VLC/3.0.20 LibVLC/3.0.20", "Lavf/60.16.100", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0", "FMLE/3.0"];
  return Array.from({ length: 437 }, (_, index) => {
    const isPublisher = index < 7;
    const name = NAMES[isPublisher ? index : index % 7] ?? "x";
    return {
      id: `${(index * 7919 + 4711).toString(36)}k${index}`, ip: `198.51.100.${index % 250}`, peer: index % 9 === 0 ? `[2001:db8::${index.toString(16)}]:${40_000 + index}` : `198.51.100.${index % 250}:${40_000 + index}`,
      url: index === 9 ? "" : `/live/${name}`, stream: index === 9 ? null : `vid-${NAMES.indexOf(name)}`,
      protocol: isPublisher ? "rtmp" : (protocols[index % 5] ?? "rtmp"), role: isPublisher ? "publisher" : index === 9 ? "opening" : "player",
      since_ms: begun - index * 61_000, kbps: isPublisher ? { recv_30s: 2600, send_30s: 2 } : { recv_30s: 1, send_30s: 2400 + index },
      send_bytes: 1_234_567 * (index + 1), recv_bytes: 3211 * (index + 1), agent: agents[index % 4] ?? "",
    };
  }).filter((client) => !kicked.has(client.id));
}

function page<T>(items: T[], url: URL): T[] {
  const start = Number(url.searchParams.get("start") ?? 0);
  return items.slice(start, start + Number(url.searchParams.get("count") ?? 10));
}

function clientPage(url: URL): { total: number; clients: Client[] } {
  const asked = (name: string): string => url.searchParams.get(name) ?? "";
  const by = asked("sort");
  const value = (client: Client): unknown =>
    by === "since" ? client.since_ms : by === "kbps" ? client.kbps.recv_30s + client.kbps.send_30s : client[by as "id"];
  const found = clients()
    .filter((client) => matches(asked("search"), client.id, client.peer, client.url, client.protocol, client.agent))
    .sort((a, b) => compare(value(a), value(b), asked("order") as Order));
  return { total: found.length, clients: page(found, url) };
}

const row = (section: string, key: string, value: string, usual: string, help: string, source = "", live = true): ConfigValue => ({
  section, key, value, default: usual, help, source, live,
  origin: source === "" ? "default" : source.endsWith(".toml") ? "file" : source.startsWith("--") ? "flag" : "environment",
});

const CONFIG = [
  row("server", "cores", "0", "0", "threads that serve sessions; 0 is one for each CPU", "", false),
  row("server", "drain_timeout", '"30s"', '"10s"', "how long sessions may go on after the order to stop", "weir.toml"),
  row("rtmp", "listen", '["[::]:1935"]', '["[::]:1935"]', "where RTMP is listened for", "", false),
  row("rtmp", "max_message_size", '"8MiB"', '"8MiB"', "most bytes of a connection's unfinished messages"),
  row("http", "listen", '["0.0.0.0:8080"]', '["[::]:8080"]', "where streams and the console are served", "--http-listen", false),
  row("http", "cors_origins", '["*"]', "[]", "pages of which origins may play", "WEIR_HTTP_CORS_ORIGINS"),
  row("hls", "enabled", "true", "true", "HLS, low-latency HLS and DASH"),
  row("hls", "part_duration", '"200ms"', '"200ms"', "length of a part; what low latency is made of"),
  row("stream", "gop_max_size", '"16MiB"', '"16MiB"', "most bytes of a GOP cache"),
  row("stream", "grace", '"5s"', '"3s"', "how long viewers wait for a publisher that was cut off", "weir.toml"),
  row("api", "token", '"***"', '""', "what API and console ask for", "WEIR_API_TOKEN"),
  row("log", "level", '"info"', '"info"', "which lines are written: error, warn, info, debug, trace"),
];

const LEVELS = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

function log(url: URL): { next: number; lines: LogLine[] } {
  const last = Math.floor((Date.now() - begun) / 700) + 400;
  const after = Number(url.searchParams.get("after") ?? 0);
  const most = LEVELS.indexOf((url.searchParams.get("level") ?? "info").toUpperCase());
  const kinds: [string, string, string][] = [
    ["INFO", "weir_gate_rtmp::connection", "session opened peer=198.51.100.7:40312 role=player stream=live/x"],
    ["INFO", "weir_gate_http::connection", "session closed peer=198.51.100.9:40115 reason=peer_closed sent=18273645 seconds=42"],
    ["DEBUG", "weir_hub::stream", "reader added stream=live/studio-a format=flv core=1"],
    ["WARN", "weir_fanout::group", "viewer lagged and skips to a key frame stream=live/x session=k3f9 behind_ms=4180"],
    ["INFO", "weir_hub::hub", "stream published stream=live/camera-07 codec=H264 width=1920 height=1080"],
    ["ERROR", "weir_gate_rtmp::connection", "session ended by a fault peer=203.0.113.4:50111 side=peer detail=\"chunk of a message that never began\" offset=3217"],
  ];
  const ids = Array.from({ length: Math.max(0, last - Math.max(after, last - 2000)) }, (_, index) => Math.max(after, last - 2000) + index + 1);
  const lines = ids.map((id) => {
    const [level, target, message] = kinds[id % 31 === 0 ? 5 : id % 13 === 0 ? 3 : id % 3] ?? ["INFO", "weir", ""];
    return { id, at: begun + (id - 400) * 700, level, target, message };
  });
  return { next: last, lines: lines.filter((line) => LEVELS.indexOf(line.level) <= most) };
}

const drained = new Set<string>(["o3"]);

function origins(): Origin[] {
  const now = Date.now();
  return ["up", "up", "draining", "suspect", "down"].map((state, index) => {
    const id = `o${index + 1}`;
    const isDrained = drained.has(id);
    return {
      id, host: `10.0.0.${index + 1}`, device_id: `origin-${index + 1}`, draining: isDrained,
      state: state === "up" || state === "draining" ? (isDrained ? "draining" : "up") : state,
      load: state === "down" ? null : { cpu: Math.min(1, Math.max(0, wave(now, index, 0.2 + index * 0.24, 0.05))), egress_bps: Math.round(wave(now, index, 2e9, 3e8)), sessions: 840 + index * 77 },
      capacity: index === 1 ? 0 : 2000, weight: 100, sessions: 120 + index, probe_ms: state === "down" ? null : 0.8 + index, age: 1.5 + (state === "down" ? 64 : 0),
      endpoints: { rtmp: ["1935"], http: ["8080"], api: [], rtc: [], srt: [] },
    };
  });
}

function proxyStreams(): ProxyStream[] {
  return NAMES.slice(0, 6).map((name, index) => ({ stream: `__defaultVhost__/live/${name}`, origin: `o${(index % 3) + 1}`, publishers: 1, viewers: 40 * (6 - index), sessions: 40 * (6 - index) + 1 }));
}

function sessions(): ProxySession[] {
  return clients().slice(0, 120).map((client, index) => ({
    id: client.id, ip: client.ip, peer: client.peer, stream: client.url === "" ? null : `__defaultVhost__${client.url}`, protocol: index % 2 === 0 ? "rtmp" : "http",
    role: client.role === "publisher" ? "publish" : "play", since_ms: client.since_ms, origin: `o${(index % 3) + 1}`, path: "splice", send_bytes: client.send_bytes, recv_bytes: client.recv_bytes,
  }));
}

/** The body of an answer; null for what there is not. */
export function answers(role: "origin" | "proxy", method: string, url: URL): unknown {
  const [first = "", id = "", order = ""] = url.pathname.replace("/api/v1/", "").split("/").map(decodeURIComponent);
  if (method === "DELETE" && first === "clients") return kicked.add(id) && { code: 0 };
  if (first === "origins" && order === "drain") {
    if (method === "POST") drained.add(id);
    else drained.delete(id);
    return { code: 0 };
  }
  const isProxy = role === "proxy";
  switch (first) {
    case "console":
      return { role, version: "0.1.0", http_port: Number(process.env["WEIR_MOCK_PORT"] ?? url.port), rtmp_port: 1935, hls: { part_ms: 200, segment_ms: 2000, enabled: true }, name: isProxy ? "edge-1" : "origin-1" };
    case "history":
      return history();
    case "streams": {
      if (isProxy) return { total: 6, streams: proxyStreams() };
      if (id === "") return { total: NAMES.length, streams: page(streams(), url) };
      const stream = streams().find((one) => one.id === id);
      return stream === undefined ? null : { stream };
    }
    case "clients":
      return isProxy ? null : clientPage(url);
    case "sessions":
      return isProxy ? { total: 120, sessions: sessions() } : null;
    case "origins":
      return isProxy ? { total: 5, origins: origins() } : null;
    case "config":
      return { values: CONFIG };
    case "log":
      return log(url);
    default:
      return null;
  }
}
