import type { Epoch, Generation } from "../../ids.ts";
import { done, type Failure, failed } from "../../outcome.ts";
import { ContentError } from "../contents.ts";
import type { SaveState } from "../lifecycle.ts";
import { treeHash } from "../manifest.ts";
import { parsePackName } from "../packs/format.ts";
import { type Manifest, readManifest } from "../packs/read.ts";
import { Refused, transact, type VaultParts } from "../parts.ts";
import { stale } from "../plan.ts";
import { committedOf } from "../saves.ts";
import type { GenerationRow } from "../store.ts";
import { type Content, difference, type Entry, type Tree } from "../tree.ts";
import type { Inventory } from "./inventory.ts";

/** How often a generation is found to be not whole before it is given up: what R2 sends may be cut short once. */
const LOOKS = 2;

export const reached = (parts: VaultParts): number => parts.store.generations().at(-1)?.generation ?? 0;

/** What R2 says counts only while this very rebuild is under way: it may have been begun anew, ended or erased since it was asked. */
export function isUnderWay(parts: VaultParts, epoch: Epoch): boolean {
  const record = parts.store.record();
  return record?.rebuilding === 1 && record.epoch === epoch;
}

/** Answers with why a generation could not be brought back: `internal` where R2 has not what it takes, else R2 did not answer. */
export async function bringBack(
  parts: VaultParts,
  found: Inventory,
  epoch: Epoch,
  object: string,
): Promise<Failure | null> {
  for (let look = 1; ; look += 1) {
    const failure = await tryOnce(parts, found, epoch, object);
    if (failure?.code !== "internal" || look === LOOKS) return failure;
  }
}

/** In one commit. */
async function tryOnce(parts: VaultParts, found: Inventory, epoch: Epoch, object: string): Promise<Failure | null> {
  let manifest: Manifest;
  try {
    manifest = await readManifest(parts, object);
  } catch (error) {
    if (error instanceof ContentError) return error.failure;
    return failed("internal", `${object} cannot be read: ${String(error)}`).failure;
  }
  const { head, entries } = manifest;
  if (epoch <= head.generation.epoch) return stale(epoch, head.generation.epoch).failure;
  const lacking = entries.find((one) => !isThere(found, head.packs, one));
  if (lacking !== undefined) return failed("internal", `The content of ${lacking.entry.path} is not in R2.`).failure;
  const tree: Tree = new Map(entries.map(({ entry }) => [entry.path, entry]));
  if (treeHash(tree) !== head.generation.treeHash)
    return failed("internal", `${object} is not what was committed.`).failure;
  const written = transact(parts, () => {
    if (!isUnderWay(parts, epoch)) throw new Refused(failed("invalid_transition", "This rebuild is over."));
    if (head.generation.generation > reached(parts)) write(parts, found, manifest, tree);
  });
  return written.ok ? null : written.failure;
}

function isThere(
  { sizes }: Inventory,
  packs: readonly string[],
  { entry, placed }: Manifest["entries"][number],
): boolean {
  const size = entry.content?.size ?? 0;
  if (placed === null) return size === 0;
  if (typeof placed === "string") return sizes.get(placed) === size;
  const [pack, start] = placed;
  return start + size <= (sizes.get(packs[pack] ?? "") ?? -1);
}

/** Inside a commit. */
function write(parts: VaultParts, found: Inventory, { head, entries }: Manifest, tree: Tree): void {
  const { outcome, ...packed } = head.generation;
  const known = found.ledger?.generations.find(({ generation }) => generation === packed.generation);
  const row: GenerationRow = known ?? packed;
  const places = new Map(entries.map(({ entry, placed }) => [entry.path, placed]));
  for (const object of head.packs) enter(parts, found, object, []);
  const place = (entry: Entry): Entry => {
    const placed = places.get(entry.path);
    if (entry.content === null || placed === null || placed === undefined || typeof placed === "string") return entry;
    const content: Content = {
      ...entry.content,
      body: bodyOf(parts, found, head.packs[placed[0]] ?? "", placed[1], entry.content.size),
    };
    return { ...entry, content };
  };
  if (row.status === "kept") {
    const before = parts.store.generations().findLast(({ status }) => status === "kept");
    const changes = difference(before === undefined ? new Map() : parts.entries.tree(before.generation), tree);
    parts.entries.apply({ ...changes, begun: changes.begun.map(place) }, row.generation);
  } else {
    parts.entries.keepAside(new Map([...tree].map(([path, entry]) => [path, place(entry)])), row.generation);
  }
  parts.store.writeGeneration(row);
  const recorded = row.status === "kept" ? done(committedOf(row)) : outcome;
  if (recorded === null) return;
  const { saveId, epoch, incarnation, at } = row;
  const save = parts.store.insertSave({ saveId, epoch, incarnation, at, base: 0, options: {} });
  const state: SaveState = row.status === "kept" ? "committed" : row.status;
  parts.store.updateSave({ ...save, state, generation: row.generation, outcome: recorded });
}

function enter(
  parts: VaultParts,
  found: Inventory,
  object: string,
  places: { body: number; start: number; size: number }[],
): void {
  const name = parsePackName(object);
  if (name === null) throw new Refused(failed("internal", `${object} is no name of a pack.`));
  const generation = name.generation as Generation;
  parts.packs.add(
    { object, generation, manifest: name.what === "manifest", bytes: found.sizes.get(object) ?? 0 },
    places,
  );
}

function bodyOf(parts: VaultParts, found: Inventory, object: string, start: number, size: number): number {
  const known = parts.packs.bodyAt(object, start);
  if (known !== null) return known;
  const body = parts.bodies.reserve(1);
  enter(parts, found, object, [{ body, start, size }]);
  return body;
}
