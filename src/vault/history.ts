import type { Epoch, Generation } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { decided } from "./lifecycle.ts";
import { transact, type VaultParts } from "./parts.ts";
import { stale } from "./plan.ts";
import { abortOpen, committedOf, outcomeOf, PACK_SOON_MS, step, summary, treeOf } from "./saves.ts";
import { difference } from "./tree.ts";
import type { Committed, SaveRef, VaultDescription } from "./types.ts";

/** What is done with generations that are there already: shown, pinned, accepted, restored. None of them needs a container. */
export function promote(parts: VaultParts, epoch: Epoch, wanted: Generation | undefined): Outcome<Committed> {
  const record = parts.store.record();
  if (record === null) return failed("not_found", "Nothing was ever saved.");
  if (epoch < record.epoch) return stale(epoch, record.epoch);
  const head = parts.store.generation(record.head);
  if (head !== null && wanted === head.generation) return done(committedOf(head));
  const found = parts.store
    .generations()
    .findLast((row) => row.status === "quarantined" && row.generation > record.head);
  if (found === undefined || (wanted !== undefined && wanted !== found.generation)) {
    return failed("not_found", "No generation newer than the head is quarantined.");
  }
  const changes = difference(parts.entries.tree(record.head), treeOf(parts, found));
  const promoted: Committed = { ...summary(found), changed: changes.changed };
  const result = transact(parts, () => {
    parts.entries.apply(changes, found.generation);
    parts.garbage.dropAside(found.generation);
    parts.store.writeGeneration({ ...found, status: "kept", changed: changes.changed });
    // The container that made this generation goes on from it; any other began elsewhere, and its next save will say so.
    const raised = epoch > record.epoch ? { epoch, incarnation: null } : {};
    const base = record.incarnation === found.incarnation ? found.generation : record.base;
    parts.store.writeRecord({ ...record, ...raised, base, head: found.generation });
    if (epoch > record.epoch) abortOpen(parts, () => true);
    const save = parts.store.saveById(found.saveId);
    if (save !== null) parts.store.updateSave({ ...save, state: step(save, "promote"), outcome: done(promoted) });
    parts.packs.enqueue(0);
    parts.arm(parts.now() + PACK_SOON_MS);
  });
  return result.ok ? done(promoted) : result;
}

export function restoreTo(parts: VaultParts, ref: SaveRef, generation: Generation): Outcome<Committed> {
  const record = parts.store.record();
  const known = record === null ? null : parts.store.saveById(ref.saveId);
  if (known !== null && decided(known.state)) return outcomeOf(known);
  if (known !== null) return failed("save_failed", `${ref.saveId} is the id of another save.`);
  const source = record && parts.store.generation(generation);
  if (record === null || source === null) return failed("not_found", `There is no generation ${generation}.`);
  if (ref.epoch < record.epoch) return stale(ref.epoch, record.epoch);
  const changes = difference(parts.entries.tree(record.head), treeOf(parts, source));
  const next = (record.last + 1) as Generation;
  const { files, bytes, treeHash } = source;
  const committed: Committed = { generation: next, files, bytes, changed: changes.changed };
  const { epoch, incarnation, saveId } = ref;
  return transact(parts, () => {
    const raised = epoch > record.epoch ? { epoch, incarnation: null } : {};
    if (epoch > record.epoch) abortOpen(parts, () => true);
    parts.entries.apply(changes, next);
    const row = { ...committed, saveId, epoch, incarnation, treeHash, at: parts.now(), pinned: false };
    parts.store.writeGeneration({ ...row, status: "kept" });
    parts.store.writeRecord({ ...record, ...raised, head: next, last: next });
    const save = parts.store.insertSave({ ...ref, base: record.head, at: parts.now(), options: {} });
    parts.store.updateSave({ ...save, state: step(save, "commit"), generation: next, outcome: done(committed) });
    parts.packs.enqueue(next);
    parts.arm(parts.now() + PACK_SOON_MS);
    return committed;
  });
}

export function pin(parts: VaultParts, generation: Generation, options: { pinned: boolean }): Outcome<null> {
  const row = parts.store.record() && parts.store.generation(generation);
  if (row === null) return failed("not_found", `There is no generation ${generation}.`);
  if (row.pinned === options.pinned) return done(null);
  return transact(parts, () => {
    parts.store.writeGeneration({ ...row, pinned: options.pinned });
    parts.packs.enqueue(0);
    parts.arm(parts.now() + PACK_SOON_MS);
    return null;
  });
}

export function describe(parts: VaultParts): VaultDescription {
  const record = parts.store.record();
  if (record === null) return { epoch: 0 as Epoch, head: null, generations: [] };
  const rows = parts.store.generations();
  const head = rows.find((row) => row.generation === record.head);
  return {
    epoch: record.epoch,
    head: head === undefined ? null : { ...summary(head), at: head.at },
    generations: rows.map((row) => ({
      ...committedOf(row),
      status: row.generation === record.head ? ("head" as const) : row.status,
      at: row.at,
      epoch: row.epoch,
      pinned: row.pinned,
      treeHash: row.treeHash,
    })),
  };
}
