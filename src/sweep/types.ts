import type { By } from "../auth/principal.ts";

/** What a sweep looks for, in the order in which it does. */
export const KINDS = ["due", "pools", "leases", "vaults", "prefixes", "domains", "keys", "rows"] as const;
export type Kind = (typeof KINDS)[number];

/** Something that should not be as it is. */
export interface Finding {
  kind: Kind;
  /** A tenant, a container, a prefix, a host, a key. */
  id: string;
  detail: string;
}

/** A lost alarm and an old row are not somebody's things that nobody has. */
export const isOrphan = ({ kind }: Finding): boolean => kind !== "due" && kind !== "rows";

/** What looking at one thing came to; `look` changes nothing. */
export type Mode = "look" | "mend";

/** One page of one kind. Everything found is in one of `removed` and `skipped`, unless nothing was to be changed. */
export interface Part {
  checked: number;
  found: Finding[];
  /** Removed, or set right. */
  removed: Finding[];
  /** Left alone, and why. */
  skipped: (Finding & { reason: string })[];
  /** What could not be looked at. */
  failed: { id: string; detail: string }[];
  /** About how many requests it made, of which one run of a Worker may make so many only. */
  calls: number;
  /** After which the next page of this kind begins; null at its end. */
  after: string | null;
}

export const nothingFound = (): Part => ({
  checked: 0,
  found: [],
  removed: [],
  skipped: [],
  failed: [],
  calls: 0,
  after: null,
});

/** What every part works with. */
export interface Sweep {
  env: Env;
  mode: Mode;
  /** Things that a page looks at. */
  limit: number;
  /** ms since 1970 */
  now: number;
  by: By;
}
