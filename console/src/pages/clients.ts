// The clients: who is connected, and a way to send one away. An origin searches, sorts and pages by itself; a proxy gives its
// list, and the same is done here.

import { api, ApiError, type Client, type ProxySession } from "../api";
import { fill, h, setAttribute, setText } from "../dom";
import * as format from "../format";
import { icon } from "../icons";
import { language, t, word } from "../i18n";
import { confirm, note } from "../notice";
import { compare, matches, page, type Order, type Sorting, toggled } from "../order";
import { complain, debounced, head, search, type Make } from "../page";
import { link, Poller } from "../poll";
import { address } from "../route";
import { Table, textColumn, type Column } from "../table";
import * as urls from "../urls";
import { EVERY_MS } from "./overview";

const SIZES = [25, 50, 100, 250];
const SORTS = ["id", "ip", "stream", "protocol", "since", "kbps"];

/** A client of an origin or a session of a proxy. */
interface Row {
  id: string;
  ip: string;
  peer: string;
  /** Where its stream's page is; empty when there is none. */
  link: string;
  stream: string;
  protocol: string;
  role: string;
  since: number;
  kbps: number | null;
  sent: number;
  received: number;
  agent: string;
}

function ofClient(client: Client): Row {
  const { id, ip, peer, protocol, role, agent } = client;
  return {
    id, ip, peer, protocol, role, agent,
    link: client.stream ?? "",
    stream: client.url === "" ? "" : urls.shown(urls.parse(client.url)),
    since: client.since_ms,
    kbps: client.kbps.recv_30s + client.kbps.send_30s,
    sent: client.send_bytes,
    received: client.recv_bytes,
  };
}

function ofSession(session: ProxySession): Row {
  const { id, ip, peer, protocol, role } = session;
  return {
    id, ip, peer, protocol, role,
    link: session.stream ?? "",
    stream: session.stream === null ? "" : urls.shown(urls.parse(session.stream)),
    since: session.since_ms,
    kbps: null,
    sent: session.send_bytes,
    received: session.recv_bytes,
    agent: session.origin ?? "",
  };
}

async function kick(row: Row): Promise<void> {
  const protocol = row.protocol;
  const role = word("clientRole", row.role);
  const stream = row.stream === "" ? t("clients.nobody") : row.stream;
  const text = t("clients.kickText", { peer: row.peer, protocol, role, stream });
  if (!(await confirm(t("clients.kickTitle"), text, t("clients.kick")))) return;
  try {
    await api.kick(row.id);
    note(t("clients.kicked", { peer: row.peer }));
    link.retry();
  } catch (error) {
    const message = error instanceof ApiError ? error.message : String(error);
    if (error instanceof ApiError && error.fault === "token") link.failed(error);
    note(t("clients.kickFailed", { peer: row.peer, message }), "bad");
  }
}

function columns(isProxy: boolean): Column<Row>[] {
  const sort = (order: Order): { sort: Order } => ({ sort: order });
  const list: Column<Row>[] = [
    textColumn({ id: "id", title: t("clients.id"), leave: 0, ...sort("asc") }, (row) => row.id),
    {
      id: "ip",
      title: t("clients.address"),
      ...sort("asc"),
      show: (cell, row) => {
        if (cell.firstChild === null) cell.append(h("span", { class: "strong" }), h("span", { class: "under" }));
        const [peer, under] = [...cell.children];
        if (peer !== undefined) setText(peer, row.peer);
        const role = word("clientRole", row.role);
        if (under !== undefined) setText(under, `${row.protocol}, ${role}${row.stream === "" ? "" : `, ${row.stream}`}`);
      },
    },
    {
      id: "stream",
      title: t("clients.stream"),
      leave: 2,
      ...sort("asc"),
      show: (cell, row) => {
        const text = row.stream === "" ? format.NONE : row.stream;
        if (cell.textContent === text) return;
        fill(cell, row.link === "" ? text : h("a", { href: address("stream", row.link) }, text));
      },
    },
    textColumn({ id: "protocol", title: t("clients.protocol"), leave: 2, ...sort("asc") }, (row) => row.protocol),
    {
      id: "role",
      title: t("clients.role"),
      leave: 2,
      show: (cell, row) => {
        const text = word("clientRole", row.role);
        if (cell.textContent !== text) fill(cell, h("span", { class: `badge role-${row.role}` }, text));
      },
    },
    textColumn({ id: "since", title: t("clients.since"), isNumber: true, leave: 2, ...sort("desc") }, (row) =>
      format.span(Date.now() - row.since),
    ),
  ];
  if (!isProxy) {
    list.push(
      textColumn({ id: "kbps", title: t("clients.kbps"), isNumber: true, ...sort("desc") }, (row) =>
        format.joined(format.rate(row.kbps ?? 0)),
      ),
    );
  }
  const bytes = (count: number): string => format.joined(format.bytes(count));
  list.push(
    textColumn({ id: "bytes", title: t("clients.bytes"), isNumber: true, leave: 0 }, (row) => `${bytes(row.sent)} / ${bytes(row.received)}`),
    {
      id: "agent",
      title: t(isProxy ? "clients.origin" : "clients.agent"),
      leave: 1,
      show: (cell, row) => {
        if (cell.firstChild === null) cell.append(h("span", { class: "cut" }));
        const text = cell.firstElementChild;
        if (text === null) return;
        setText(text, row.agent === "" ? format.NONE : row.agent);
        setAttribute(text, "title", row.agent);
      },
    },
  );
  if (!isProxy) list.push(kickColumn());
  return list;
}

