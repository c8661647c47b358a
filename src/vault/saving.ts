import type { Epoch, Generation } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { assemble } from "./assemble.ts";
import { after, decided, type SaveEvent } from "./lifecycle.ts";
import { treeHash } from "./manifest.ts";
import { Refused, transact, type VaultParts } from "./parts.ts";
import { planCommit, planFence, planSend, refusal, stale, type VaultRecord } from "./plan.ts";
import type { GenerationRow, Save } from "./store.ts";
import { type Difference, difference, sizeOf, type Tree } from "./tree.ts";
import type { Committed, GenerationSummary, ManifestEntry, OpenAnswer, SaveRef, VaultDescription } from "./types.ts";

/** Longer than any deadline of a save or a restore: what was reserved before it can belong to nobody any more. */
export const ORPHAN_MS = 24 * 60 * 60 * 1000;
/** Collection waits, so that it never competes with the release or the claim that made it necessary. */
const COLLECT_SOON_MS = 60 * 1000;

export function fence(
  parts: VaultParts,
  epoch: Epoch,
  incarnation: string,
): Outcome<{ head: GenerationSummary | null }> {
  const plan = planFence(parts.store.record(), epoch, incarnation);
  if ("failure" in plan) return { ok: false, failure: plan.failure };
  if (plan.changed) {
    const raised = transact(parts, () => {
      parts.store.writeRecord(plan.next);
      abortOpen(parts, () => true);
    });
    if (!raised.ok) return raised;
  }
  const head = parts.store.generation(plan.next.base);
  return done({ head: head === null ? null : summary(head) });
}

export function open(parts: VaultParts, ref: SaveRef, manifest: ManifestEntry[]): Outcome<OpenAnswer> {
  const record = parts.store.record();
  const known = record === null ? null : parts.store.saveById(ref.saveId);
  if (known !== null && decided(known.state)) return done({ how: "done", outcome: outcomeOf(known) });
  const refused = refusal(record, ref);
  if (refused !== null || record === null) return refused ?? failed("internal", "No record.");
  const base = record.base === 0 ? null : parts.entries.tree(record.base);
  const triedBefore = known !== null && (known.state === "aborted" || parts.staging.any(known.save));
  const answer = planSend(manifest, base, triedBefore ? "again" : "first");
  const opened = transact(parts, () => {
    abortOpen(parts, (save) => save.saveId !== ref.saveId);
    const save =
      known === null
        ? parts.store.insertSave({ ...ref, base: record.base, at: parts.now() })
        : reopen(parts, known, ref, record);
    parts.staging.writeManifest(save, manifest);
    parts.arm(parts.now() + ORPHAN_MS + COLLECT_SOON_MS);
  });
  return opened.ok ? done(answer) : opened;
}

export function commit(parts: VaultParts, ref: SaveRef, force: boolean): Outcome<Committed> {
  const record = parts.store.record();
  const save = record === null ? null : parts.store.saveById(ref.saveId);
  if (save !== null && decided(save.state)) {
    if (force && save.state === "quarantined" && save.generation !== null)
      return promote(parts, ref.epoch, save.generation);
    return outcomeOf(save);
  }
  const refused = refusal(record, ref);
  if (refused !== null || record === null) return refused ?? failed("internal", "No record.");
  if (save === null || save.state !== "open")
    return failed("save_failed", "This save is not open; open it and send it again.");
  if (save.bundle === "begun")
    return failed("save_failed", "The state did not arrive whole; open the save and send it again.");

  const base = parts.entries.tree(save.base);
  const sent = { base, staged: parts.staging.all(save.save), bundle: save.bundle === "complete" };
  const assembled = assemble(parts.staging.manifest(save.save), sent);
  if (!assembled.ok) return failed("save_failed", mismatchDetail(assembled.mismatches));
  return decide(parts, { record, save, base, tree: assembled.tree, force });
}

