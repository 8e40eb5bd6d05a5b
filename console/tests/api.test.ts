import assert from "node:assert/strict";
import { test } from "node:test";
import { complete, refusal } from "../src/api";
import { wait } from "../src/poll";

test("what a status means for the reader", () => {
  assert.equal(refusal(401, { error: "no" }).fault, "token");
  assert.equal(refusal(403, null).fault, "token");
  assert.equal(refusal(404, { code: 2048, error: "no such stream" }).message, "no such stream");
  assert.equal(refusal(404, null).fault, "refused");
  assert.equal(refusal(500, null).message, "HTTP 500");
  for (const status of [502, 503, 504]) assert.equal(refusal(status, null).fault, "away");
});

test("a stream of a server that says less is shown all the same", () => {
  const stream = complete({ id: "a", url: "/live/x", viewers: 3, video: { fps: 25 } } as never);
  assert.deepEqual(stream.viewers, { all: 3 });
  assert.equal(stream.frame_rate, 25);
  assert.deepEqual([stream.tracks, stream.publisher, stream.lag_ms], [[], null, null]);
  assert.deepEqual(complete({ viewers: { rtmp: 1 } }).viewers, { rtmp: 1 });
  assert.deepEqual(complete({}).viewers, {});
});

test("waits grow and end at half a minute", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 99].map(wait), [2000, 2000, 4000, 8000, 15_000, 30_000, 30_000]);
});
