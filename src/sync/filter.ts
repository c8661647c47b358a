import { filterRules, literalGlob } from "./glob.ts";
import { VERSIONS } from "./places.ts";
import type { ExtraFlags } from "./rclone-flags.ts";
import type { SyncMapping } from "./spec.ts";

/** What of a mapping is meant, as rclone's filter takes it. `besides`: paths that are not. Pure. */
export function filterOf(
  { pattern, exclude, sinkPath }: SyncMapping,
  extra: ExtraFlags,
  besides: readonly string[] = [],
): Record<string, unknown> {
  // A mapping without a place of its own has ours in its way.
  const versions = sinkPath === "" ? [`- /${VERSIONS}**`] : [];
  const named = besides.map((path) => `- ${literalGlob(path)}`);
  const rules = filterRules({ include: pattern === undefined ? [] : [pattern], exclude });
  return { FilterRule: [...versions, ...named, ...rules], ...extra.filter };
}
