import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { LANGUAGES, preferred, put, word } from "../src/i18n";
import { en } from "../src/lang/en";
import { zh } from "../src/lang/zh";

const holes = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();

test("every key is in every language, with the same holes", () => {
  const keys = Object.keys(en).sort();
  for (const { name, words } of Object.values(LANGUAGES)) {
    assert.deepEqual(Object.keys(words).sort(), keys, name);
    for (const [key, text] of Object.entries(words)) {
      assert.notEqual(text.trim(), "", `${name} ${key}`);
      assert.deepEqual(holes(text), holes(en[key as keyof typeof en]), `${name} ${key}`);
    }
  }
});

test("Chinese is Chinese", () => {
  const same = Object.entries(zh).filter(([key, text]) => text === en[key as keyof typeof en]).map(([key]) => key);
  assert.deepEqual(same, ["tile.cpu", "player.flv", "player.hls", "player.llhls", "player.dash", "cluster.cpu"]);
});

test("every key is used, and every key that is used is there", () => {
  const files = readdirSync("src", { recursive: true }).map(String).filter((name) => name.endsWith(".ts") && !name.startsWith("lang"));
  const code = files.map((name) => readFileSync(`src/${name}`, "utf8")).join("\n");
  // keys of these groups are put together from what the server says, or from names
  const made = /^(role|link|theme|drop|protocol|media|player\.(flv|hls|llhls|dash|state)|use|clientRole|state|from|level)\b/;
  const unused = Object.keys(en).filter((key) => !made.test(key) && !code.includes(`"${key}"`));
  assert.deepEqual(unused, []);
});

test("the browser's first known language is taken", () => {
  assert.equal(preferred(["zh-TW", "en"]), "zh-CN");
  assert.equal(preferred(["de", "zh"]), "zh-CN");
  assert.equal(preferred(["en-GB", "zh"]), "en");
  assert.equal(preferred(["fr"]), "en");
  assert.equal(preferred([]), "en");
});

test("holes are filled, and words of the server are shown when nobody translated them", () => {
  assert.equal(put("{a} of {b} {c}", { a: 1, b: "x" }), "1 of x {c}");
  assert.equal(word("state", "up"), "up");
  assert.equal(word("state", "odd"), "odd");
});
