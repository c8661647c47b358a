import type { Epoch, Generation } from "../../ids.ts";
import { done, type Failure, failed, type Outcome } from "../../outcome.ts";
import { ContentError, reach } from "../contents.ts";
import type { SaveState } from "../lifecycle.ts";
import { treeHash } from "../manifest.ts";
import { parsePackName } from "../packs/format.ts";
import { type Ledger, readLedger } from "../packs/ledger.ts";
import { type Manifest, readManifest } from "../packs/read.ts";
import { Refused, transact, type VaultParts } from "../parts.ts";
import { stale } from "../plan.ts";
import { committedOf, PACK_SOON_MS } from "../saves.ts";
import { TABLES } from "../schema.ts";
import type { GenerationRow } from "../store.ts";
import { type Content, difference, type Entry, type Tree } from "../tree.ts";
import type { RebuildPage } from "../types.ts";

/** How long one page goes on beginning generations. */
const PAGE_MS = 10_000;

/** Whether R2 holds generations of a Vault that has no index, so that its storage must have been lost. @throws ContentError */
export async function indexMissing(parts: VaultParts): Promise<boolean> {
  if (parts.store.record() !== null) return false;
  const prefix = `${parts.prefix()}packs/`;
  const { objects } = await reach(parts.bucket().list({ prefix, limit: 1 }));
  return objects.length > 0;
}

export async function rebuild(
  parts: VaultParts,
  epoch: Epoch,
  options: { after: Generation | null; discard: boolean },
): Promise<Outcome<RebuildPage>> {
  const record = parts.store.record();
  const { after, discard } = options;
  if (record !== null && epoch < record.epoch) return stale(epoch, record.epoch);
  if (record !== null && record.rebuilding === 0 && !discard)
    return failed("conflict", "This vault has an index; what is in it and not in R2 yet would be lost.");
  if (after !== null && record?.rebuilding !== 1)
    return failed("invalid_transition", "No rebuild of this vault is under way; begin one.");
  const plan = await planOf(parts);
  if (plan.wanted.length === 0) return failed("not_found", "R2 holds no generation of this vault.");
  const problems: string[] = [];
  if (after === null) {
    const begun = transact(parts, () => begin(parts, epoch, plan));
    if (!begun.ok) return begun;
    problems.push(...plan.missing.map((one) => `Generation ${one} has no manifest in R2.`));
  }
  const deadline = parts.now() + PAGE_MS;
  const restored: Generation[] = [];
  for (const { generation, object } of plan.wanted) {
    if (after !== null && generation <= after) continue;
    const failure = await bringBack(parts, plan, epoch, object);
    if (failure === null) restored.push(generation as Generation);
    else if (failure.code === "internal") problems.push(`Generation ${generation}: ${failure.detail}`);
    else return { ok: false, failure };
    if (parts.now() >= deadline && generation !== plan.wanted.at(-1)?.generation)
      return done({ restored, problems, next: generation as Generation, head: null });
  }
  const head = finish(parts, plan);
  if (!head.ok) return head;
  if (plan.ledger !== null && plan.ledger.head > head.value)
    problems.push(`The head was generation ${plan.ledger.head}, which could not be brought back.`);
  return done({ restored, problems, next: null, head: head.value === 0 ? null : head.value });
}

/** What R2 has, and what of it counts. */
interface Plan {
  ledger: Ledger | null;
  /** Generations and their manifests, in order. */
  wanted: { generation: number; object: string }[];
  /** Generations that are retained and have no manifest. */
  missing: number[];
  /** Length of every object and pack. */
  sizes: Map<string, number>;
  /** The highest generation that was ever given out, as far as R2 knows. */
  last: number;
}

/** The ledger says what is retained; what is newer than it counts too. Without a ledger everything does that can be brought back. */
async function planOf(parts: VaultParts): Promise<Plan> {
  const ledger = await reach(readLedger(parts));
  const sizes = new Map<string, number>();
  for (const below of ["objects/", "packs/"]) await listInto(sizes, parts, `${parts.prefix()}${below}`);
  const manifests = new Map<number, { object: string; number: number }>();
  for (const object of sizes.keys()) {
    const name = parsePackName(object);
    if (name?.what !== "manifest") continue;
    const known = manifests.get(name.generation);
    if (known === undefined || known.number < name.number)
      manifests.set(name.generation, { object, number: name.number });
  }
  const retained = ledger?.generations.map(({ generation }): number => generation) ?? [];
  const counts = (generation: number) => ledger === null || generation > ledger.last || retained.includes(generation);
  const wanted = [...manifests]
    .filter(([generation]) => counts(generation))
    .map(([generation, { object }]) => ({ generation, object }))
    .sort((a, b) => a.generation - b.generation);
  return {
    ledger,
    wanted,
    sizes,
    missing: retained.filter((generation) => !manifests.has(generation)),
    last: Math.max(ledger?.last ?? 0, ...manifests.keys()),
  };
}

