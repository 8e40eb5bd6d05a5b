import assert from "node:assert/strict";
import { test } from "node:test";
import { address, parse as route } from "../src/route";
import { commands, isOn, moved, parse, prefix, quoted, rtmp, rtmpServer, shown, stream } from "../src/urls";

const place = { protocol: "http:", host: "tv.example:8080", hostname: "tv.example", pathname: "/console/" };

test("streams are named with and without a virtual host", () => {
  assert.deepEqual(parse("/live/x"), { vhost: "", app: "live", name: "x" });
  assert.deepEqual(parse("__defaultVhost__/live/x"), { vhost: "", app: "live", name: "x" });
  assert.deepEqual(parse("/tv.example/live/x"), { vhost: "tv.example", app: "live", name: "x" });
  assert.equal(shown(parse("tv.example/live/x")), "tv.example/live/x");
  assert.equal(shown(parse("/live/x")), "live/x");
});

test("addresses are made for the port of the page, behind any prefix", () => {
  assert.equal(stream(place, parse("/live/x"), ".flv"), "http://tv.example:8080/live/x.flv");
  const behind = { ...place, protocol: "https:", host: "a.example", pathname: "/weir/console/index.html" };
  assert.equal(stream(behind, parse("/live/x"), ".m3u8"), "https://a.example/weir/live/x.m3u8");
  assert.equal(prefix({ pathname: "/console" }), "");
  assert.equal(stream(place, parse("/live/比赛 1"), ".mpd"), "http://tv.example:8080/live/%E6%AF%94%E8%B5%9B%201.mpd");
  assert.equal(stream(place, parse("b.example/live/x"), ".ts"), "http://tv.example:8080/live/x.ts?vhost=b.example");
});

test("a page on another port finds the streams", () => {
  assert.ok(isOn(place, 8080));
  assert.ok(isOn({ ...place, host: "tv.example" }, 80));
  assert.ok(isOn({ ...place, protocol: "https:", host: "tv.example" }, 443));
  assert.ok(isOn({ ...place, host: "[::1]:8080", hostname: "[::1]" }, 8080));
  const api = { ...place, host: "tv.example:1985" };
  assert.ok(!isOn(api, 8080));
  assert.equal(stream(moved(api, 8080), parse("/live/x"), ".flv"), "http://tv.example:8080/live/x.flv");
});

test("RTMP leaves its usual port out", () => {
  assert.equal(rtmp(place, 1935, parse("/live/x")), "rtmp://tv.example/live/x");
  assert.equal(rtmp(place, 19_350, parse("b.example/live/x")), "rtmp://tv.example:19350/live/x?vhost=b.example");
  assert.equal(rtmpServer(place, 1935, parse("b.example/live/x")), "rtmp://tv.example/live?vhost=b.example");
});

test("words for a shell are quoted when they must be", () => {
  assert.equal(quoted("rtmp://a/live/x"), "rtmp://a/live/x");
  assert.equal(quoted("rtmp://a/live/x?vhost=b"), "'rtmp://a/live/x?vhost=b'");
  assert.equal(quoted("it's"), "'it'\\''s'");
});

test("commands are for the ports that are open", () => {
  const ids = (ports: { rtmp: number | null; http: boolean }) => commands(place, parse("/live/x"), ports).map((one) => one.id);
  assert.deepEqual(ids({ rtmp: 1935, http: true }), ["ffmpeg-publish", "ffplay", "vlc", "ffmpeg-record"]);
  assert.deepEqual(ids({ rtmp: null, http: true }), ["vlc", "ffmpeg-record"]);
  assert.deepEqual(ids({ rtmp: null, http: false }), []);
});

test("routes are read as they are written", () => {
  assert.equal(route("").page, "overview");
  assert.equal(route("#/").page, "overview");
  assert.deepEqual([route("#/stream/a%2Fb").page, route("#/stream/a%2Fb").rest], ["stream", "a/b"]);
  assert.equal(route("#/stream/%E0%A4%A").rest, "%E0%A4%A", "what cannot be decoded stays");
  const written = address("clients", "", { search: "a&b", start: "" });
  assert.equal(written, "#/clients?search=a%26b");
  assert.equal(route(written).query.get("search"), "a&b");
  assert.equal(route(address("stream", "tv.example/live/比?")).rest, "tv.example/live/比?");
});
