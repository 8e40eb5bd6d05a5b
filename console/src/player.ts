// The player of the stream page: kinds to choose from, controls, and how it is doing.

import type { Console } from "./api";
import { h, setAttribute, setText } from "./dom";
import * as format from "./format";
import { icon } from "./icons";
import { t, type Key } from "./i18n";
import { ahead, Stalls } from "./latency";
import { isNative, KINDS, play, SUFFIX, supports, type Engine, type Kind } from "./players/engine";
import * as urls from "./urls";

/** How often the numbers below the picture change, in milliseconds. */
const EVERY_MS = 500;

const STORED = "weir.player";

type State = "idle" | "loading" | "playing" | "waiting" | "failed";

export interface Options {
  of: urls.StreamName;
  info: Console;
  /** Where streams are. */
  place: urls.Place;
  /** What the stream has now; a stream that is not known yet has both. */
  media: () => { hasVideo: boolean; hasAudio: boolean };
}

export interface PlayerPart {
  element: HTMLElement;
  stop: () => void;
  key: (key: string) => boolean;
}

function stat(id: string, name: Key): { element: HTMLElement; value: HTMLElement } {
  const value = h("dd", { class: "num", "data-testid": `player-${id}` }, format.NONE);
  return { element: h("div", {}, h("dt", {}, t(name)), value), value };
}

