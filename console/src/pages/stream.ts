// One stream: what it is made of, how it fares, and a player.

import { api, ApiError, type Stream, type Track } from "../api";
import { Graph } from "../chart";
import { fill, h, setText } from "../dom";
import * as format from "../format";
import { merge } from "../history";
import { icon } from "../icons";
import { language, t, word, type Key } from "../i18n";
import { copyButton } from "../notice";
import { sorted } from "../order";
import { complain, head, section, type Context, type Make, type Page } from "../page";
import { player } from "../player";
import { Poller } from "../poll";
import { address } from "../route";
import * as urls from "../urls";
import { EVERY_MS, viewers } from "./overview";

interface Sample {
  at: number;
  in: number;
  out: number;
  fps: number;
  viewers: number;
  lag: number;
}

/** Streams whose samples are kept while other pages are shown. */
const MOST_KEPT = 20;

const kept = new Map<string, Sample[]>();

function remember(id: string, sample: Sample): Sample[] {
  const samples = merge(kept.get(id) ?? [], [sample]);
  kept.delete(id);
  kept.set(id, samples);
  for (const oldest of [...kept.keys()].slice(0, Math.max(0, kept.size - MOST_KEPT))) kept.delete(oldest);
  return samples;
}

/** Names and values in two columns, whose values change. */
function facts(testId: string, names: readonly [string, Key][]): { element: HTMLElement; set: (id: string, value: string) => void } {
  const values = new Map<string, HTMLElement>();
  const rows = names.map(([id, name]) => {
    const value = h("dd", { class: "num", "data-testid": `fact-${id}` }, format.NONE);
    values.set(id, value);
    return h("div", {}, h("dt", {}, t(name)), value);
  });
  const set = (id: string, value: string): void => {
    const element = values.get(id);
    if (element !== undefined) setText(element, value === "" ? format.NONE : value);
  };
  return { element: h("dl", { class: "facts", "data-testid": testId }, rows), set };
}

/** Numbers by name, the largest first, each with its share as a bar. */
function counts(box: HTMLElement, numbers: Record<string, number>, group: string, none: string): void {
  const entries = Object.entries(numbers).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  const state = JSON.stringify(entries);
  if (box.dataset["state"] === state) return;
  box.dataset["state"] = state;
  const most = Math.max(...entries.map(([, count]) => count), 1);
  if (entries.length === 0) return fill(box, h("p", { class: "soft" }, none));
  const rows = entries.map(([name, count]) => {
    const inner = h("span");
    inner.style.width = `${(count / most) * 100}%`;
    return h("li", {}, h("span", {}, word(group, name)), h("span", { class: "bar", "aria-hidden": "true" }, inner), h("span", { class: "num" }, format.count(count, language())));
  });
  fill(box, h("ul", { class: "counts" }, rows));
}

function trackRow(track: Track): HTMLElement {
  const { width = 0, height = 0, sample_rate: hz = 0, channels = 0, kbps, frame_rate: fps } = track;
  const form = [
    width > 0 ? `${width}×${height}` : "",
    typeof fps === "number" && track.media === "video" ? `${format.fps(fps)}\u00a0fps` : "",
    hz > 0 ? `${format.fps(hz / 1000)} kHz` : "",
    channels > 0 ? t("stream.channels", { count: channels }) : "",
  ].filter((part) => part !== "");
  const profile = [track.profile ?? "", track.level ?? ""].filter((part) => part !== "").join("@");
  return h(
    "tr",
    { "data-testid": `track-${track.media}` },
    h("td", {}, word("media", track.media)),
    h("td", { class: "strong" }, track.codec === "" ? format.NONE : track.codec, profile !== "" && h("span", { class: "under always" }, profile)),
    h("td", {}, form.length === 0 ? format.NONE : form.join(", ")),
    h("td", { class: "num" }, kbps === undefined ? format.NONE : format.joined(format.rate(kbps))),
  );
}

function tracks(): { element: HTMLElement; update: (list: readonly Track[]) => void } {
  const body = h("tbody");
  const none = h("p", { class: "soft" }, t("stream.noTracks"));
  const heads = [t("stream.track"), t("stream.codec"), t("stream.format")].map((title) => h("th", { scope: "col" }, title));
  const table = h("table", { "aria-label": t("stream.tracks") }, h("thead", {}, h("tr", {}, heads, h("th", { scope: "col", class: "num" }, t("stream.kbps")))), body);
  return {
    element: h("div", { class: "table", "data-testid": "tracks" }, table, none),
    update: (list) => {
      table.hidden = list.length === 0;
      none.hidden = list.length > 0;
      const place = ({ media }: Track): number => (media === "video" ? 0 : media === "audio" ? 1 : 2);
      fill(body, sorted(list, place, "asc").map(trackRow));
    },
  };
}