async function listInto(sizes: Map<string, number>, parts: VaultParts, prefix: string): Promise<void> {
  let cursor: string | undefined;
  do {
    const options = { prefix, limit: 1000, ...(cursor !== undefined && { cursor }) };
    const page = await reach(parts.bucket().list(options));
    for (const { key, size } of page.objects) sizes.set(key, size);
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
}

/** Whatever the index held goes; from here on only the rebuild may touch the Vault. Inside a commit. */
function begin(parts: VaultParts, epoch: Epoch, plan: Plan): void {
  const record = { epoch, incarnation: null, base: 0, head: 0, last: plan.last, rebuilding: 1 } as const;
  if (parts.store.record() !== null) {
    for (const table of Object.keys(TABLES)) if (table !== "vault") parts.storage.sql.exec(`DELETE FROM ${table}`);
  }
  parts.entries.forget();
  parts.bodies.forget();
  if (plan.ledger !== null && epoch <= plan.ledger.epoch) throw new Refused(stale(epoch, plan.ledger.epoch));
  parts.store.writeRecord(record);
}

/** One generation, in one commit. Answers with why it could not be: `internal` where R2 has not what it takes, else R2 did not answer. */
async function bringBack(parts: VaultParts, plan: Plan, epoch: Epoch, object: string): Promise<Failure | null> {
  let manifest: Manifest;
  try {
    manifest = await readManifest(parts, object);
  } catch (error) {
    if (error instanceof ContentError) return error.failure;
    return failed("internal", `${object} cannot be read: ${String(error)}`).failure;
  }
  const { head, entries } = manifest;
  if (epoch <= head.generation.epoch) return stale(epoch, head.generation.epoch).failure;
  const lacking = entries.find((one) => !isThere(plan, head.packs, one));
  if (lacking !== undefined) return failed("internal", `The content of ${lacking.entry.path} is not in R2.`).failure;
  const tree: Tree = new Map(entries.map(({ entry }) => [entry.path, entry]));
  if (treeHash(tree) !== head.generation.treeHash)
    return failed("internal", `${object} is not what was committed.`).failure;
  const written = transact(parts, () => write(parts, plan, manifest, tree));
  return written.ok ? null : written.failure;
}

function isThere({ sizes }: Plan, packs: readonly string[], { entry, placed }: Manifest["entries"][number]): boolean {
  const size = entry.content?.size ?? 0;
  if (placed === null) return size === 0;
  if (typeof placed === "string") return sizes.get(placed) === size;
  const [pack, start] = placed;
  return start + size <= (sizes.get(packs[pack] ?? "") ?? -1);
}

/** Inside a commit. */
function write(parts: VaultParts, plan: Plan, { head, entries }: Manifest, tree: Tree): void {
  const { outcome, ...packed } = head.generation;
  const known = plan.ledger?.generations.find(({ generation }) => generation === packed.generation);
  const row: GenerationRow = known ?? packed;
  const places = new Map(entries.map(({ entry, placed }) => [entry.path, placed]));
  for (const object of head.packs) enter(parts, plan, object, []);
  const place = (entry: Entry): Entry => {
    const placed = places.get(entry.path);
    if (entry.content === null || placed === null || placed === undefined || typeof placed === "string") return entry;
    const content: Content = {
      ...entry.content,
      body: bodyOf(parts, plan, head.packs[placed[0]] ?? "", placed[1], entry.content.size),
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
  plan: Plan,
  object: string,
  places: { body: number; start: number; size: number }[],
): void {
  const name = parsePackName(object);
  if (name === null) throw new Refused(failed("internal", `${object} is no name of a pack.`));
  const generation = name.generation as Generation;
  parts.packs.add(
    { object, generation, manifest: name.what === "manifest", bytes: plan.sizes.get(object) ?? 0 },
    places,
  );
}

function bodyOf(parts: VaultParts, plan: Plan, object: string, start: number, size: number): number {
  const known = parts.packs.bodyAt(object, start);
  if (known !== null) return known;
  const body = parts.bodies.reserve(1);
  enter(parts, plan, object, [{ body, start, size }]);
  return body;
}

/** The Vault is open again; nobody is bound to it, so that the next fence begins from the head. */
function finish(parts: VaultParts, plan: Plan): Outcome<Generation | 0> {
  const record = parts.store.record();
  if (record === null) return failed("internal", "The rebuilt vault is gone.");
  const history = parts.store.generations().filter(({ status }) => status === "kept");
  const known = history.filter(
    ({ generation }) => plan.ledger === null || generation === plan.ledger.head || generation > plan.ledger.last,
  );
  const head = (known.at(-1) ?? history.at(-1))?.generation ?? (0 as const);
  return transact(parts, () => {
    parts.store.writeRecord({ ...record, base: head, head, rebuilding: 0 });
    parts.packs.enqueue(0);
    parts.arm(parts.now() + PACK_SOON_MS);
    return head;
  });
}
