// The overview: how the server is doing, and its streams.

import { api, MOST, type Origin, type ProxyStream, type Stream } from "../api";
import { Sparkline } from "../chart";
import { fill, h, setText } from "../dom";
import * as format from "../format";
import { merge, type Point, type Sample } from "../history";
import { language, t, type Key } from "../i18n";
import { copyButton } from "../notice";
import { compare, matches, type Order, type Sorting, toggled } from "../order";
import { complain, head, search, section, type Make } from "../page";
import { Poller } from "../poll";
import { address } from "../route";
import { Table, textColumn, type Column } from "../table";
import * as urls from "../urls";

/** How often lists are asked for, in milliseconds. */
export const EVERY_MS = 2000;

interface Tile {
  id: string;
  name: Key;
  note?: Key;
  value: (sample: Sample) => number;
  show: (value: number) => format.Quantity;
  /** The number is that of the whole time shown, not the newest one. */
  isSum?: boolean;
}

const plain = (value: number): format.Quantity => ({ value: format.count(value, language()), unit: "" });

const TILES: readonly Tile[] = [
  { id: "streams", name: "tile.streams", value: (sample) => sample.streams, show: plain },
  { id: "publishers", name: "tile.publishers", value: (sample) => sample.publishers, show: plain },
  { id: "viewers", name: "tile.viewers", value: (sample) => sample.viewers, show: plain },
  { id: "in", name: "tile.in", value: (sample) => sample.kbps_in, show: format.rate },
  { id: "out", name: "tile.out", value: (sample) => sample.kbps_out, show: format.rate },
  { id: "cpu", name: "tile.cpu", note: "tile.cpuNote", value: (sample) => sample.cpu_percent, show: format.percent },
  { id: "memory", name: "tile.memory", value: (sample) => sample.rss, show: format.bytes },
  { id: "errors", name: "tile.errors", note: "tile.errorsNote", value: (sample) => sample.errors, show: plain, isSum: true },
];

/** Kept while the console is open, so that coming back to the page shows it whole at once. */
let samples: Sample[] = [];

function tiles(): { element: HTMLElement; update: () => void } {
  const made = TILES.map((tile) => {
    const value = h("span", { class: "value num" }, format.NONE);
    const unit = h("span", { class: "unit" });
    const spark = new Sparkline();
    const name = t(tile.name);
    const element = h(
      "div",
      { class: "tile", "data-testid": `tile-${tile.id}`, title: tile.note === undefined ? null : t(tile.note) },
      h("div", { class: "label" }, name),
      h("div", { class: "reading" }, value, unit),
      spark.element,
    );
    const update = (): void => {
      const points: Point[] = samples.map((sample) => ({ at: sample.at, value: tile.value(sample) }));
      const values = points.map((point) => point.value);
      const sum = values.reduce((a, b) => a + b, 0);
      const now = tile.show(tile.isSum === true ? sum : (values[values.length - 1] ?? 0));
      setText(value, now.value);
      setText(unit, now.unit);
      element.classList.toggle("bad", tile.id === "errors" && sum > 0);
      const max = format.joined(tile.show(Math.max(...values, 0)));
      spark.update(points, t("tile.graph", { name, now: format.joined(now), max }));
    };
    return { element, update };
  });
  const element = h("div", { class: "tiles", "data-testid": "tiles" }, ...made.map((tile) => tile.element));
  return {
    element,
    update: () => {
      for (const tile of made) tile.update();
    },
  };
}

/** Codecs of a stream in a line. */
export function codecs(stream: Stream): string {
  return stream.tracks.filter((track) => track.media !== "data").map((track) => track.codec).filter((codec) => codec !== "").join(" + ");
}

/** The picture's size of a stream. */
export function size(stream: Stream): string {
  const video = stream.tracks.find((track) => track.media === "video");
  const { width = 0, height = 0 } = video ?? {};
  return width > 0 && height > 0 ? `${width}×${height}` : "";
}

export function viewers(stream: Stream): number {
  return Object.values(stream.viewers).reduce((a, b) => a + b, 0);
}

const title = (stream: Stream): string => urls.shown(urls.parse(stream.url));

interface Sortable extends Column<Stream> {
  value: (stream: Stream) => unknown;
}

function streamColumns(): Sortable[] {
  const first: Sortable = {
    id: "name",
    title: t("stream.name"),
    sort: "asc",
    value: title,
    show: (cell, stream) => {
      if (cell.firstChild === null) {
        cell.append(h("a", { class: "strong" }), h("span", { class: "under" }));
      }
      const [link, under] = [...cell.children];
      if (link instanceof HTMLAnchorElement) {
        setText(link, title(stream));
        link.href = address("stream", stream.id);
      }
      const facts = [codecs(stream), size(stream)].filter((fact) => fact !== "").join(", ");
      if (under !== undefined) setText(under, stream.uptime_ms === null ? t("stream.waiting") : facts);
    },
  };
  const column = (
    id: string,
    name: Key,
    order: Order,
    value: (stream: Stream) => unknown,
    text: (stream: Stream) => string,
    leave?: 1 | 2,
  ): Sortable => {
    const base = { id, title: t(name), sort: order, isNumber: order === "desc", ...(leave === undefined ? {} : { leave }) };
    return { ...textColumn<Stream>(base, text), value };
  };
  const or = (text: string): string => (text === "" ? format.NONE : text);
  return [
    first,
    column("codecs", "stream.codecs", "asc", codecs, (stream) => or(codecs(stream)), 1),
    column("size", "stream.size", "asc", size, (stream) => or(size(stream)), 1),
    column("kbps", "stream.kbps", "desc", (stream) => stream.kbps.recv_30s, (stream) => format.joined(format.rate(stream.kbps.recv_30s))),
    column("fps", "stream.fps", "desc", (stream) => stream.frame_rate, (stream) => (stream.frame_rate === null ? format.NONE : format.fps(stream.frame_rate)), 1),
    column("viewers", "stream.viewers", "desc", viewers, (stream) => format.count(viewers(stream), language())),
    column("uptime", "stream.uptime", "desc", (stream) => stream.uptime_ms, (stream) => (stream.uptime_ms === null ? format.NONE : format.span(stream.uptime_ms)), 2),
  ];
}