export function player(options: Options): PlayerPart {
  const { of, info, place } = options;
  const remembered = localStorage.getItem(STORED);
  let kind: Kind = KINDS.find((one) => one === remembered) ?? (info.hls.enabled ? "llhls" : "flv");
  let state: State = "idle";
  let engine: Engine | null = null;
  let stalls = new Stalls();
  // each start makes those before it void, so that a player that loads slowly does not begin over a newer one
  let turn = 0;

  const video = h("video", {
    muted: true,
    playsinline: true,
    "data-testid": "video",
    "aria-label": t("player.video", { name: urls.shown(of) }),
  });
  video.muted = true;
  const latency = stat("latency", "player.latency");
  const buffer = stat("buffer", "player.buffer");
  const dropped = stat("dropped", "player.dropped");
  const stalled = stat("stalls", "player.stalls");
  const status = h("span", { class: "player-state", role: "status", "data-testid": "player-state" });
  const message = h("p", { class: "player-error", role: "alert", hidden: true, "data-testid": "player-error" });
  const big = h("button", { type: "button", class: "big-play", "data-testid": "play", onclick: () => void start() }, icon("play"), t("player.play"));
  const toggle = h("button", { type: "button", class: "ghost", "data-testid": "play-stop", onclick: () => (isOn() ? stop() : void start()) });
  const sound = h("button", { type: "button", class: "ghost", "data-testid": "mute", onclick: () => mute(!video.muted) });
  const volume = h("input", {
    type: "range", min: 0, max: 1, step: 0.05, value: 1,
    "aria-label": t("player.volume"), title: t("player.volume"), "data-testid": "volume",
    oninput: () => {
      video.volume = Number(volume.value);
      mute(video.volume === 0);
    },
  });
  const full = h("button", { type: "button", class: "ghost", "aria-label": t("player.full"), title: t("player.full"), onclick: () => void video.requestFullscreen?.() }, icon("full"));
  const tabs = KINDS.map((one) => {
    const tab = h(
      "button",
      { type: "button", role: "tab", id: `tab-${one}`, "aria-controls": "player-panel", "data-testid": `tab-${one}`, onclick: () => choose(one) },
      t(`player.${one}`),
    );
    tab.addEventListener("keydown", (event) => {
      const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? KINDS.length - 1 : 0;
      if (step === 0) return;
      event.preventDefault();
      const next = (KINDS.indexOf(one) + step) % KINDS.length;
      choose(KINDS[next] ?? one);
      tabs[next]?.focus();
    });
    return tab;
  });

  const isOn = (): boolean => state !== "idle" && state !== "failed";

  function show(next: State, text = ""): void {
    state = next;
    setText(status, `${t(`player.state.${state}`)}${isOn() && isNative(kind) ? ` (${t("player.native")})` : ""}`);
    status.dataset["state"] = state;
    big.hidden = isOn();
    toggle.replaceChildren(icon(isOn() ? "stop" : "play"));
    const label = t(isOn() ? "player.stop" : "player.play");
    setAttribute(toggle, "aria-label", label);
    setAttribute(toggle, "title", label);
    message.hidden = text === "";
    setText(message, text);
    tabs.forEach((tab, index) => {
      const isChosen = KINDS[index] === kind;
      setAttribute(tab, "aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
    });
  }

  function refusal(): string {
    if (info.http_port === null) return t("player.noHttp");
    if ((kind === "hls" || kind === "llhls") && !info.hls.enabled) return t("player.hlsOff");
    if (kind === "llhls" && info.hls.low_latency === false) return t("player.llhlsOff");
    if (kind === "dash" && info.dash === false) return t("player.dashOff");
    // the page's policy lets nothing in from another port
    if (place.host !== location.host) return t("player.elsewhere");
    return supports(kind) ? "" : t("player.unsupported", { kind: t(`player.${kind}`) });
  }

  function end(): void {
    turn += 1;
    engine?.stop();
    engine = null;
  }

  function stop(): void {
    end();
    show("idle");
    numbers();
  }

  function failed(text: string): void {
    end();
    show("failed", `${t("player.error", { message: text })} ${t("player.errorNext")}`);
    numbers();
  }

  async function start(): Promise<void> {
    end();
    const mine = turn;
    const why = refusal();
    if (why !== "") {
      show("failed", why);
      if (place.host !== location.host) {
        const there = `${place.protocol}//${place.host}${place.pathname}${location.hash}`;
        message.append(" ", h("a", { href: there }, there));
      }
      return;
    }
    stalls = new Stalls();
    show("loading");
    try {
      const made = await play(kind, {
        video,
        url: urls.stream(place, of, SUFFIX[kind]),
        ...options.media(),
        failed: (text) => {
          // not from within the player's own code, which goes on after telling
          if (mine === turn) queueMicrotask(() => (mine === turn ? failed(text) : undefined));
        },
      });
      if (mine !== turn) return made.stop();
      engine = made;
      if (made.startsItself !== true) await video.play();
    } catch (error) {
      if (mine !== turn) return;
      if (error instanceof DOMException && error.name === "NotAllowedError") return show("failed", t("player.blocked"));
      // a player that seeks or loads again interrupts the first call, and begins by itself
      if (error instanceof DOMException && error.name === "AbortError") return;
      failed(error instanceof Error ? error.message : String(error));
    }
  }

  function choose(next: Kind): void {
    const wasOn = isOn();
    kind = next;
    localStorage.setItem(STORED, kind);
    if (wasOn) void start();
    else stop();
  }

  function mute(muted: boolean): void {
    video.muted = muted;
    sound.replaceChildren(icon(muted ? "silent" : "sound"));
    const label = t(muted ? "player.unmute" : "player.mute");
    setAttribute(sound, "aria-label", label);
    setAttribute(sound, "title", label);
  }

  function numbers(): void {
    const seconds = (value: number | null): string => (value === null ? format.NONE : format.joined(format.moment(value * 1000)));
    const hasBegun = isOn() && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    setText(latency.value, seconds(hasBegun ? (engine?.latency() ?? null) : null));
    setText(buffer.value, seconds(hasBegun ? ahead(video.buffered, video.currentTime) : null));
    const quality = video.getVideoPlaybackQuality?.();
    const frames = quality === undefined ? format.NONE : `${quality.droppedVideoFrames} / ${quality.totalVideoFrames}`;
    setText(dropped.value, hasBegun ? frames : format.NONE);
    setText(stalled.value, hasBegun || stalls.count > 0 ? String(stalls.count) : format.NONE);
  }

  video.addEventListener("playing", () => {
    stalls.playing();
    if (isOn()) show("playing");
  });
  video.addEventListener("waiting", () => {
    stalls.waiting(video.seeking);
    if (state === "playing") show("waiting");
  });
  video.addEventListener("timeupdate", () => {
    if (state === "waiting" && !video.paused && video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) show("playing");
  });
  const timer = setInterval(numbers, EVERY_MS);
  mute(true);
  show("idle");

  const element = h(
    "section",
    { class: "panel player", "aria-label": t("player.title"), "data-testid": "player" },
    h("div", { class: "tabs", role: "tablist", "aria-label": t("player.kinds") }, tabs),
    h(
      "div",
      { id: "player-panel", role: "tabpanel", "aria-label": t("player.title") },
      h("div", { class: "screen" }, video, big),
      message,
      h("div", { class: "controls" }, toggle, sound, volume, status, full),
      h("dl", { class: "stats" }, latency.element, buffer.element, dropped.element, stalled.element),
    ),
  );
  return {
    element,
    stop: () => {
      clearInterval(timer);
      end();
    },
    key: (key) => {
      if (key === "k") toggle.click();
      else if (key === "m") sound.click();
      else return false;
      return true;
    },
  };
}
