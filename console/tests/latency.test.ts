import assert from "node:assert/strict";
import { test } from "node:test";
import { ahead, behindNewest, reported, Stalls } from "../src/latency";

const ranges = (...list: [number, number][]) => ({
  length: list.length,
  start: (index: number) => list[index]?.[0] ?? Number.NaN,
  end: (index: number) => list[index]?.[1] ?? Number.NaN,
});

test("the buffer counts up to the next gap only", () => {
  assert.equal(ahead(ranges([0, 10], [12, 20]), 4), 6);
  assert.equal(ahead(ranges([0, 10], [12, 20]), 11), 0);
  assert.equal(ahead(ranges(), 3), 0);
  assert.ok(Math.abs(ahead(ranges([5.05, 8]), 5) - 3) < 1e-9, "a rounding error is no gap");
});

test("a player of an endless answer is as late as what it has not played yet", () => {
  assert.equal(behindNewest(ranges([0, 10], [12, 20]), 19), 1);
  assert.equal(behindNewest(ranges([0, 10]), 10.01), 0);
  assert.equal(behindNewest(ranges(), 1), null);
});

test("what is no latency is not shown as one", () => {
  assert.equal(reported(1.5), 1.5);
  for (const none of [0, -1, Number.NaN, Infinity, null, undefined]) assert.equal(reported(none), null);
});

test("only a wait after playing is a stall, once, and not one for a seek", () => {
  const stalls = new Stalls();
  stalls.waiting(false);
  assert.equal(stalls.count, 0, "it has not played yet");
  stalls.playing();
  stalls.waiting(true);
  stalls.playing();
  assert.equal(stalls.count, 0, "a seek");
  stalls.waiting(false);
  stalls.waiting(false);
  assert.equal(stalls.count, 1);
  stalls.playing();
  stalls.waiting(false);
  assert.equal(stalls.count, 2);
});