/** What an empty server shows: how to publish. */
function how(rtmpPort: number | null): HTMLElement {
  const of = { vhost: "", app: "live", name: "x" };
  const box = h("div", { class: "how", "data-testid": "how-to-publish" });
  const command = urls.commands(location, of, { rtmp: rtmpPort, http: false })[0];
  if (command !== undefined) {
    box.append(
      h("p", {}, t("streams.how")),
      h("div", { class: "copyable" }, h("code", {}, command.text), copyButton(() => command.text, command.title)),
    );
  }
  return box;
}

function originStreams(rtmpPort: number | null): { element: HTMLElement; poller: Poller } {
  let all: Stream[] | null = null;
  let total = 0;
  let sorting: Sorting = { by: "name", order: "asc" };
  const columns = streamColumns();
  const table = new Table<Stream>({
    label: t("streams.title"),
    testId: "streams",
    columns,
    key: (stream) => stream.id,
    onSort: (by, first) => {
      sorting = toggled(sorting, by, first);
      draw();
    },
  });
  const help = how(rtmpPort);
  const cut = h("p", { class: "hint", hidden: true });
  const filter = search(t("streams.filter"), "streams-filter", () => draw());
  const draw = (): void => {
    if (all === null) return;
    const value = columns.find((column) => column.id === sorting.by)?.value ?? title;
    const shown = all
      .filter((stream) => matches(filter.value, title(stream), codecs(stream), size(stream)))
      .sort((a, b) => compare(value(a), value(b), sorting.order));
    table.sorted(sorting);
    table.update(shown, t(all.length === 0 ? "streams.empty" : "streams.none"));
    help.hidden = all.length > 0;
    cut.hidden = total <= MOST;
    setText(cut, t("streams.cut", { shown: all.length, total }));
  };
  help.hidden = true;
  table.update([], t("loading"));
  const poller = new Poller(
    async () => {
      const answer = await api.streams();
      all = answer.streams;
      total = answer.total;
      draw();
    },
    EVERY_MS,
    complain(),
  );
  const panel = section(t("streams.title"), "streams-panel", table.element, help, cut);
  panel.querySelector("h2")?.after(filter);
  return { element: panel, poller };
}

/** What an origin is called. */
export function originName(origin: Origin): string {
  return origin.device_id === "" ? origin.host : `${origin.device_id} (${origin.host})`;
}

/** The streams of a proxy: who has them. */
export function proxyStreams(): { element: HTMLElement; poller: Poller } {
  let all: ProxyStream[] | null = null;
  let names = new Map<string, string>();
  // one that is gone has its id only
  const origin = (stream: ProxyStream): string => names.get(stream.origin) ?? stream.origin;
  const number = (id: string, name: Key, value: (stream: ProxyStream) => number, leave?: 1 | 2): Column<ProxyStream> =>
    textColumn({ id, title: t(name), isNumber: true, ...(leave === undefined ? {} : { leave }) }, (stream) =>
      format.count(value(stream), language()),
    );
  const table = new Table<ProxyStream>({
    label: t("cluster.streams"),
    testId: "streams",
    columns: [
      {
        id: "name",
        title: t("stream.name"),
        show: (cell, stream) => {
          const name = urls.shown(urls.parse(stream.stream));
          if (cell.textContent !== name) {
            fill(cell, h("a", { class: "strong", href: address("stream", stream.stream) }, name));
          }
        },
      },
      textColumn({ id: "origin", title: t("stream.origin") }, origin),
      number("publishers", "cluster.publishers", (stream) => stream.publishers, 1),
      number("viewers", "stream.viewers", (stream) => stream.viewers),
      number("sessions", "stream.sessions", (stream) => stream.sessions, 1),
    ],
    key: (stream) => `${stream.stream} ${stream.origin}`,
  });
  const filter = search(t("streams.filter"), "streams-filter", () => draw());
  const draw = (): void => {
    if (all === null) return;
    const shown = all.filter((stream) => matches(filter.value, stream.stream, stream.origin, origin(stream)));
    table.update(shown, t(all.length === 0 ? "cluster.noStreams" : "streams.none"));
  };
  table.update([], t("loading"));
  const poller = new Poller(
    async () => {
      const [{ streams }, { origins }] = await Promise.all([api.proxyStreams(), api.origins()]);
      all = streams;
      names = new Map(origins.map((one) => [one.id, originName(one)]));
      draw();
    },
    EVERY_MS,
    complain(),
  );
  const panel = section(t("cluster.streams"), "streams-panel", table.element);
  panel.querySelector("h2")?.after(filter);
  return { element: panel, poller };
}

export const overview: Make = ({ info }) => {
  const grid = tiles();
  grid.update();
  const history = new Poller(
    async () => {
      samples = merge(samples, (await api.history()).samples);
      grid.update();
    },
    EVERY_MS,
    complain(),
  );
  const streams = info.role === "proxy" ? proxyStreams() : originStreams(info.rtmp_port);
  const element = h(
    "div",
    { "data-testid": "page-overview" },
    head(t("overview.title"), h("span", { class: "hint" }, t("overview.window"))),
    grid.element,
    streams.element,
  );
  return {
    element,
    title: t("overview.title"),
    stop: () => {
      history.stop();
      streams.poller.stop();
    },
  };
};
