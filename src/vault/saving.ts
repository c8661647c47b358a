import type { Epoch, Generation } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { filterRules, ruleFilter } from "../sync/glob.ts";
import { assemble } from "./assemble.ts";
import { promote } from "./history.ts";
import { staying } from "./keep.ts";
import { decided, type SaveEvent } from "./lifecycle.ts";
import { treeHash } from "./manifest.ts";
import { transact, type VaultParts } from "./parts.ts";
import { planCommit, planFence, planSend, refusal, stale, type VaultRecord } from "./plan.ts";
import { ORPHAN_MS } from "./plan-tend.ts";
import { abortOpen, COLLECT_SOON_MS, outcomeOf, PACK_SOON_MS, step, summary } from "./saves.ts";
import type { GenerationRow, Save } from "./store.ts";
import { difference, keyOf, sizeOf, type Tree } from "./tree.ts";
import type {
  CommitOptions,
  Committed,
  GenerationSummary,
  ManifestEntry,
  OpenAnswer,
  OpenOptions,
  SaveRef,
  Size,
} from "./types.ts";

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

export function open(
  parts: VaultParts,
  ref: SaveRef,
  manifest: ManifestEntry[],
  options: OpenOptions,
): Outcome<OpenAnswer> {
  const record = parts.store.record();
  const known = record === null ? null : parts.store.saveById(ref.saveId);
  if (known !== null && decided(known.state)) return done({ how: "done", outcome: outcomeOf(known) });
  const refused = refusal(record, ref);
  if (refused !== null || record === null) return refused ?? failed("internal", "No record.");
  const base = record.base === 0 ? null : parts.entries.tree(record.base);
  const triedBefore = known !== null && (known.state === "aborted" || parts.staging.any(known.save));
  const answer = planSend(manifest, {
    base,
    attempt: triedBefore ? "again" : "first",
    ...(options.changedSinceNs !== undefined && { changedSinceNs: options.changedSinceNs }),
    staying: staying(base ?? new Map(), manifest, options.keep),
  });
  const opened = transact(parts, () => {
    abortOpen(parts, (save) => save.saveId !== ref.saveId);
    const save =
      known === null
        ? parts.store.insertSave({ ...ref, base: record.base, at: parts.now(), options })
        : reopen(parts, { ...known, ...ref, base: record.base, options });
    parts.staging.writeManifest(save.save, manifest);
    parts.arm(parts.now() + ORPHAN_MS + COLLECT_SOON_MS);
  });
  return opened.ok ? done(answer) : opened;
}

export function commit(parts: VaultParts, ref: SaveRef, options: CommitOptions): Outcome<Committed> {
  const record = parts.store.record();
  const save = record === null ? null : parts.store.saveById(ref.saveId);
  if (save !== null && decided(save.state)) {
    if (options.force && save.state === "quarantined" && save.generation !== null)
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
  const sent = { ...save.options, base, staged: parts.staging.all(save.save), bundle: save.bundle === "complete" };
  const assembled = assemble(parts.staging.manifest(save.save), sent);
  if (!assembled.ok) return failed("save_failed", mismatchDetail(assembled.mismatches));
  return decide(parts, { record, save, base, tree: assembled.tree, options });
}

function decide(
  parts: VaultParts,
  facts: { record: VaultRecord; save: Save; base: Tree; tree: Tree; options: CommitOptions },
): Outcome<Committed> {
  const { record, save, tree, options } = facts;
  const now = sizeOf(tree.values());
  const head = parts.store.generation(record.head);
  const previous = head && stillWanted(head, facts.base, options.exclude ?? []);
  const verdict = planCommit({ base: save.base, head: record.head, previous, now, force: options.force });
  const changes = difference(facts.base, tree);
  const generation = (record.last + 1) as Generation;
  const committed: Committed = { generation, ...now, changed: changes.changed };
  const row = rowOf(parts, save, committed, treeHash(tree));
  if (options.skipUnchanged && verdict === "commit" && head?.treeHash === row.treeHash)
    return settle(parts, save, "commit", done({ ...summary(head), changed: 0, unchanged: true as const }), () => {});
  switch (verdict) {
    case "commit":
      return settle(parts, save, "commit", done(committed), () => {
        parts.entries.apply(changes, generation);
        parts.store.writeGeneration({ ...row, status: "kept" });
        parts.packs.enqueue(generation);
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
    parts.packs.enqueue(generation);
    parts.store.writeRecord({ ...record, last: generation });
  }
}

/** What the guard compares with: of the head, what is saved at all by now. */
function stillWanted(head: GenerationRow, base: Tree, exclude: readonly string[]): Size {
  if (exclude.length === 0) return head;
  const { file } = ruleFilter(filterRules({ exclude }));
  return sizeOf([...base.values()].filter(({ path, kind }) => kind === "directory" || file(keyOf(path, kind))));
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
    const generation = outcome.ok ? outcome.value.generation : ((parts.store.record()?.last ?? 0) as Generation);
    parts.store.updateSave({ ...save, state: step(save, event), generation, outcome });
    parts.arm(parts.now() + PACK_SOON_MS);
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

/** Attempts go on counting, so that a late batch of an earlier tar still finds itself superseded. Inside a commit. */
function reopen(parts: VaultParts, save: Save): Save {
  parts.staging.clear(save.save);
  const reopened: Save = { ...save, state: step(save, "reopen"), bundle: "none", at: parts.now() };
  parts.store.updateSave(reopened);
  return reopened;
}

function rowOf(parts: VaultParts, save: Save, committed: Committed, hash: string): Omit<GenerationRow, "status"> {
  const { saveId, epoch, incarnation } = save;
  return { ...committed, saveId, epoch, incarnation, at: parts.now(), treeHash: hash, pinned: false };
}

function mismatchDetail(mismatches: readonly string[]): string {
  const some = mismatches.slice(0, 5).join("; ");
  const more = mismatches.length > 5 ? `; and ${mismatches.length - 5} more` : "";
  return `What arrived is not what the state directory holds: ${some}${more}.`;
}
