// The server's API: shapes, requests, and what can go wrong.

import type { Sample } from "./history";
import { prefix } from "./urls";

export interface Console {
  role: "origin" | "proxy";
  version: string;
  http_port: number | null;
  rtmp_port: number | null;
  hls: { part_ms: number; segment_ms: number; enabled: boolean; low_latency?: boolean };
  dash?: boolean;
  name: string;
}

export interface History {
  every_ms: number;
  samples: Sample[];
}

export interface Kbps {
  recv_30s: number;
  send_30s: number;
}

export interface Track {
  media: string;
  codec: string;
  profile?: string;
  level?: string;
  width?: number;
  height?: number;
  sample_rate?: number;
  channels?: number;
  kbps?: number;
  frame_rate?: number | null;
}

export interface Publisher {
  id: string;
  ip: string;
  protocol: string;
  agent: string;
  /** When it connected, in milliseconds since 1970. */
  since: number;
}

export interface Stream {
  id: string;
  app: string;
  name: string;
  url: string;
  uptime_ms: number | null;
  kbps: Kbps;
  gop_ms: number | null;
  frame_rate: number | null;
  /** By protocol. */
  viewers: Record<string, number>;
  /** By cause. */
  drops: Record<string, number>;
  lag_ms: number | null;
  tracks: Track[];
  publisher: Publisher | null;
  publish?: { active: boolean; cid?: string | null };
  recv_bytes: number;
  send_bytes: number;
}

export interface Client {
  id: string;
  ip: string;
  peer: string;
  url: string;
  stream: string | null;
  protocol: string;
  role: string;
  since_ms: number;
  kbps: Kbps;
  send_bytes: number;
  recv_bytes: number;
  agent: string;
}

export interface ConfigValue {
  section: string;
  key: string;
  value: string;
  default: string;
  origin: "default" | "file" | "environment" | "flag";
  source: string;
  live: boolean;
  help: string;
}

export interface LogLine {
  id: number;
  at: number;
  level: string;
  target: string;
  message: string;
}

export interface Origin {
  id: string;
  host: string;
  device_id: string;
  state: string;
  draining: boolean;
  load: { cpu: number; egress_bps: number; sessions: number } | null;
  capacity: number;
  weight: number;
  sessions: number;
  probe_ms: number | null;
  age: number;
  endpoints: Record<string, string[]>;
}

export interface ProxyStream {
  stream: string;
  origin: string;
  publishers: number;
  viewers: number;
  sessions: number;
}

export interface ProxySession {
  id: string;
  ip: string;
  peer: string;
  stream: string | null;
  protocol: string;
  role: string;
  since_ms: number;
  origin: string | null;
  path: string;
  send_bytes: number;
  recv_bytes: number;
}

/** `away`: no answer. `token`: it wants a token, or another. `refused`: it answered, and not with what was asked. */
export type Fault = "away" | "token" | "refused";

export class ApiError extends Error {
  constructor(
    readonly fault: Fault,
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const TOKEN = "weir.token";

/** How long an answer may take before the server counts as away, in milliseconds. */
const PATIENCE_MS = 10_000;

export const token = {
  get: (): string => sessionStorage.getItem(TOKEN) ?? "",
  set: (value: string): void => sessionStorage.setItem(TOKEN, value),
  clear: (): void => sessionStorage.removeItem(TOKEN),
};

type Query = Record<string, string | number>;

async function request<T>(method: string, path: string, query: Query = {}): Promise<T> {
  const parameters = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const text = parameters.toString();
  const url = `${prefix(location)}/api/v1/${path}${text === "" ? "" : `?${text}`}`;
  const headers: Record<string, string> = { accept: "application/json" };
  if (token.get() !== "") headers["authorization"] = `Bearer ${token.get()}`;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), PATIENCE_MS);
  try {
    const response = await fetch(url, { method, headers, signal: abort.signal, cache: "no-store" });
    const body: unknown = await response.json().catch(() => null);
    if (response.ok && body !== null) return body as T;
    throw refusal(response.status, body);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("away", 0, error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
  }
}

/** What an answer other than 2xx means. A server in front of ours says 502 to 504 when ours is away. */
export function refusal(status: number, body: unknown): ApiError {
  const said = (body as { error?: unknown } | null)?.error;
  const message = typeof said === "string" ? said : "";
  if (status === 401 || status === 403) return new ApiError("token", status, message);
  const isAway = status >= 502 && status <= 504;
  return new ApiError(isAway ? "away" : "refused", status, message === "" ? `HTTP ${status}` : message);
}

/** A stream with all its fields, whatever the server left out. */
export function complete(raw: Partial<Stream> & { viewers?: unknown; video?: { fps?: number | null } | null }): Stream {
  const viewers: unknown = raw.viewers;
  return {
    id: raw.id ?? "",
    app: raw.app ?? "",
    name: raw.name ?? "",
    url: raw.url ?? "",
    uptime_ms: raw.uptime_ms ?? null,
    kbps: raw.kbps ?? { recv_30s: 0, send_30s: 0 },
    gop_ms: raw.gop_ms ?? null,
    frame_rate: raw.frame_rate ?? raw.video?.fps ?? null,
    viewers: typeof viewers === "number" ? { all: viewers } : ((viewers ?? {}) as Record<string, number>),
    drops: raw.drops ?? {},
    lag_ms: raw.lag_ms ?? null,
    tracks: raw.tracks ?? [],
    publisher: raw.publisher ?? null,
    ...(raw.publish === undefined ? {} : { publish: raw.publish }),
    recv_bytes: raw.recv_bytes ?? 0,
    send_bytes: raw.send_bytes ?? 0,
  };
}

/** Most entries of a list that are asked for at once; the server gives no more. */
export const MOST = 1000;

/**
 * Whether the port of this page serves streams: then it says in words what it is. The API's own port, which serves this page
 * too, knows no such page.
 */
export async function servesStreams(): Promise<boolean> {
  try {
    const response = await fetch(`${prefix(location)}/`, { headers: { accept: "text/plain" }, cache: "no-store" });
    return response.ok && !(response.headers.get("content-type") ?? "").includes("html");
  } catch {
    return true;
  }
}

const part = encodeURIComponent;

export const api = {
  console: () => request<Console>("GET", "console"),
  history: () => request<History>("GET", "history"),
  streams: async () => {
    const answer = await request<{ total: number; streams: Partial<Stream>[] }>("GET", "streams", { count: MOST });
    return { total: answer.total, streams: answer.streams.map(complete) };
  },
  stream: async (id: string) => complete((await request<{ stream: Partial<Stream> }>("GET", `streams/${part(id)}`)).stream),
  clients: (query: Query) => request<{ total: number; clients: Client[] }>("GET", "clients", query),
  kick: (id: string) => request<unknown>("DELETE", `clients/${part(id)}`),
  config: () => request<{ values: ConfigValue[] }>("GET", "config"),
  log: (after: number, level: string) => request<{ next: number; lines: LogLine[] }>("GET", "log", { after, level }),
  origins: () => request<{ total: number; origins: Origin[] }>("GET", "origins"),
  drain: (id: string, on: boolean) => request<unknown>(on ? "POST" : "DELETE", `origins/${part(id)}/drain`),
  proxyStreams: () => request<{ total: number; streams: ProxyStream[] }>("GET", "streams", { count: MOST }),
  sessions: () => request<{ total: number; sessions: ProxySession[] }>("GET", "sessions", { count: MOST }),
};
