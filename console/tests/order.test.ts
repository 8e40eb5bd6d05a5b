import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, matches, page, sorted, toggled } from "../src/order";

test("numbers sort by value, text by its numbers, and nothing is last", () => {
  assert.deepEqual(sorted([10, 9, 2], (n) => n, "asc"), [2, 9, 10]);
  assert.deepEqual(sorted(["cam-10", "cam-9", "Cam-1"], (s) => s, "asc"), ["Cam-1", "cam-9", "cam-10"]);
  assert.deepEqual(sorted([null, 1, 2], (n) => n, "asc"), [1, 2, null]);
  assert.deepEqual(sorted([null, 1, "", 2], (n) => n, "desc"), [2, 1, null, ""]);
  assert.equal(compare(Number.NaN, 1, "desc"), 1);
});

test("sorting leaves the list alone, and equals in order", () => {
  const list = [{ k: 1, v: "a" }, { k: 1, v: "b" }, { k: 0, v: "c" }];
  assert.deepEqual(sorted(list, (item) => item.k, "desc").map((item) => item.v), ["a", "b", "c"]);
  assert.equal(list[0]?.v, "a");
});

test("a second click on a head turns the order", () => {
  assert.deepEqual(toggled({ by: "a", order: "asc" }, "a", "asc"), { by: "a", order: "desc" });
  assert.deepEqual(toggled({ by: "a", order: "desc" }, "a", "asc"), { by: "a", order: "asc" });
  assert.deepEqual(toggled({ by: "a", order: "asc" }, "b", "desc"), { by: "b", order: "desc" });
});

test("every word must be somewhere", () => {
  assert.ok(matches("", "x"));
  assert.ok(matches("VLC live", "/live/x", "vlc/3"));
  assert.ok(!matches("vlc live", "/live/x", "ffmpeg"));
});

test("pages know their ends", () => {
  assert.deepEqual(page(0, 50, 0), { from: 0, to: 0, previous: null, next: null });
  assert.deepEqual(page(0, 50, 50), { from: 1, to: 50, previous: null, next: null });
  assert.deepEqual(page(50, 50, 101), { from: 51, to: 100, previous: 0, next: 100 });
  assert.deepEqual(page(20, 50, 60), { from: 21, to: 60, previous: 0, next: null });
});
