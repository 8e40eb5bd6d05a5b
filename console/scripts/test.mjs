// Runs the unit tests: Vite makes JavaScript of them, node's own runner runs it.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";

const files = readdirSync("tests").filter((name) => name.endsWith(".test.ts"));
const folder = mkdtempSync(join(tmpdir(), "weir-console-"));
let status = 1;
try {
  await build({
    configFile: false,
    logLevel: "warn",
    build: {
      ssr: true,
      outDir: folder,
      target: "node18",
      copyPublicDir: false,
      emptyOutDir: false,
      rollupOptions: {
        input: files.map((name) => join("tests", name)),
        output: { entryFileNames: "[name].mjs", chunkFileNames: "[name].mjs" },
      },
    },
  });
  const tests = files.map((name) => join(folder, name.replace(/\.ts$/, ".mjs")));
  status = spawnSync(process.execPath, ["--test", ...tests], { stdio: "inherit" }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = status;
