import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, clock, count, fps, joined, moment, percent, rate, span } from "../src/format";

test("rates step at thousands, with three digits that mean something", () => {
  const cases: [number, string][] = [[0, "0 kbit/s"], [999, "999 kbit/s"], [1000, "1.00 Mbit/s"], [12_345, "12.3 Mbit/s"], [999_999, "1000 Mbit/s"], [3_870_000, "3.87 Gbit/s"], [-5, "0 kbit/s"]];
  for (const [kbps, expected] of cases) assert.equal(joined(rate(kbps)), expected);
});

test("sizes step at 1024", () => {
  const cases: [number, string][] = [[0, "0 B"], [1023, "1023 B"], [1024, "1.00 KiB"], [412_000_000, "393 MiB"], [2 ** 60, "1024 PiB"]];
  for (const [size, expected] of cases) assert.equal(joined(bytes(size)), expected);
});

test("time spans are short", () => {
  const cases: [number, string][] = [[-1, "0 s"], [0, "0 s"], [59_999, "59 s"], [60_000, "1:00"], [3_599_000, "59:59"], [3_600_000, "1:00:00"], [86_399_000, "23:59:59"], [86_400_000 * 4 + 3_600_000 * 3, "4 d 3 h"]];
  for (const [ms, expected] of cases) assert.equal(span(ms), expected);
});

test("short times go from milliseconds to seconds", () => {
  const cases: [number, string][] = [[0, "0 ms"], [999.4, "999 ms"], [1000, "1.00 s"], [3120, "3.12 s"], [29_994, "29.99 s"], [45_600, "46 s"]];
  for (const [ms, expected] of cases) assert.equal(joined(moment(ms)), expected);
});

test("other numbers", () => {
  assert.equal(joined(percent(6.25)), "6.3 %");
  assert.equal(joined(percent(163.4)), "163 %");
  assert.equal(fps(29.97003), "29.97");
  assert.equal(fps(25), "25");
  assert.equal(count(1_234_567, "en"), "1,234,567");
  assert.match(clock(0), /^\d\d:\d\d:\d\d\.000$/);
  assert.equal(joined({ value: "7", unit: "" }), "7");
});
