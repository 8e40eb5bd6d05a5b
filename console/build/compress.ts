// Writes a compressed form beside each file that is worth it, so that the server needs no compressor.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** Below this a compressed form saves no packet. */
const LEAST_BYTES = 1024;

const TEXT = /\.(html|js|css|svg|txt)$/;

export function compress(): Plugin {
  let folder = "";
  return {
    name: "weir-compress",
    apply: "build",
    enforce: "post",
    configResolved(config) {
      folder = config.build.outDir;
    },
    closeBundle() {
      for (const path of files(folder)) {
        const whole = readFileSync(path);
        if (!TEXT.test(path) || whole.length < LEAST_BYTES) continue;
        const packed = gzipSync(whole, { level: constants.Z_BEST_COMPRESSION });
        if (packed.length < whole.length) writeFileSync(`${path}.gz`, packed);
      }
    },
  };
}

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}
