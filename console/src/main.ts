// The shell: navigation, state of the connection, shortcuts, and the page that the address names.

import { api, ApiError, servesStreams, token, type Console } from "./api";
import { fill, h, setText } from "./dom";
import { icon, mark, type Icon } from "./icons";
import * as i18n from "./i18n";
import { t, type Key } from "./i18n";
import { login } from "./login";
import { notes } from "./notice";
import type { Make, Page } from "./page";
import { clients } from "./pages/clients";
import { cluster } from "./pages/cluster";
import { config } from "./pages/config";
import { log } from "./pages/log";
import { overview } from "./pages/overview";
import { missing, stream } from "./pages/stream";
import { link, Poller, type Health } from "./poll";
import { address, parse } from "./route";
import * as theme from "./theme";
import { isOn, moved, type Place } from "./urls";

const PAGES: Record<string, Make> = { overview, stream, clients, cluster, config, log };

interface Link {
  page: string;
  name: Key;
  icon: Icon;
  /** The key behind `g`. */
  key: string;
}

const LINKS: readonly Link[] = [
  { page: "overview", name: "nav.overview", icon: "overview", key: "o" },
  { page: "clients", name: "nav.clients", icon: "clients", key: "c" },
  { page: "cluster", name: "nav.cluster", icon: "cluster", key: "u" },
  { page: "config", name: "nav.config", icon: "config", key: "s" },
  { page: "log", name: "nav.log", icon: "log", key: "l" },
];

/** How often the server is asked who it is, in milliseconds: enough to see that it is away on pages that ask rarely. */
const INFO_EVERY_MS = 10_000;

/** How long `g` waits for its second key. */
const CHORD_MS = 1200;

const root = document.getElementById("app") ?? document.body.appendChild(h("div"));
let info: Console | null = null;
let place: Place = location;
let shown: Page | null = null;
let main: HTMLElement | null = null;
let isAsking = false;

const links = (): readonly Link[] => LINKS.filter((one) => one.page !== "cluster" || info?.role === "proxy");

function choices<T extends string>(
  label: string,
  testId: string,
  list: readonly (readonly [T, string])[],
  chosen: T,
  choose: (value: T) => void,
): HTMLElement {
  const select = h(
    "select",
    { "aria-label": label, title: label, "data-testid": testId, onchange: () => choose(select.value as T) },
    list.map(([value, name]) => h("option", { value, selected: value === chosen }, name)),
  );
  return select;
}

function banner(): HTMLElement {
  const seconds = h("span", { class: "num" });
  const element = h(
    "div",
    { class: "banner", role: "alert", hidden: true, "data-testid": "banner" },
    icon("warn"),
    h("span", {}, t("link.banner")),
    seconds,
    h("button", { type: "button", "data-testid": "retry", onclick: () => link.retry() }, t("link.now")),
  );
  tick = () => {
    const { retryAt } = link.health;
    element.hidden = retryAt === null;
    if (retryAt !== null) setText(seconds, t("link.retry", { seconds: Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)) }));
  };
  return element;
}

let tick: () => void = () => undefined;
let dot: (health: Health) => void = () => undefined;

function state(): HTMLElement {
  const element = h("span", { class: "link", role: "status", "data-testid": "link" });
  dot = (health) => {
    const name = health.token !== null ? "token" : health.failures > 0 ? "away" : "ok";
    element.dataset["state"] = name;
    setText(element, t(`link.${name}`));
  };
  dot(link.health);
  return element;
}

/** Everything around the page, made anew when the language changes. */
function shell(): void {
  const own = info;
  const languages = Object.entries(i18n.LANGUAGES).map(([id, { name }]) => [id as i18n.Language, name] as const);
  const themes = theme.THEMES.map((one) => [one, t(`theme.${one}`)] as const);
  main = h("main", { id: "content", tabindex: "-1" });
  const navigation = h(
    "nav",
    { "aria-label": t("nav.label"), "data-testid": "nav" },
    links().map((one) => h("a", { href: address(one.page), "data-page": one.page, "data-testid": `nav-${one.page}` }, icon(one.icon), h("span", {}, t(one.name)))),
  );
  const forget = h(
    "button",
    { type: "button", class: "ghost", hidden: token.get() === "", title: t("login.logout"), "aria-label": t("login.logout"), "data-testid": "logout",
      onclick: () => {
        token.clear();
        location.reload();
      } },
    icon("key"),
  );
  const tools = h(
    "div",
    { class: "tools" },
    forget,
    choices(t("language.label"), "language", languages, i18n.language(), (value) => {
      i18n.choose(value);
      shell();
    }),
    choices(t("theme.label"), "theme", themes, theme.theme(), theme.choose),
    h("button", { type: "button", class: "ghost", title: `${t("help.open")} (?)`, "aria-label": t("help.open"), "data-testid": "help", onclick: help }, icon("help")),
  );
  const header = h(
    "header",
    {},
    h("a", { class: "brand", href: address("overview") }, mark(), "Weir"),
    own !== null && h("span", { class: "whoami", "data-testid": "whoami" }, own.name !== "" && h("strong", {}, own.name), h("span", { class: "badge" }, t(`role.${own.role}`)), h("span", { class: "version num" }, own.version)),
    state(),
    tools,
  );
  const foot = h("footer", {}, h("span", { class: "num" }, `Weir ${own?.version ?? ""}`), h("a", { href: "THIRD-PARTY.txt", "data-testid": "licences" }, t("foot.licences")));
  const skip = h("a", { class: "skip", href: "#content", onclick: (event: Event) => {
    event.preventDefault();
    main?.focus();
  } }, t("nav.skip"));
  fill(root, skip, header, banner(), h("div", { class: "body" }, navigation, h("div", { class: "column" }, main, foot)), notes());
  tick();
  show();
}

