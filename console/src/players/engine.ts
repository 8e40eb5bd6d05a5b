// What a player is to the page that shows it. Each is loaded when somebody plays.

import { behindNewest } from "../latency";

/** What plays into a video element. */
export interface Engine {
  /** How far behind live the picture is, in seconds; null while that is not known. */
  latency: () => number | null;
  /** It begins to play by itself, and must be the one who does. */
  startsItself?: true;
  /** Ends it, and what it loads. */
  stop: () => void;
}

export interface Start {
  video: HTMLVideoElement;
  url: string;
  hasVideo: boolean;
  hasAudio: boolean;
  /** Called once, when it cannot go on. */
  failed: (message: string) => void;
}

export type Kind = "flv" | "hls" | "llhls" | "dash";

export const KINDS: readonly Kind[] = ["flv", "hls", "llhls", "dash"];

/** What stands behind a stream's name in the address for a player. */
export const SUFFIX: Record<Kind, string> = { flv: ".flv", hls: ".m3u8", llhls: ".m3u8", dash: ".mpd" };

/** Whether the browser lets scripts feed it; those on iPhones with ManagedMediaSource do as well. */
function canBeFed(): boolean {
  return "MediaSource" in window || "ManagedMediaSource" in window;
}

/** Whether the browser plays HLS by itself, as Safari does. */
function playsHls(): boolean {
  return document.createElement("video").canPlayType("application/vnd.apple.mpegurl") !== "";
}

/** Whether this browser can play a kind at all. */
export function supports(kind: Kind): boolean {
  if (kind === "hls" || kind === "llhls") return canBeFed() || playsHls();
  return kind === "flv" ? "MediaSource" in window : canBeFed();
}

/** Whether it does so by itself. */
export function isNative(kind: Kind): boolean {
  return (kind === "hls" || kind === "llhls") && !canBeFed();
}

/** Begins to play. Fails when the player cannot be loaded. */
export async function play(kind: Kind, start: Start): Promise<Engine> {
  if (isNative(kind)) return native(start);
  switch (kind) {
    case "flv":
      return (await import("./flv")).flv(start);
    case "hls":
      return (await import("./hls")).hls(start, false);
    case "llhls":
      return (await import("./hls")).hls(start, true);
    case "dash":
      return (await import("./dash")).dash(start);
  }
}

function native({ video, url, failed }: Start): Engine {
  const onError = (): void => failed(video.error?.message ?? "");
  video.addEventListener("error", onError);
  video.src = url;
  return {
    latency: () => behindNewest(video.seekable, video.currentTime),
    stop: () => {
      video.removeEventListener("error", onError);
      video.removeAttribute("src");
      video.load();
    },
  };
}