function kickColumn(): Column<Row> {
  return {
    id: "actions",
    title: t("clients.actions"),
    isNumber: true,
    show: (cell, row) => {
      if (cell.firstChild !== null) return;
      const button = h("button", { type: "button", class: "small", "data-testid": "kick", onclick: () => void kick(row) }, t("clients.kick"));
      setAttribute(button, "aria-label", `${t("clients.kick")}: ${row.peer}`);
      cell.append(button);
    },
  };
}

/** A page of a proxy's list, made here. */
function local(rows: Row[], text: string, sorting: Sorting, start: number, size: number): { total: number; rows: Row[] } {
  const value = (row: Row): unknown => ({ ...row })[sorting.by as keyof Row];
  const found = rows
    .filter((row) => matches(text, row.id, row.peer, row.stream, row.protocol, row.agent))
    .sort((a, b) => compare(value(a), value(b), sorting.order));
  return { total: found.length, rows: found.slice(start, start + size) };
}

export const clients: Make = ({ info, route }) => {
  const isProxy = info.role === "proxy";
  const asked = (name: string, among: readonly string[], other: string): string => {
    const value = route.query.get(name) ?? "";
    return among.includes(value) ? value : other;
  };
  let text = route.query.get("search") ?? "";
  let sorting: Sorting = { by: asked("sort", SORTS, "since"), order: asked("order", ["asc", "desc"], "desc") as Order };
  let start = Math.max(0, Math.floor(Number(route.query.get("start") ?? 0)) || 0);
  let size = Number(asked("count", SIZES.map(String), "50"));

  const table = new Table<Row>({
    label: t("clients.title"),
    testId: "clients",
    columns: columns(isProxy),
    key: (row) => row.id,
    onSort: (by, first) => {
      sorting = toggled(sorting, by, first);
      turn(0);
    },
  });
  const range = h("span", { class: "num", role: "status", "data-testid": "clients-range" });
  const button = (name: "back" | "next", label: string, to: () => number | null): HTMLButtonElement =>
    h("button", { type: "button", class: "ghost", "aria-label": label, title: label, "data-testid": `clients-${name}`, onclick: () => turn(to() ?? start) }, icon(name));
  let around = page(0, size, 0);
  const previous = button("back", t("clients.previous"), () => around.previous);
  const next = button("next", t("clients.next"), () => around.next);
  const sizes = h(
    "select",
    {
      "aria-label": t("clients.size"),
      "data-testid": "clients-size",
      onchange: () => {
        size = Number(sizes.value);
        turn(0);
      },
    },
    SIZES.map((rows) => h("option", { value: rows, selected: rows === size }, format.count(rows, language()))),
  );
  const searched = debounced((value: string) => {
    text = value.trim();
    turn(0);
  }, 250);
  const field = search(t("clients.search"), "clients-search", searched, text);

  const ask = async (): Promise<void> => {
    const [from, query] = [start, { start, count: size, search: text, sort: sorting.by, order: sorting.order }];
    let answer: { total: number; rows: Row[] };
    if (isProxy) answer = local((await api.sessions()).sessions.map(ofSession), text, sorting, start, size);
    else {
      const { total, clients } = await api.clients(query);
      answer = { total, rows: clients.map(ofClient) };
    }
    if (from !== start) return;
    // those on the last page may have left
    if (answer.rows.length === 0 && start > 0 && answer.total <= start) return turn(Math.max(0, Math.floor((answer.total - 1) / size) * size));
    table.update(answer.rows, t(text === "" ? "clients.empty" : "clients.none"));
    around = page(start, size, answer.total);
    const { from: first, to } = around;
    setText(range, t("clients.range", { from: format.count(first, language()), to: format.count(to, language()), total: format.count(answer.total, language()) }));
    previous.disabled = around.previous === null;
    next.disabled = around.next === null;
  };
  table.update([], t("loading"));
  table.sorted(sorting);
  const poller = new Poller(ask, EVERY_MS, complain());

  function turn(to: number): void {
    start = to;
    table.sorted(sorting);
    const query = { search: text, sort: sorting.by, order: sorting.order, start: start === 0 ? "" : String(start), count: size === 50 ? "" : String(size) };
    window.history.replaceState(null, "", address("clients", "", query));
    poller.now();
  }

  const element = h(
    "div",
    { "data-testid": "page-clients" },
    head(t("clients.title"), field),
    h("section", { class: "panel flush", "aria-label": t("clients.title") }, table.element, h("div", { class: "pager" }, h("label", {}, `${t("clients.size")} `, sizes), range, previous, next)),
  );
  return { element, title: t("clients.title"), stop: () => poller.stop() };
};