/** Addresses and commands for other programs. */
function elsewhere(of: urls.StreamName, { info, place }: Context): HTMLElement {
  const item = (id: string, title: string, text: string): HTMLElement =>
    h("li", { "data-testid": `use-${id}` }, h("span", { class: "use-title" }, title), h("div", { class: "copyable" }, h("code", { tabindex: 0 }, text), copyButton(() => text, title)));
  const hasHttp = info.http_port !== null;
  const files = [...(info.hls.enabled ? [["HLS", ".m3u8"]] : []), ...(info.dash === false ? [] : [["DASH", ".mpd"]])];
  const list = hasHttp ? [["HTTP-FLV", ".flv"], ["HTTP-TS", ".ts"], ...files] : [];
  const addresses = list.map(([kind = "", suffix = ""]) => item(`url${suffix}`, t("use.url", { kind }), urls.stream(place, of, suffix)));
  const commands = urls
    .commands(place, of, { rtmp: info.rtmp_port, http: hasHttp })
    .map((command) => item(command.id, word("use", command.id), command.text));
  const rtmp =
    info.rtmp_port === null
      ? []
      : [
          item("rtmp", t("use.url", { kind: "RTMP" }), urls.rtmp(place, info.rtmp_port, of)),
          item("obs-server", t("use.obsServer"), urls.rtmpServer(place, info.rtmp_port, of)),
          item("obs-key", t("use.obsKey"), of.name),
        ];
  return section(t("stream.use"), "use", h("ul", { class: "uses" }, rtmp, addresses, commands));
}

function back(): HTMLElement {
  return h("a", { class: "back", href: address("overview"), "aria-label": t("action.back"), title: t("action.back") }, icon("back"));
}

function graphs(): { element: HTMLElement; update: (samples: readonly Sample[]) => void } {
  const kbps = (value: number): string => format.joined(format.rate(value));
  const whole = (value: number): string => format.count(value, language());
  const list = [
    { of: "in", graph: new Graph(t("stream.bitrateIn"), kbps, "graph-in") },
    { of: "out", graph: new Graph(t("stream.bitrateOut"), kbps, "graph-out") },
    { of: "fps", graph: new Graph(t("stream.frameRate"), (value) => `${format.fps(value)} fps`, "graph-fps") },
    { of: "viewers", graph: new Graph(t("stream.viewers"), whole, "graph-viewers", 2) },
    { of: "lag", graph: new Graph(t("stream.lag"), (value) => format.joined(format.moment(value)), "graph-lag", 100) },
  ] as const;
  return {
    element: h("div", { class: "graphs", "data-testid": "graphs" }, ...list.map(({ graph }) => graph.element)),
    update: (samples) => {
      for (const { of, graph } of list) graph.update(samples.map((sample) => ({ at: sample.at, value: sample[of] })));
    },
  };
}

function publisher(): { element: HTMLElement; update: (stream: Stream) => void } {
  const list = facts("publisher", [
    ["publisher-ip", "stream.address"],
    ["publisher-protocol", "stream.protocol"],
    ["publisher-agent", "stream.agent"],
    ["publisher-since", "stream.since"],
  ]);
  const none = h("p", { class: "soft" }, t("stream.noPublisher"));
  return {
    element: section(t("stream.publisher"), "publisher-panel", list.element, none),
    update: ({ publisher: of }) => {
      list.element.hidden = of === null;
      none.hidden = of !== null;
      list.set("publisher-ip", of?.ip ?? "");
      list.set("publisher-protocol", of?.protocol ?? "");
      list.set("publisher-agent", of?.agent ?? "");
      list.set("publisher-since", of === null ? "" : format.date(of.since, language()));
    },
  };
}

