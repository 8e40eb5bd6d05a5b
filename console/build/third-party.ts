// Lists the packages that end up in the console, with their licences, as THIRD-PARTY.txt. A licence that is not allowed
// fails the build.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

/** As deny.toml has it for crates. */
const ALLOWED = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Zlib", "CC0-1.0"];

interface Manifest {
  name: string;
  version: string;
  license?: string;
  dependencies?: Record<string, string>;
}

interface Found extends Manifest {
  folder: string;
}

export function thirdParty(): Plugin {
  return {
    name: "weir-third-party",
    apply: "build",
    generateBundle(_options, bundle) {
      if (this.environment.config.build.ssr) return;
      const roots = Object.values(bundle).flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
      const packages = closure(roots.flatMap((id) => owner(id) ?? []));
      for (const { name, license } of packages) {
        if (!isAllowed(license ?? "")) this.error(`${name}: the licence ${license ?? "?"} is not allowed`);
      }
      this.emitFile({ type: "asset", fileName: "THIRD-PARTY.txt", source: text(packages) });
    },
  };
}

/** Whether one of the alternatives of an expression is allowed. */
function isAllowed(expression: string): boolean {
  return expression
    .replace(/[()]/g, "")
    .split(/\s+OR\s+/)
    .some((choice) => choice.split(/\s+AND\s+/).every((licence) => ALLOWED.includes(licence)));
}

/** The folder of the package that a module belongs to. */
function owner(id: string): string | undefined {
  const at = id.lastIndexOf("/node_modules/");
  if (at < 0) return undefined;
  const [first = "", second = ""] = id.slice(at + "/node_modules/".length).split(/[/?]/);
  const name = first.startsWith("@") ? `${first}/${second}` : first;
  return join(id.slice(id.startsWith("\0") ? 1 : 0, at), "node_modules", name);
}

/** These packages and what they need: some ship their dependencies inside of their own files. */
function closure(folders: string[]): Found[] {
  const found = new Map<string, Found>();
  const open = [...folders];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    if (found.has(folder)) continue;
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
    found.set(folder, { ...manifest, folder });
    for (const name of Object.keys(manifest.dependencies ?? {})) {
      const dependency = resolve(folder, name);
      if (dependency !== undefined) open.push(dependency);
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Where node would find `name` from `folder`. */
function resolve(folder: string, name: string): string | undefined {
  for (let at = folder; dirname(at) !== at; at = dirname(at)) {
    const candidate = join(at, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
  }
  return undefined;
}

function text(packages: Found[]): string {
  const parts = packages.map(({ name, version, license, folder }) => {
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
    const texts = files.map((file) => readFileSync(join(folder, file), "utf8").trim());
    return [`${name} ${version}`, `Licence: ${license ?? "?"}`, ...texts].join("\n\n");
  });
  const begin = "The web console of Weir contains these packages.";
  return `${[begin, ...parts].join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}
