import type { Epoch, Generation } from "../ids.ts";
import { type Failure, failed } from "../outcome.ts";
import { LINK_SUFFIX } from "./storage.ts";
import { type Entry, keyOf, type Tree } from "./tree.ts";
import type { ManifestEntry, OpenAnswer, Size } from "./types.ts";

/** The one row that says who may write, and what is current. Generation 0 stands for "nothing yet". */
export interface VaultRecord {
  epoch: Epoch;
  /** The container bound to the epoch; null when an admin's action raised it. */
  incarnation: string | null;
  /** What the incarnation restored or last committed: the only head that its save may replace. */
  base: Generation | 0;
  head: Generation | 0;
  /** The highest generation number ever given out. */
  last: number;
  /** 1 while the index is made anew from R2: nothing but that may be done with it. */
  rebuilding: 0 | 1;
}

const refused = (failure: { failure: Failure }): { failure: Failure } => ({ failure: failure.failure });

/** An epoch belongs to one incarnation for ever; the same fence again answers as the first did. */
export function planFence(
  record: VaultRecord | null,
  epoch: Epoch,
  incarnation: string,
): { failure: Failure } | { next: VaultRecord; changed: boolean } {
  if (record === null) return { next: { epoch, incarnation, base: 0, head: 0, last: 0, rebuilding: 0 }, changed: true };
  if (epoch < record.epoch) return refused(stale(epoch, record.epoch));
  if (record.rebuilding === 1) return refused(rebuilding());
  if (epoch === record.epoch) {
    if (incarnation !== record.incarnation)
      return refused(failed("stale_epoch", `Epoch ${epoch} belongs to another container.`));
    return { next: record, changed: false };
  }
  // The same container under a new epoch still holds what it began from, whatever the head is by now.
  const base = incarnation === record.incarnation ? record.base : record.head;
  return { next: { ...record, epoch, incarnation, base }, changed: true };
}

/** Null when the actor is the one that the Vault is bound to. */
export function refusal(
  record: VaultRecord | null,
  actor: { epoch: Epoch; incarnation: string },
): { ok: false; failure: Failure } | null {
  if (record === null) return failed("save_failed", "This vault was never bound to a container.");
  if (actor.epoch < record.epoch) return stale(actor.epoch, record.epoch);
  if (actor.epoch > record.epoch) return failed("save_failed", `Epoch ${actor.epoch} was never fenced here.`);
  if (actor.incarnation !== record.incarnation)
    return failed("stale_epoch", `Epoch ${actor.epoch} belongs to another container.`);
  return null;
}

/** Nobody begins from what is not all there yet. */
export const rebuilding = (): { ok: false; failure: Failure } =>
  failed("operation_in_progress", "This vault is being rebuilt from R2, and goes on by itself until that ends.");

export function stale(epoch: Epoch, current: Epoch): { ok: false; failure: Failure } {
  return failed("stale_epoch", `Epoch ${epoch} was superseded by ${current}.`);
}

/** What a commit becomes. A conflict weighs more than the guard: a tree that began elsewhere says nothing about what vanished. */
export function planCommit(facts: {
  base: Generation | 0;
  head: Generation | 0;
  previous: Size | null;
  now: Size;
  force: boolean;
}): "commit" | "quarantine" | "detach" {
  if (facts.base !== facts.head) return "detach";
  if (!facts.force && facts.previous !== null && shrank(facts.previous, facts.now)) return "quarantine";
  return "commit";
}

/** P-GUARD: fewer than half of the files or of the bytes; it holds from the first file on. */
export const shrank = (previous: Size, now: Size): boolean =>
  now.files * 2 < previous.files || now.bytes * 2 < previous.bytes;

/** Larger files go to R2 in parts, which a tar's single stream cannot (R2 takes 5 GiB in one piece). */
const LARGEST_IN_BUNDLE = 4 * 1024 ** 3;

/** More are not worth the single uploads, nor the length of the list. */
const MOST_SUSPECTS = 200;

/** What `planSend` compares a manifest with. */
export interface SendFacts {
  base: Tree | null;
  /** `again`: whatever rclone stumbled over, it would stumble over again. */
  attempt: "first" | "again";
  /** See `OpenOptions`. */
  changedSinceNs?: string | null;
  /** What of the base stays without being listed. */
  staying?: Tree;
}

/**
 * How to send a tree: one tar when most of it is new (or may be), rclone for less, nothing when no file differs by kind, size or mod-time
 * and none is suspect. A save that is sent again goes as one tar.
 */
export function planSend(manifest: readonly ManifestEntry[], facts: SendFacts): Exclude<OpenAnswer, { how: "done" }> {
  const { base } = facts;
  const total: Size = { files: 0, bytes: 0 };
  const send: Size = { files: 0, bytes: 0 };
  const keys = new Set<string>();
  const suspects: string[] = [];
  const paths: string[] = [];
  let same = 0;
  let awkward = false;
  let tooLarge = false;
  for (const item of manifest) {
    if (item.kind === "directory") continue;
    const size = item.kind === "file" ? item.size : 0;
    total.files += 1;
    total.bytes += size;
    const key = keyOf(item.path, item.kind);
    if (keys.has(key) || !rcloneSends(item)) awkward = true;
    keys.add(key);
    const before = base?.get(item.path);
    if (before !== undefined && looksUnchanged(item, before)) {
      same += 1;
      if (!isSuspect(item, facts.changedSinceNs)) continue;
      suspects.push(item.path);
      // A list of names has one to a line.
      if (item.path.includes("\n")) awkward = true;
    }
    paths.push(item.path);
    send.files += 1;
    send.bytes += size;
    if (size > LARGEST_IN_BUNDLE) tooLarge = true;
  }
  const before = (base === null ? 0 : filesOf(base)) - filesOf(facts.staying ?? new Map());
  if (send.files === 0 && same === before) return { how: "unchanged" };
  const most = base === null || send.files * 2 > total.files || send.bytes * 2 > total.bytes;
  const bundle = most || awkward || suspects.length > MOST_SUSPECTS || facts.attempt === "again";
  return bundle && !tooLarge ? { how: "bundle" } : { how: "incremental", send, suspects, paths };
}

/** By all that a listing shows: kind, mod-time, and size or target. */
export function looksUnchanged(item: ManifestEntry, before: Entry): boolean {
  if (before.kind !== item.kind || before.mtimeNs !== item.mtimeNs) return false;
  return item.kind === "symlink" ? before.target === (item.target ?? "") : before.content?.size === item.size;
}

/** Whether a file that looks unchanged may be another one: its inode changed after it was known to be the base's. A symlink's target is listed. */
export const isSuspect = (item: ManifestEntry, changedSinceNs: string | null | undefined): boolean =>
  item.kind === "file" &&
  changedSinceNs !== undefined &&
  (changedSinceNs === null || BigInt(item.ctimeNs) > BigInt(changedSinceNs));

/** rclone fails on a regular file with the suffix of its links, and on names with U+201B, its own quote (tried with 1.75.2). */
const rcloneSends = ({ path, kind }: ManifestEntry): boolean =>
  !(kind === "file" && path.endsWith(LINK_SUFFIX)) && !path.includes("\u201B");

function filesOf(tree: Tree): number {
  let files = 0;
  for (const entry of tree.values()) if (entry.kind !== "directory") files += 1;
  return files;
}
