// Words in the reader's language.

import { en } from "./lang/en";
import { zh } from "./lang/zh";

export type Key = keyof typeof en;
export type Language = "en" | "zh-CN";

export const LANGUAGES: Record<Language, { name: string; words: Record<Key, string> }> = {
  en: { name: "English", words: en },
  "zh-CN": { name: "中文", words: zh },
};

const STORED = "weir.language";

/** The language of a browser that prefers these: Chinese of any kind is Chinese, all else English. */
export function preferred(languages: readonly string[]): Language {
  const known = languages.find((language) => /^(en|zh)\b/i.test(language));
  return known !== undefined && /^zh/i.test(known) ? "zh-CN" : "en";
}

let current: Language = "en";

/** Takes what the reader chose before, or what the browser prefers. */
export function begin(): void {
  const stored = localStorage.getItem(STORED);
  current = stored === "en" || stored === "zh-CN" ? stored : preferred(navigator.languages);
  document.documentElement.lang = current;
}

export function language(): Language {
  return current;
}

export function choose(chosen: Language): void {
  current = chosen;
  localStorage.setItem(STORED, chosen);
  document.documentElement.lang = chosen;
}

/** Text with its `{names}` replaced. */
export function put(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The text for a key. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return put(LANGUAGES[current].words[key], values);
}

/** The text for a word that the server says, such as a state; the word itself when there is none. */
export function word(group: string, said: string): string {
  const key = `${group}.${said}`;
  return key in en ? t(key as Key) : said;
}
