// The log's tail.

import { api, type LogLine } from "../api";
import { h, setText } from "../dom";
import { clock } from "../format";
import { icon } from "../icons";
import { t, word } from "../i18n";
import { matches } from "../order";
import { complain, head, search, type Make } from "../page";
import { Poller } from "../poll";

const LEVELS = ["error", "warn", "info", "debug", "trace"];

/** Lines that are kept here; the server keeps as many. */
const MOST_LINES = 2000;

const EVERY_MS = 1000;

/** Distance from the end, in pixels, that still counts as the end. */
const NEAR = 24;

function view(line: LogLine): HTMLElement {
  const level = line.level.toLowerCase();
  return h(
    "div",
    { class: `line level-${level}` },
    h("time", { class: "num", datetime: new Date(line.at).toISOString() }, clock(line.at)),
    h("span", { class: "level" }, level),
    h("span", { class: "target" }, line.target),
    h("span", { class: "message" }, line.message),
  );
}

export const log: Make = ({ route }) => {
  let lines: { line: LogLine; element: HTMLElement }[] = [];
  let after = 0;
  let isPaused = false;
  const asked = route.query.get("level") ?? "";
  const level = h(
    "select",
    { "aria-label": t("log.level"), "data-testid": "log-level", onchange: () => restart() },
    LEVELS.map((name) => h("option", { value: name, selected: name === (LEVELS.includes(asked) ? asked : "info") }, word("level", name))),
  );
  const filter = search(t("log.filter"), "log-filter", () => draw());
  const follow = h("input", { type: "checkbox", checked: true, "data-testid": "log-follow", onchange: () => toEnd() });
  const pause = h("button", { type: "button", "data-testid": "log-pause", "aria-pressed": "false", onclick: () => hold(!isPaused) });
  const count = h("span", { class: "hint num", "data-testid": "log-count" });
  const note = h("p", { class: "empty", role: "status" }, t("loading"));
  const box = h("div", {
    class: "log",
    role: "log",
    tabindex: 0,
    "aria-label": t("log.lines"),
    "data-testid": "log",
    onscroll: () => {
      follow.checked = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
    },
  });

  const fits = (line: LogLine): boolean => matches(filter.value, line.message, line.target, line.level);
  const toEnd = (): void => {
    if (follow.checked) box.scrollTop = box.scrollHeight;
  };
  const tell = (): void => {
    const shown = lines.filter(({ element }) => !element.hidden).length;
    setText(count, t("log.count", { shown, total: lines.length }));
    note.hidden = shown > 0 && !isPaused;
    setText(note, t(isPaused ? "log.paused" : lines.length === 0 ? "log.empty" : "log.none"));
  };
  const draw = (): void => {
    const wasFollowing = follow.checked;
    for (const { line, element } of lines) element.hidden = !fits(line);
    follow.checked = wasFollowing;
    tell();
    toEnd();
  };
  const hold = (paused: boolean): void => {
    isPaused = paused;
    pause.replaceChildren(icon(paused ? "play" : "stop"), t(paused ? "log.resume" : "log.pause"));
    pause.setAttribute("aria-pressed", String(paused));
    tell();
    if (!paused) poller.now();
  };
  const ask = async (): Promise<void> => {
    if (isPaused) return;
    const chosen = level.value;
    const answer = await api.log(after, chosen);
    if (chosen !== level.value || isPaused) return;
    // a server that began anew counts anew
    if (answer.next < after) return restart();
    after = answer.next;
    const fresh = answer.lines.map((line) => ({ line, element: view(line) }));
    for (const { line, element } of fresh) element.hidden = !fits(line);
    const wasFollowing = follow.checked;
    box.append(...fresh.map(({ element }) => element));
    lines.push(...fresh);
    for (const { element } of lines.splice(0, Math.max(0, lines.length - MOST_LINES))) element.remove();
    follow.checked = wasFollowing;
    tell();
    if (fresh.length > 0) toEnd();
  };
  const restart = (): void => {
    lines = [];
    after = 0;
    box.replaceChildren();
    poller.now();
  };
  const poller = new Poller(ask, EVERY_MS, complain());
  hold(false);

  const element = h(
    "div",
    { class: "fills", "data-testid": "page-log" },
    head(t("log.title"), count, filter),
    h("div", { class: "bar-of-tools" }, h("label", {}, `${t("log.level")} `, level), h("label", { class: "check" }, follow, t("log.follow")), pause),
    h("section", { class: "panel flush fills", "aria-label": t("log.title") }, box, note),
  );
  return { element, title: t("log.title"), stop: () => poller.stop() };
};