function show(): void {
  if (main === null || info === null) return;
  shown?.stop();
  const route = parse(location.hash);
  const known = links().some((one) => one.page === route.page) || (route.page === "stream" && route.rest !== "");
  const make = known ? PAGES[route.page] : undefined;
  shown = (make ?? missing)({ info, route, place });
  document.title = `${shown.title} – Weir`;
  main.replaceChildren(shown.element);
  for (const anchor of document.querySelectorAll("nav a")) {
    const isHere = anchor.getAttribute("data-page") === (route.page === "stream" ? "overview" : route.page);
    if (isHere) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
}

function help(): void {
  const keys = (...names: string[]): HTMLElement =>
    h("dt", {}, names.map((name, index) => [index > 0 && ` ${t("help.then")} `, h("kbd", {}, name)]));
  const rows: [HTMLElement, string][] = [
    ...links().map((one): [HTMLElement, string] => [keys("g", one.key), t("help.go", { page: t(one.name) })]),
    [keys("/"), t("help.search")],
    [keys("t"), t("help.theme")],
    [keys("k"), t("help.play")],
    [keys("m"), t("help.mute")],
    [keys("?"), t("help.help")],
    [keys("Esc"), t("help.escape")],
  ];
  const close = h("button", { type: "button", onclick: () => dialog.close() }, t("action.close"));
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "help-title", "data-testid": "help-dialog", onclose: () => dialog.remove() },
    h("h2", { id: "help-title" }, t("help.title")),
    h("dl", { class: "keys" }, rows.map(([key, text]) => h("div", {}, key, h("dd", {}, text)))),
    h("div", { class: "actions" }, close),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function search(): boolean {
  const field = document.querySelector<HTMLInputElement>("[data-search]");
  field?.focus();
  field?.select();
  return field !== null;
}

let chordUntil = 0;

/** Whether a key did something. */
function shortcut(key: string): boolean {
  const isChord = Date.now() < chordUntil;
  chordUntil = 0;
  if (isChord) {
    const to = links().find((one) => one.key === key);
    if (to !== undefined) location.hash = address(to.page);
    return to !== undefined;
  }
  switch (key) {
    case "g":
      chordUntil = Date.now() + CHORD_MS;
      return true;
    case "/":
      return search();
    case "t": {
      theme.next();
      const select = document.querySelector<HTMLSelectElement>("[data-testid=theme]");
      if (select !== null) select.value = theme.theme();
      return true;
    }
    case "?":
      help();
      return true;
    default:
      return shown?.key?.(key) ?? false;
  }
}

function askToken(error: ApiError): void {
  if (isAsking) return;
  isAsking = true;
  shown?.stop();
  shown = null;
  main = null;
  info = null;
  // dialogues belong to the page that is gone
  for (const dialog of document.querySelectorAll("dialog")) dialog.remove();
  const done = (): void => {
    isAsking = false;
    link.answered();
    asker.now();
  };
  fill(root, login(error, done), notes());
}

i18n.begin();
theme.begin();
document.addEventListener("keydown", (event) => {
  const { target } = event;
  const isTyping = target instanceof HTMLElement && target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (event.key === "Escape" && isTyping && target instanceof HTMLElement) target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") !== null) return;
  if (shortcut(event.key)) event.preventDefault();
});
window.addEventListener("hashchange", () => {
  show();
  // a reader who does not see the change is told by the new title
  main?.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
});
link.listen((health) => {
  dot(health);
  tick();
  if (health.token !== null) askToken(health.token);
});
setInterval(() => tick(), 500);
fill(root, h("p", { class: "starting", role: "status" }, t("loading")));

const asker = new Poller(
  async () => {
    const fresh = await api.console();
    const isNew = info === null || info.role !== fresh.role || info.version !== fresh.version || info.name !== fresh.name;
    // behind another server or in a container the port has another number, so a difference alone says nothing
    const { http_port: port } = fresh;
    const isHere = port === null || isOn(location, port) || !isNew || (await servesStreams());
    if (isNew) place = port === null || isHere ? location : moved(location, port);
    info = fresh;
    if (isNew && !isAsking) shell();
  },
  INFO_EVERY_MS,
  (error) => fill(root, h("p", { class: "starting" }, t("failed", { message: error.message }))),
);
// the first question may fail while there is no shell to say so
link.listen(({ failures }) => {
  if (failures > 0 && main === null && !isAsking) shell();
});
