// Where things are: the API, streams, and the commands that use them.

/** Where the page is; `location` is one. */
export interface Place {
  protocol: string;
  host: string;
  hostname: string;
  pathname: string;
}

/** What stands before `/console/`: empty, or the prefix of a server in front of us. */
export function prefix(place: Pick<Place, "pathname">): string {
  return place.pathname.replace(/\/console(\/.*)?$/, "").replace(/\/$/, "");
}

/** A stream by name. `vhost` is empty for the default one. */
export interface StreamName {
  vhost: string;
  app: string;
  name: string;
}

/** The virtual host that a stream has when nobody says one. */
const DEFAULT_VHOST = "__defaultVhost__";

/** The parts of `vhost/app/stream`, `/app/stream` or `app/stream`. */
export function parse(key: string): StreamName {
  const parts = key.replace(/^\//, "").split("/");
  const name = parts.pop() ?? "";
  const first = parts.length > 1 ? (parts.shift() ?? "") : "";
  return { vhost: first === DEFAULT_VHOST ? "" : first, app: parts.join("/"), name };
}

/** `app/stream`, with the virtual host in front when it is not the default one. */
export function shown({ vhost, app, name }: StreamName): string {
  return [vhost, app, name].filter((part) => part !== "").join("/");
}

/** The port of a page's address. */
function portOf({ protocol, host, hostname }: Place): number {
  const given = host.slice(hostname.length + 1);
  return given === "" ? (protocol === "https:" ? 443 : 80) : Number(given);
}

/** Whether the page comes from the port that the server says is that of its streams. */
export function isOn(place: Place, port: number): boolean {
  return portOf(place) === port;
}

/** The console on the port of streams, for a page that comes from another one. */
export function moved(place: Place, port: number): Place {
  return { ...place, protocol: "http:", host: `${place.hostname}:${port}`, pathname: "/console/" };
}

const encoded = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

/** The address of a stream in one of its forms, beside the console at `place`. */
export function stream(place: Place, { vhost, app, name }: StreamName, suffix: string): string {
  const query = vhost === "" ? "" : `?vhost=${encodeURIComponent(vhost)}`;
  return `${place.protocol}//${place.host}${prefix(place)}/${encoded(app)}/${encodeURIComponent(name)}${suffix}${query}`;
}

/** The address for RTMP without the stream's name, as OBS wants it. */
export function rtmpServer(place: Place, port: number, { vhost, app }: StreamName): string {
  const host = port === 1935 ? place.hostname : `${place.hostname}:${port}`;
  return `rtmp://${host}/${encoded(app)}${vhost === "" ? "" : `?vhost=${encodeURIComponent(vhost)}`}`;
}

/** The whole address for RTMP; the virtual host stands behind the name, where all players leave it. */
export function rtmp(place: Place, port: number, of: StreamName): string {
  const server = rtmpServer(place, port, { ...of, vhost: "" });
  const query = of.vhost === "" ? "" : `?vhost=${encodeURIComponent(of.vhost)}`;
  return `${server}/${encodeURIComponent(of.name)}${query}`;
}

/** A word for a POSIX shell. */
export function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export interface Command {
  id: string;
  title: string;
  text: string;
}

/** Commands and settings to publish and watch a stream; those of ports that are closed are left out. */
export function commands(place: Place, of: StreamName, ports: { rtmp: number | null; http: boolean }): Command[] {
  const list: Command[] = [];
  if (ports.rtmp !== null) {
    const url = quoted(rtmp(place, ports.rtmp, of));
    list.push({
      id: "ffmpeg-publish",
      title: "ffmpeg",
      text: `ffmpeg -re -i input.mp4 -c copy -f flv ${url}`,
    });
    list.push({
      id: "ffplay",
      title: "ffplay",
      text: `ffplay -fflags nobuffer -flags low_delay ${url}`,
    });
  }
  if (ports.http) {
    list.push({ id: "vlc", title: "VLC", text: `vlc ${quoted(stream(place, of, ".m3u8"))}` });
    list.push({
      id: "ffmpeg-record",
      title: "ffmpeg",
      text: `ffmpeg -i ${quoted(stream(place, of, ".flv"))} -c copy recording.mp4`,
    });
  }
  return list;
}
