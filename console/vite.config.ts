// How the console is built and, with `npm run dev`, served while it is being written.

import { defineConfig } from "vite";
import { compress } from "./build/compress";
import { thirdParty } from "./build/third-party";
import { mock } from "./mock/plugin";

/** A server to look at instead of the made-up one: `WEIR=http://127.0.0.1:8080 npm run dev`. */
const server = process.env["WEIR"];
const proxy = server === undefined ? {} : { "^/(?!console/)": { target: server, ws: true } };

export default defineConfig({
  // relative, so that it works behind any prefix
  base: process.argv.includes("build") ? "./" : "/console/",
  plugins: [thirdParty(), compress(), ...(server === undefined ? [mock()] : [])],
  server: { proxy },
  preview: { proxy },
  build: {
    target: "es2020",
    emptyOutDir: true,
    // the page's policy allows neither scripts in the page nor data: addresses
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // the players are large, and loaded when somebody plays
    chunkSizeWarningLimit: 1000,
    reportCompressedSize: false,
  },
});
