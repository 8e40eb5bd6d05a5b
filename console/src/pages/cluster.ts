// The cluster as a proxy sees it: origins and what they carry, and where streams are.

import { api, ApiError, type Origin } from "../api";
import { fill, h, setAttribute, setText } from "../dom";
import * as format from "../format";
import { language, t, word } from "../i18n";
import { confirm, note } from "../notice";
import { complain, head, section, type Make } from "../page";
import { link, Poller } from "../poll";
import { Table, textColumn, type Column } from "../table";
import { EVERY_MS, originName as name, proxyStreams } from "./overview";

/** Its sessions, and how many it takes when it says so. */
function sessionsOf({ load, capacity, sessions }: Origin): string {
  const shown = format.count(load?.sessions ?? sessions, language());
  return capacity > 0 ? t("cluster.ofCapacity", { sessions: shown, capacity: format.count(capacity, language()) }) : shown;
}

async function drain(origin: Origin): Promise<void> {
  const on = !origin.draining;
  const shown = { origin: name(origin) };
  if (on && !(await confirm(t("cluster.drainTitle"), t("cluster.drainText", shown), t("cluster.drain")))) return;
  try {
    await api.drain(origin.id, on);
    note(t(on ? "cluster.drained" : "cluster.undrained", shown));
    link.retry();
  } catch (error) {
    if (error instanceof ApiError && error.fault === "token") link.failed(error);
    const message = error instanceof Error ? error.message : String(error);
    note(t("cluster.failed", { ...shown, message }), "bad");
  }
}

/** A bar beside a number; `share` is from 0 to 1, null for none. */
function bar(cell: HTMLElement, text: string, share: number | null): void {
  if (cell.firstChild === null) {
    cell.append(h("span", { class: "num" }), h("span", { class: "bar", "aria-hidden": "true" }, h("span")));
  }
  const [label, box] = [...cell.children];
  if (label !== undefined) setText(label, text);
  if (!(box instanceof HTMLElement)) return;
  box.hidden = share === null;
  const inner = box.firstElementChild;
  if (inner instanceof HTMLElement && share !== null) {
    inner.style.width = `${Math.round(Math.min(1, Math.max(0, share)) * 100)}%`;
    inner.className = share >= 0.9 ? "bad" : share >= 0.7 ? "warn" : "";
  }
}

function columns(): Column<Origin>[] {
  return [
    {
      id: "origin",
      title: t("cluster.origin"),
      show: (cell, origin) => {
        if (cell.firstChild === null) cell.append(h("span", { class: "strong" }), h("span", { class: "under always" }), h("span", { class: "under num" }));
        const [first, under, load] = [...cell.children];
        if (first !== undefined) setText(first, name(origin));
        const ports = Object.entries(origin.endpoints).filter(([, list]) => list.length > 0);
        if (under !== undefined) setText(under, ports.map(([kind, list]) => `${kind} ${list.join(" ")}`).join("  "));
        if (load !== undefined) setText(load, `${t("cluster.sessions")} ${sessionsOf(origin)}`);
      },
    },
    {
      id: "state",
      title: t("cluster.state"),
      show: (cell, origin) => {
        const text = word("state", origin.state);
        if (cell.textContent !== text) fill(cell, h("span", { class: `badge state-${origin.state}` }, text));
      },
    },
    {
      id: "cpu",
      title: t("cluster.cpu"),
      isNumber: true,
      leave: 2,
      show: (cell, { load }) =>
        bar(cell, load === null ? format.NONE : format.joined(format.percent(load.cpu * 100)), load?.cpu ?? null),
    },
    {
      id: "sessions",
      title: t("cluster.sessions"),
      isNumber: true,
      leave: 2,
      show: (cell, origin) => {
        const { load, capacity, sessions } = origin;
        bar(cell, sessionsOf(origin), capacity > 0 ? (load?.sessions ?? sessions) / capacity : null);
      },
    },
    textColumn({ id: "egress", title: t("cluster.egress"), isNumber: true, leave: 2 }, ({ load }) =>
      load === null ? format.NONE : format.joined(format.rate(load.egress_bps / 1000)),
    ),
    textColumn({ id: "probe", title: t("cluster.probe"), isNumber: true, leave: 1 }, ({ probe_ms: probe }) =>
      probe === null ? format.NONE : `${probe.toFixed(1)} ms`,
    ),
    textColumn({ id: "weight", title: t("cluster.weight"), isNumber: true, leave: 1 }, (origin) => String(origin.weight)),
    textColumn({ id: "age", title: t("cluster.age"), isNumber: true, leave: 1 }, (origin) =>
      t("cluster.ago", { span: format.span(origin.age * 1000) }),
    ),
    {
      id: "actions",
      title: t("clients.actions"),
      isNumber: true,
      show: (cell, origin) => {
        const text = t(origin.draining ? "cluster.undrain" : "cluster.drain");
        if (cell.textContent === text) return;
        const button = h("button", { type: "button", class: "small", "data-testid": origin.draining ? "undrain" : "drain", onclick: () => void drain(origin) }, text);
        setAttribute(button, "aria-label", `${text}: ${name(origin)}`);
        fill(cell, button);
      },
    },
  ];
}

export const cluster: Make = () => {
  const table = new Table<Origin>({
    label: t("cluster.origins"),
    testId: "origins",
    columns: columns(),
    key: (origin) => origin.id,
  });
  const how = h("p", { class: "hint", hidden: true }, t("cluster.noOriginsHow"));
  table.update([], t("loading"));
  const poller = new Poller(
    async () => {
      const { origins } = await api.origins();
      table.update(origins, t("cluster.noOrigins"));
      how.hidden = origins.length > 0;
    },
    EVERY_MS,
    complain(),
  );
  const streams = proxyStreams();
  const element = h(
    "div",
    { "data-testid": "page-cluster" },
    head(t("cluster.title")),
    section(t("cluster.origins"), "origins-panel", table.element, how),
    streams.element,
  );
  return {
    element,
    title: t("cluster.title"),
    stop: () => {
      poller.stop();
      streams.poller.stop();
    },
  };
};
