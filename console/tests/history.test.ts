import assert from "node:assert/strict";
import { test } from "node:test";
import { area, line, merge, SPAN_MS, top } from "../src/history";

test("samples are merged by time, and old ones go", () => {
  const old = [{ at: 1, v: 1 }, { at: 2, v: 2 }];
  assert.deepEqual(merge(old, [{ at: 3, v: 3 }, { at: 2, v: 9 }]), [{ at: 1, v: 1 }, { at: 2, v: 9 }, { at: 3, v: 3 }]);
  assert.deepEqual(merge(old, [{ at: SPAN_MS + 1, v: 4 }]).map((sample) => sample.at), [2, SPAN_MS + 1]);
  assert.deepEqual(merge([], []), []);
});

test("an axis ends at a round number that is not below the highest value", () => {
  const cases: [number, number][] = [[0, 1], [-1, 1], [Number.NaN, 1], [1, 1], [1.1, 2], [2.2, 2.5], [4, 5], [7, 10], [999, 1000], [1200, 2000], [0.03, 0.05]];
  for (const [value, expected] of cases) assert.ok(Math.abs(top(value) - expected) < 1e-9, `${value}`);
});

test("a line keeps inside its box", () => {
  const box = { width: 100, height: 10, from: 0, to: 100, max: 10 };
  const points = [{ at: -5, value: 3 }, { at: 0, value: 0 }, { at: 50, value: 5 }, { at: 100, value: 99 }, { at: 100, value: Number.NaN }];
  assert.equal(line(points, box), "M0.0 10.0L50.0 5.0L100.0 0.0");
  assert.equal(line([], box), "");
  assert.equal(area("M0.0 10.0L50.0 5.0L100.0 0.0", 10), "M0.0 10.0L50.0 5.0L100.0 0.0L100.0 10L0.0 10Z");
  assert.equal(area("", 10), "");
});
