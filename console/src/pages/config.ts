// The configuration in force, and where each value comes from.

import { api, type ConfigValue } from "../api";
import { fill, h, setText } from "../dom";
import { t, word } from "../i18n";
import { matches } from "../order";
import { complain, head, search, section, type Make } from "../page";
import { Poller } from "../poll";

/** Values change by a reload only. */
const EVERY_MS = 10_000;

function row(value: ConfigValue): HTMLElement {
  const isOwn = value.origin !== "default";
  return h(
    "tr",
    { class: isOwn ? "own" : "", "data-key": `${value.section}.${value.key}` },
    h("td", {}, h("span", { class: "strong mono" }, value.key), h("span", { class: "under always" }, value.help)),
    h("td", { class: "mono value", "data-label": t("config.value") }, show(value.value)),
    h("td", { class: "mono leave-1 soft" }, show(value.default)),
    h(
      "td",
      { "data-label": t("config.from") },
      h("span", { class: isOwn ? "badge own" : "badge" }, word("from", value.origin)),
      isOwn && value.source !== "" && h("span", { class: "under always mono" }, value.source),
    ),
    h("td", { "data-label": t("config.change") }, t(value.live ? "config.live" : "config.restart")),
  );
}

/** An empty text is shown as what it is. */
function show(value: string): string {
  return value === "" ? '""' : value;
}

function group(name: string, values: readonly ConfigValue[]): HTMLElement {
  const heads = [t("config.key"), t("config.value"), t("config.default"), t("config.from"), t("config.change")];
  const leave = ["", "", "leave-1", "", ""];
  const table = h(
    "table",
    { class: "config", "aria-label": name },
    h("thead", {}, h("tr", {}, ...heads.map((title, index) => h("th", { scope: "col", class: leave[index] }, title)))),
    h("tbody", {}, ...values.map(row)),
  );
  return section(name, `config-${name}`, h("div", { class: "table" }, table));
}

export const config: Make = () => {
  let values: ConfigValue[] = [];
  let drawn = "";
  const filter = search(t("config.filter"), "config-filter", () => draw());
  const changed = h("input", { type: "checkbox", "data-testid": "config-changed", onchange: () => draw() });
  const count = h("span", { class: "hint num", role: "status", "data-testid": "config-count" });
  const groups = h("div", { "data-testid": "config" }, h("p", { class: "empty" }, t("loading")));

  const draw = (): void => {
    const shown = values.filter(
      (value) =>
        (!changed.checked || value.value !== value.default) &&
        matches(filter.value, `${value.section}.${value.key}`, value.value, value.help, value.source),
    );
    const state = JSON.stringify(shown);
    setText(count, t("config.count", { shown: shown.length, total: values.length }));
    if (state === drawn) return;
    drawn = state;
    const sections = [...new Set(shown.map((value) => value.section))];
    fill(
      groups,
      shown.length === 0 ? h("p", { class: "empty" }, t("config.none")) : null,
      sections.map((name) => group(name, shown.filter((value) => value.section === name))),
    );
  };
  const poller = new Poller(
    async () => {
      values = (await api.config()).values;
      draw();
    },
    EVERY_MS,
    complain(),
  );
  const element = h(
    "div",
    { "data-testid": "page-config" },
    head(t("config.title"), count, filter),
    h("p", { class: "hint" }, t("config.note")),
    h("label", { class: "check" }, changed, t("config.changed")),
    groups,
  );
  return { element, title: t("config.title"), stop: () => poller.stop() };
};