function onOrigin(id: string, context: Context): Page {
  const { info, place } = context;
  const title = h("h1", { tabindex: "-1" }, t("loading"));
  const badge = h("span", { class: "badge", hidden: true, "data-testid": "stream-state" });
  const gone = h("p", { class: "gone", role: "status", hidden: true, "data-testid": "stream-gone" }, t("stream.gone"));
  const content = h("div", { class: "stream" });
  const element = h("div", { "data-testid": "page-stream" }, h("div", { class: "head" }, back(), title, badge), gone, content);
  let part: ReturnType<typeof player> | null = null;
  let last: Stream | null = null;

  const numbers = facts("numbers", [
    ["in", "stream.bitrateIn"],
    ["out", "stream.bitrateOut"],
    ["fps", "stream.frameRate"],
    ["gop", "stream.gop"],
    ["lag", "stream.lag"],
    ["viewers", "stream.viewers"],
    ["uptime", "stream.uptime"],
    ["received", "stream.received"],
    ["sent", "stream.sent"],
  ]);
  const trackList = tracks();
  const byProtocol = h("div", { "data-testid": "viewers-by-protocol" });
  const drops = h("div", { "data-testid": "drops" });
  const who = publisher();
  const lines = graphs();

  const build = (stream: Stream): void => {
    const of = urls.parse(stream.url);
    setText(title, urls.shown(of));
    document.title = `${urls.shown(of)} – Weir`;
    part = player({
      of,
      info,
      place,
      media: () => {
        const has = (media: string): boolean => last === null || last.tracks.length === 0 || last.tracks.some((track) => track.media === media);
        return { hasVideo: has("video"), hasAudio: has("audio") };
      },
    });
    const side = h(
      "div",
      { class: "side" },
      section(t("stream.tracks"), "tracks-panel", trackList.element),
      section(t("stream.numbers"), "numbers-panel", numbers.element),
      who.element,
    );
    fill(
      content,
      h(
        "div",
        { class: "main" },
        part.element,
        h("div", { class: "pair" }, section(t("stream.byProtocol"), "viewers-panel", byProtocol), section(t("stream.drops"), "drops-panel", drops)),
      ),
      side,
      section(t("stream.graphs"), "graphs-panel", lines.element),
      elsewhere(of, context),
    );
  };

  const update = (stream: Stream): void => {
    if (last === null) build(stream);
    last = stream;
    const isLive = stream.uptime_ms !== null;
    badge.hidden = false;
    badge.className = isLive ? "badge state-up" : "badge state-suspect";
    setText(badge, t(isLive ? "stream.live" : "stream.waiting"));
    const kbps = (value: number): string => format.joined(format.rate(value));
    const time = (value: number | null): string => (value === null ? "" : format.joined(format.moment(value)));
    numbers.set("in", kbps(stream.kbps.recv_30s));
    numbers.set("out", kbps(stream.kbps.send_30s));
    numbers.set("fps", stream.frame_rate === null ? "" : `${format.fps(stream.frame_rate)} fps`);
    numbers.set("gop", time(stream.gop_ms));
    numbers.set("lag", time(stream.lag_ms));
    numbers.set("viewers", format.count(viewers(stream), language()));
    numbers.set("uptime", isLive ? format.span(stream.uptime_ms ?? 0) : "");
    numbers.set("received", format.joined(format.bytes(stream.recv_bytes)));
    numbers.set("sent", format.joined(format.bytes(stream.send_bytes)));
    trackList.update(stream.tracks);
    counts(byProtocol, stream.viewers, "protocol", t("stream.noViewers"));
    counts(drops, stream.drops, "drop", t("stream.noDrops"));
    who.update(stream);
    const sample = {
      at: Date.now(),
      in: stream.kbps.recv_30s,
      out: stream.kbps.send_30s,
      fps: stream.frame_rate ?? 0,
      viewers: viewers(stream),
      lag: stream.lag_ms ?? 0,
    };
    lines.update(remember(id, sample));
  };

  const poller = new Poller(
    async () => {
      try {
        update(await api.stream(id));
        gone.hidden = true;
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 404) throw error;
        gone.hidden = false;
        badge.hidden = true;
        if (last === null) setText(title, t("stream.name"));
      }
    },
    EVERY_MS,
    complain(),
  );
  return {
    element,
    title: t("stream.name"),
    stop: () => {
      poller.stop();
      part?.stop();
    },
    key: (key) => part?.key(key) ?? false,
  };
}

function onProxy(key: string, context: Context): Page {
  const { info, place } = context;
  const of = urls.parse(key);
  const part = player({
    of,
    info,
    place,
    media: () => ({ hasVideo: true, hasAudio: true }),
  });
  const numbers = facts("numbers", [
    ["origin", "stream.origin"],
    ["publishers", "cluster.publishers"],
    ["viewers", "stream.viewers"],
    ["sessions", "stream.sessions"],
  ]);
  const gone = h("p", { class: "gone", role: "status", hidden: true, "data-testid": "stream-gone" }, t("stream.gone"));
  const poller = new Poller(
    async () => {
      const rows = (await api.proxyStreams()).streams.filter((stream) => stream.stream === key);
      gone.hidden = rows.length > 0;
      const sum = (value: (row: (typeof rows)[number]) => number): string => format.count(rows.map(value).reduce((a, b) => a + b, 0), language());
      numbers.set("origin", rows.map((row) => row.origin).join(", "));
      numbers.set("publishers", sum((row) => row.publishers));
      numbers.set("viewers", sum((row) => row.viewers));
      numbers.set("sessions", sum((row) => row.sessions));
    },
    EVERY_MS,
    complain(),
  );
  const element = h(
    "div",
    { "data-testid": "page-stream" },
    h("div", { class: "head" }, back(), h("h1", { tabindex: "-1" }, urls.shown(of))),
    gone,
    h(
      "div",
      { class: "stream" },
      h("div", { class: "main" }, part.element),
      h("div", { class: "side" }, section(t("stream.numbers"), "numbers-panel", numbers.element, h("p", { class: "soft" }, t("stream.proxyNote")))),
      elsewhere(of, context),
    ),
  );
  return {
    element,
    title: urls.shown(of),
    stop: () => {
      poller.stop();
      part.stop();
    },
    key: part.key,
  };
}

export const stream: Make = (context) => {
  const { info, route } = context;
  return info.role === "proxy" ? onProxy(route.rest, context) : onOrigin(route.rest, context);
};

/** A page for an address that names none. */
export const missing: Make = () => ({
  element: h("div", { "data-testid": "page-missing" }, head(t("missing.title")), h("p", {}, t("missing.text"))),
  title: t("missing.title"),
  stop: () => undefined,
});
