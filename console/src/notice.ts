// What is said once: short notes, and questions before something is done.

import { h } from "./dom";
import { icon } from "./icons";
import { t } from "./i18n";

/** How long a good note stays; a bad one stays until it is closed. */
const STAYS_MS = 5000;

const area = h("div", { class: "notes", role: "status", "aria-live": "polite", "data-testid": "notes" });

/** Where notes appear; the shell puts it into the page. */
export function notes(): HTMLElement {
  return area;
}

/** Says something. */
export function note(text: string, kind: "good" | "bad" = "good"): void {
  const element = h(
    "div",
    { class: `note ${kind}`, "data-testid": `note-${kind}` },
    icon(kind === "good" ? "check" : "warn"),
    h("span", {}, text),
    h("button", { type: "button", class: "ghost", "aria-label": t("action.close"), onclick: () => element.remove() }, icon("close")),
  );
  area.append(element);
  if (kind === "good") setTimeout(() => element.remove(), STAYS_MS);
  // a server that refuses again and again says the same
  while (area.childElementCount > 4) area.firstElementChild?.remove();
}

/** Asks before something is done; true when the reader agrees. */
export function confirm(title: string, text: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = h("button", { type: "button", onclick: () => dialog.close() }, t("action.cancel"));
    const agree = h(
      "button",
      { type: "button", class: "danger", "data-testid": "confirm", onclick: () => dialog.close("yes") },
      action,
    );
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "dialog-title", "data-testid": "dialog" },
      h("h2", { id: "dialog-title" }, title),
      h("p", {}, text),
      h("div", { class: "actions" }, cancel, agree),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    cancel.focus();
  });
}

/** A button that copies what `text` gives. */
export function copyButton(text: () => string, label: string): HTMLButtonElement {
  const button = h(
    "button",
    {
      type: "button",
      class: "ghost copy",
      "aria-label": `${t("action.copy")}: ${label}`,
      title: t("action.copy"),
      onclick: async () => {
        const isCopied = await copy(text());
        if (!isCopied) return note(t("action.copyFailed"), "bad");
        button.replaceChildren(icon("check"));
        setTimeout(() => button.replaceChildren(icon("copy")), 1500);
        note(t("action.copied"));
      },
    },
    icon("copy"),
  );
  return button;
}

/** Browsers give the clipboard to secure origins only; elsewhere the old way still works. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = h("textarea", { class: "off-screen", readonly: true }, text);
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return isCopied;
  }
}
