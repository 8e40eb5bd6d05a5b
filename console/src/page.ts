// What every page is made of.

import type { ApiError, Console } from "./api";
import { h } from "./dom";
import { t } from "./i18n";
import { note } from "./notice";
import type { Route } from "./route";
import type { Place } from "./urls";

/** A page that is shown. `stop` ends its questions and players. */
export interface Page {
  element: HTMLElement;
  title: string;
  stop: () => void;
  /** A key that no shortcut of the shell took; true when it did something. */
  key?: (key: string) => boolean;
}

/** What a page is told. */
export interface Context {
  info: Console;
  route: Route;
  /** Where streams are; where this page is, as a rule. */
  place: Place;
}

export type Make = (context: Context) => Page;

/** A part of a page with a title. */
export function section(title: string, testId: string, ...children: (Node | string | false)[]): HTMLElement {
  const id = `h-${testId}`;
  return h("section", { class: "panel", "aria-labelledby": id, "data-testid": testId }, h("h2", { id }, title), children);
}

/** The head of a page: its title, and what stands beside it. */
export function head(title: string, ...children: (Node | string | false)[]): HTMLElement {
  return h("div", { class: "head" }, h("h1", { tabindex: "-1" }, title), children);
}

/** A field to search with; `/` goes to it. */
export function search(label: string, testId: string, onInput: (text: string) => void, value = ""): HTMLInputElement {
  const field = h("input", {
    type: "search",
    class: "search",
    placeholder: label,
    "aria-label": label,
    "data-testid": testId,
    "data-search": true,
    spellcheck: "false",
    autocomplete: "off",
    oninput: () => onInput(field.value),
  });
  field.value = value;
  return field;
}

/** Says, once for each reason, that the server answers something else than what was asked for. */
export function complain(): (error: ApiError) => void {
  let last = "";
  return ({ message }) => {
    if (message !== last) note(t("failed", { message }), "bad");
    last = message;
  };
}

/** Calls `work` when nothing has called for `ms` milliseconds. */
export function debounced<A extends unknown[]>(work: (...args: A) => void, ms: number): (...args: A) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), ms);
  };
}
