// What the part of the address behind `#` means.

export interface Route {
  page: string;
  /** What stands behind the page's name, decoded: a stream. */
  rest: string;
  query: URLSearchParams;
}

/** Reads `#/page/rest?query`. */
export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [page = "", ...rest] = path.split("/");
  return { page: page === "" ? "overview" : page, rest: decode(rest.join("/")), query: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Writes it. */
export function address(page: string, rest = "", query: Record<string, string> = {}): string {
  const kept = Object.entries(query).filter(([, value]) => value !== "");
  const text = new URLSearchParams(kept).toString();
  return `#/${page}${rest === "" ? "" : `/${encodeURIComponent(rest)}`}${text === "" ? "" : `?${text}`}`;
}