function decide(
  parts: VaultParts,
  facts: { record: VaultRecord; save: Save; base: Tree; tree: Tree; force: boolean },
): Outcome<Committed> {
  const { record, save, tree } = facts;
  const now = sizeOf(tree.values());
  const previous = parts.store.generation(record.head);
  const verdict = planCommit({ base: save.base, head: record.head, previous, now, force: facts.force });
  const changes = difference(facts.base, tree);
  const generation = (record.last + 1) as Generation;
  const committed: Committed = { generation, ...now, changed: changes.changed };
  const row = rowOf(parts, save, committed, treeHash(tree));
  switch (verdict) {
    case "commit":
      return settle(parts, save, "commit", done(committed), () => {
        parts.entries.apply(changes, generation);
        parts.store.writeGeneration({ ...row, status: "kept" });
        parts.store.writeRecord({ ...record, base: generation, head: generation, last: generation });
      });
    case "quarantine": {
      const extra = { generation, previous: { files: previous?.files, bytes: previous?.bytes }, now };
      const detail = `The save has ${now.files} files and ${now.bytes} bytes; generation ${record.head} has ${previous?.files} and ${previous?.bytes}. It is kept as generation ${generation}, not as the head.`;
      return settle(parts, save, "quarantine", failed("guard_blocked", detail, { extra }), () => keep("quarantined"));
    }
    case "detach": {
      const extra = { generation, base: save.base, head: record.head };
      const detail = `The save began from generation ${save.base}, but the head is ${record.head} by now. It is kept as generation ${generation}, not as the head.`;
      return settle(parts, save, "detach", failed("conflict", detail, { extra }), () => keep("detached"));
    }
  }

  function keep(status: "quarantined" | "detached"): void {
    parts.entries.keepAside(tree, generation);
    parts.store.writeGeneration({ ...row, status });
    parts.store.writeRecord({ ...record, last: generation });
  }
}

/** The one transaction that decides a save: its effect and its recorded outcome. */
function settle(
  parts: VaultParts,
  save: Save,
  event: SaveEvent,
  outcome: Outcome<Committed>,
  effect: () => void,
): Outcome<Committed> {
  const settled = transact(parts, () => {
    effect();
    const generation = parts.store.record()?.last ?? 0;
    parts.store.updateSave({ ...save, state: step(save, event), generation: generation as Generation, outcome });
    parts.arm(parts.now() + COLLECT_SOON_MS);
  });
  return settled.ok ? outcome : settled;
}

export function abort(parts: VaultParts, ref: SaveRef): Outcome<null> {
  const record = parts.store.record();
  if (record === null) return done(null);
  if (ref.epoch < record.epoch) return stale(ref.epoch, record.epoch);
  const aborted = transact(parts, () => {
    abortOpen(parts, (save) => save.saveId === ref.saveId);
    return null;
  });
  return aborted;
}

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
  const changes: Difference = difference(parts.entries.tree(record.head), parts.entries.asideTree(found.generation));
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
    parts.arm(parts.now() + COLLECT_SOON_MS);
  });
  return result.ok ? done(promoted) : result;
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
    })),
  };
}

/** Inside a commit. */
function abortOpen(parts: VaultParts, which: (save: Save) => boolean): void {
  for (const save of parts.store.openSaves().filter(which)) {
    parts.store.updateSave({ ...save, state: step(save, "abort") });
    parts.arm(parts.now() + COLLECT_SOON_MS);
  }
}

/** Attempts go on counting, so that a late batch of an earlier tar still finds itself superseded. Inside a commit. */
function reopen(parts: VaultParts, save: Save, ref: SaveRef, record: VaultRecord): number {
  parts.staging.clear(save.save);
  parts.store.updateSave({ ...save, ...ref, state: step(save, "reopen"), base: record.base, bundle: "none" });
  return save.save;
}

function step(save: Save, event: SaveEvent): Save["state"] {
  const next = after(save.state, event);
  if (next === null) throw new Refused(failed("invalid_transition", `A save that is ${save.state} cannot ${event}.`));
  return next;
}

function outcomeOf(save: Save): Outcome<Committed> {
  return save.outcome ?? failed("internal", `The outcome of save ${save.saveId} was not recorded.`);
}

function rowOf(parts: VaultParts, save: Save, committed: Committed, hash: string): Omit<GenerationRow, "status"> {
  const { saveId, epoch, incarnation } = save;
  return { ...committed, saveId, epoch, incarnation, at: parts.now(), treeHash: hash };
}

const summary = ({ generation, files, bytes }: GenerationRow): GenerationSummary => ({ generation, files, bytes });
const committedOf = (row: GenerationRow): Committed => ({ ...summary(row), changed: row.changed });

function mismatchDetail(mismatches: readonly string[]): string {
  const some = mismatches.slice(0, 5).join("; ");
  const more = mismatches.length > 5 ? `; and ${mismatches.length - 5} more` : "";
  return `What arrived is not what the state directory holds: ${some}${more}.`;
}
