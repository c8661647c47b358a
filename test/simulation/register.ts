/**
 * Loaded before anything else (`node --import`): lets the code of `src` run in plain Node. `cloudflare:workers` becomes a
 * shim, every world gets a graph of `src` of its own, and a planted bug is put in place of the text that it names.
 */
import { readFileSync } from "node:fs";
import { registerHooks, stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";
import { planted } from "./planted.ts";

// Weak references let the garbage collector decide whether an abort arrives; Node's Request uses them from its first use on.
class HeldReference<T extends WeakKey> {
  readonly #target: T;
  constructor(target: T) {
    this.#target = target;
  }
  deref(): T {
    return this.#target;
  }
}
class NeverFinalizes {
  register(): void {}
  unregister(): void {}
}
Object.assign(globalThis, { WeakRef: HeldReference, FinalizationRegistry: NeverFinalizes });

const SRC = new URL("../../src/", import.meta.url).href;
const SHIM = new URL("world/cloudflare-workers.ts", import.meta.url).href;
const WORLD = /\?world=\d+$/;
const sources = new Map<string, string>();

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "cloudflare:workers") return { url: SHIM, format: "module-typescript", shortCircuit: true };
    const resolved = next(specifier, context);
    const world = WORLD.exec(context.parentURL ?? "")?.[0];
    if (world === undefined || !resolved.url.startsWith(SRC)) return resolved;
    return { ...resolved, url: resolved.url.replace(/\?.*$/, "") + world };
  },
  load(url, context, next) {
    if (!url.startsWith(SRC) || !url.replace(WORLD, "").endsWith(".ts")) return next(url, context);
    return { format: "module", source: sourceOf(url.replace(WORLD, "")), shortCircuit: true };
  },
});

function sourceOf(url: string): string {
  const known = sources.get(url);
  if (known !== undefined) return known;
  const path = fileURLToPath(url);
  const source = stripTypeScriptTypes(planted(path, readFileSync(path, "utf8")));
  sources.set(url, source);
  return source;
}
