// Light, dark, or as the system says.

export const THEMES = ["auto", "light", "dark"] as const;

export type Theme = (typeof THEMES)[number];

const STORED = "weir.theme";

export function theme(): Theme {
  const stored = localStorage.getItem(STORED);
  return THEMES.find((one) => one === stored) ?? "auto";
}

/** Puts the reader's choice into force. */
export function begin(): void {
  document.documentElement.dataset["theme"] = theme();
}

export function choose(chosen: Theme): void {
  localStorage.setItem(STORED, chosen);
  begin();
}

/** The next one, for the shortcut. */
export function next(): void {
  choose(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length] ?? "auto");
}
