import { type Filter, filterRules, ruleFilter } from "../sync/glob.ts";
import { type Entry, keyOf, type Tree } from "./tree.ts";
import type { KeepRule, ManifestEntry } from "./types.ts";

/**
 * The entries of the base that stay although the manifest does not list them: those that no rule speaks of, those that a `copy` rule
 * speaks of, and the directories above them. What is listed wins: nothing stays below a listed file, or in the place of a directory.
 */
export function staying(
  base: Tree,
  manifest: readonly Pick<ManifestEntry, "path" | "kind">[],
  rules: readonly KeepRule[] | undefined,
): Tree {
  const stay = new Map<string, Entry>();
  if (rules === undefined) return stay;
  const scopes = rules.map(scopeOf);
  const listed = new Map(manifest.map(({ path, kind }) => [path, kind]));
  const within = new Set(manifest.flatMap(({ path }) => above(path)));
  for (const [path, entry] of base) {
    if (listed.has(path)) continue;
    const spoken = scopes.filter((scope) => scope.includes(entry));
    if (spoken.length > 0 && !spoken.some((scope) => scope.mode === "copy")) continue;
    if (above(path).some((parent) => (listed.get(parent) ?? "directory") !== "directory")) continue;
    if (entry.kind !== "directory" && within.has(path)) continue;
    stay.set(path, entry);
  }
  for (const path of [...stay.keys()]) {
    for (const parent of above(path)) {
      const entry = base.get(parent);
      if (entry?.kind === "directory" && !listed.has(parent)) stay.set(parent, entry);
    }
  }
  return stay;
}

/** The directories that a path lies in, without the root. */
function above(path: string): string[] {
  const out: string[] = [];
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) out.push(path.slice(0, at));
  return out;
}

interface Scope {
  mode: KeepRule["mode"];
  includes(entry: Entry): boolean;
}

function scopeOf({ prefix, mode, pattern, exclude }: KeepRule): Scope {
  const under = prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`;
  const include = pattern === undefined ? [] : [pattern];
  const filter: Filter = ruleFilter(filterRules({ include, exclude }));
  return {
    mode,
    includes: ({ path, kind }) => {
      if (path === "" || !path.startsWith(under)) return false;
      const relative = path.slice(under.length);
      return kind === "directory" ? filter.directory(relative) : filter.file(keyOf(relative, kind));
    },
  };
}
