// A made-up server for `npm run dev` and `vite preview`, so that the console can be written without one. Never built in.
//
// WEIR_MOCK=proxy makes it a proxy, WEIR_MOCK_TOKEN=x wants that token, WEIR_MOCK_MEDIA=http://… is where streams are.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Connect, Plugin } from "vite";
import { answers } from "./answers";

/** As the server sends it; the preview shows what it forbids. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
  "media-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function mock(): Plugin {
  const handle: Connect.NextHandleFunction = (request, response, next) => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host ?? "mock"}`);
    if (!url.pathname.startsWith("/api/v1/")) return next();
    answer(request, response, url);
  };
  return {
    name: "weir-mock",
    config() {
      const target = process.env["WEIR_MOCK_MEDIA"];
      const proxy = target === undefined ? {} : { "^/live/": { target } };
      return { server: { proxy }, preview: { proxy } };
    },
    configureServer(server) {
      server.middlewares.use(handle);
    },
    configurePreviewServer(server) {
      server.middlewares.use((_request, response, next) => {
        response.setHeader("content-security-policy", POLICY);
        next();
      });
      server.middlewares.use(handle);
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, url: URL): void {
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  const wanted = process.env["WEIR_MOCK_TOKEN"];
  if (wanted !== undefined && request.headers.authorization !== `Bearer ${wanted}`) {
    return send(401, { code: 401, error: "the token is missing or wrong" });
  }
  const role = process.env["WEIR_MOCK"] === "proxy" ? "proxy" : "origin";
  const body = answers(role, request.method ?? "GET", url);
  if (body === null) return send(404, { code: 404, error: "no such thing" });
  send(200, body);
}
