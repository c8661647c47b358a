import { staying } from "./keep.ts";
import { isSuspect, looksUnchanged } from "./plan.ts";
import { type Entry, keyOf, type Staged, type Tree } from "./tree.ts";
import type { KeepRule, ManifestEntry } from "./types.ts";

/** What a save has sent: on top of the base, or (a bundle) instead of it. */
export interface Sent {
  base: Tree;
  staged: Iterable<Staged>;
  bundle: boolean;
  /** See `OpenOptions`: files that may have changed although they look the same must have been sent. */
  changedSinceNs?: string | null;
  keep?: readonly KeepRule[];
}

export type Assembled = { ok: true; tree: Tree } | { ok: false; mismatches: string[] };

/**
 * The tree of a save: paths, kinds, modes, owners and times as the manifest lists them, contents as they were sent or as the base has them.
 * What was sent must be exactly the manifest's files (by size, and by mod-time where one was sent): a file that was lost, grew or was
 * rewritten on the way is a mismatch, never a generation.
 */
export function assemble(manifest: readonly ManifestEntry[], sent: Sent): Assembled {
  const staged = new Map<string, Staged>();
  for (const one of sent.staged) staged.set(idOf(one.key, one.kind), one);
  const touched = (key: string) => staged.has(idOf(key, "file")) || staged.has(idOf(key, "symlink"));
  const used = new Set<Staged>();
  const tree = new Map<string, Entry>();
  const listed = new Map<string, ManifestEntry["kind"]>();
  const mismatches: string[] = [];

  for (const item of manifest) {
    if (listed.has(item.path)) mismatches.push(`${item.path} is listed twice`);
    listed.set(item.path, item.kind);
    const before = sent.base.get(item.path);
    if (item.kind === "directory") {
      tree.set(item.path, bare(item, before?.kind === "directory" ? before.metadata : null));
      continue;
    }
    const key = keyOf(item.path, item.kind);
    const arrived = find(staged, key, item.kind, sent.bundle);
    if (arrived !== undefined) {
      used.add(arrived);
      const fault = arrived.removed ? "was removed" : faultOf(item, arrived);
      if (fault !== null) mismatches.push(`${item.path} ${fault}`);
      else tree.set(item.path, withContent(item, arrived, before));
    } else if (sent.bundle || before === undefined || before.kind !== item.kind || touched(key)) {
      mismatches.push(`${item.path} is missing`);
    } else if (!looksUnchanged(item, before)) {
      mismatches.push(`${item.path} changed and was not sent`);
    } else if (isSuspect(item, sent.changedSinceNs)) {
      mismatches.push(`${item.path} may have changed and was not sent`);
    } else {
      tree.set(item.path, { ...bare(item, before.metadata), content: before.content });
    }
  }
  const stay = staying(sent.base, manifest, sent.keep);
  for (const [path, entry] of stay) {
    if (entry.kind !== "directory" && touched(keyOf(path, entry.kind)))
      mismatches.push(`${path} is none of what this sync covers`);
    else tree.set(path, entry);
  }
  mismatches.push(...unexpected(sent, staged, used, (path, kind) => listed.get(path) === kind || stay.has(path)));
  return mismatches.length > 0 ? { ok: false, mismatches } : { ok: true, tree };
}

const idOf = (key: string, kind: Staged["kind"]): string => `${kind === "file" ? "f" : "l"}${key}`;

/** An S3 client that sends no mode cannot say that an object is a symlink: then the manifest decides. A tar always says. */
function find(
  staged: ReadonlyMap<string, Staged>,
  key: string,
  kind: Staged["kind"],
  bundle: boolean,
): Staged | undefined {
  return staged.get(idOf(key, kind)) ?? (kind === "symlink" && !bundle ? staged.get(idOf(key, "file")) : undefined);
}

function faultOf(item: ManifestEntry, arrived: Staged): string | null {
  if (item.kind === "symlink") {
    if (arrived.kind === "symlink")
      return arrived.target === (item.target ?? "") ? null : "points elsewhere than it did";
    const length = new TextEncoder().encode(item.target ?? "").length;
    return arrived.content?.size === length ? null : "points elsewhere than it did";
  }
  if (arrived.content?.size !== item.size) return `has ${arrived.content?.size ?? 0} bytes instead of ${item.size}`;
  if (arrived.mtimeNs !== null && !sameTime(arrived.mtimeNs, item.mtimeNs)) return "was modified while it was saved";
  return null;
}

/** A tar of GNU format carries whole seconds only. */
function sameTime(sent: string, listed: string): boolean {
  if (sent === listed) return true;
  return sent.endsWith("000000000") && BigInt(listed) - BigInt(sent) < 1_000_000_000n && BigInt(listed) >= BigInt(sent);
}

function bare(item: ManifestEntry, metadata: string | null): Entry {
  const { path, kind, mode, uid, gid, mtimeNs } = item;
  return {
    path,
    kind,
    mode,
    uid,
    gid,
    mtimeNs,
    target: kind === "symlink" ? (item.target ?? "") : "",
    content: null,
    metadata,
  };
}

/** The same bytes as before keep their old place, so that sending a tree again does not store it again. */
function withContent(item: ManifestEntry, arrived: Staged, before: Entry | undefined): Entry {
  const entry = bare(item, arrived.metadata);
  if (item.kind === "symlink" || arrived.content === null) return entry;
  const old = before?.kind === "file" ? before.content : null;
  const same =
    old !== null &&
    old.sha256 === arrived.content.sha256 &&
    old.size === arrived.content.size &&
    old.partSize === arrived.content.partSize;
  return { ...entry, content: same ? old : arrived.content };
}

function unexpected(
  sent: Sent,
  staged: ReadonlyMap<string, Staged>,
  used: ReadonlySet<Staged>,
  accounted: (path: string, kind: ManifestEntry["kind"]) => boolean,
): string[] {
  const out: string[] = [];
  for (const one of staged.values()) {
    // Directory markers say nothing that the manifest does not say better.
    if (!one.removed && !used.has(one) && !one.key.endsWith("/")) out.push(`${one.key} is not in the manifest`);
  }
  if (sent.bundle) return out;
  for (const [path, before] of sent.base) {
    if (before.kind === "directory") continue;
    if (accounted(path, before.kind)) continue;
    const key = keyOf(path, before.kind);
    if (!staged.has(idOf(key, "file")) && !staged.has(idOf(key, "symlink")))
      out.push(`${path} is gone and was not removed`);
  }
  return out;
}
