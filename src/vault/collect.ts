import { within } from "../durable/deadline.ts";
import { log } from "../log.ts";
import { R2_MS } from "./contents.ts";
import { goOnAlone } from "./fsck/rebuild.ts";
import { deliver } from "./packs/deliver.ts";
import { transact, type VaultParts } from "./parts.ts";
import type { VaultRecord } from "./plan.ts";
import { planTend, type TendPlan, type TendSnapshot, type TendStep } from "./plan-tend.ts";
import { abortOpen } from "./saves.ts";
import { spill } from "./spill.ts";

/** Decided saves whose outcome can still be asked for. */
const REMEMBERED_SAVES = 200;
/** What R2 deletes in one call (platform limit). */
const R2_BATCH = 1000;
/** One step brings about the next at most a few times; whatever goes on for longer goes on later. */
const ROUNDS = 20;
const SOON_MS = 1000;

/**
 * What a Vault does by its alarm: ends what nobody goes on with, forgets generations that retention does not keep, brings R2 up to date, then
 * removes what no retained generation, open save or recent upload needs. Planned anew after every round; every step is idempotent: an alarm
 * may fire twice. Answers when to come again, in ms since 1970, or null.
 */
export async function tend(parts: VaultParts): Promise<number | null> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const snapshot = snapshotOf(parts);
    if (snapshot === null) return null;
    const { steps, due } = planTend(snapshot, parts.now());
    if (steps.length === 0) return earliest([due, spill(parts)]);
    for (const step of steps) await perform(parts, step);
  }
  return parts.now() + SOON_MS;
}

/**
 * What an alarm has to be set for; what is only worth doing when there is one anyway (to prune, to look through packs) is left out, since a
 * claim asks this.
 */
export function promised(parts: VaultParts): TendPlan {
  const record = parts.store.record();
  if (record === null) return { steps: [], due: null };
  const unknown = { generations: [], packs: false, endedSaves: false, surplusSaves: false };
  return planTend({ ...promisedBy(parts, record), ...unknown }, parts.now());
}

function snapshotOf(parts: VaultParts): TendSnapshot | null {
  const record = parts.store.record();
  if (record === null) return null;
  return {
    ...promisedBy(parts, record),
    endedSaves: parts.store.endedWithRows(1).length > 0,
    surplusSaves: parts.store.hasMore(REMEMBERED_SAVES),
    generations: parts.store.generations(),
    packs: parts.packs.unneeded().length > 0,
  };
}

const promisedBy = (parts: VaultParts, record: VaultRecord) => ({
  rebuilding: record.rebuilding === 1,
  open: parts.store.openSaves().map(({ save, at }) => ({ save, at })),
  oldestUpload: parts.uploads.oldest(),
  needed: [record.head, record.base],
  leases: parts.leases.all(),
  task: parts.packs.next(),
  ...parts.garbage.suspected(),
});

const earliest = (times: readonly (number | null)[]): number | null => {
  const due = times.filter((time) => time !== null);
  return due.length === 0 ? null : Math.min(...due);
};

async function perform(parts: VaultParts, step: TendStep): Promise<void> {
  switch (step.do) {
    case "rebuild":
      return goOnAlone(parts);
    case "abort":
      transact(parts, () => abortOpen(parts, ({ save }) => step.saves.includes(save)));
      return;
    case "end-saves":
      return endSaves(parts);
    case "end-uploads":
      return endUploads(parts, step.before);
    case "expire-leases":
      transact(parts, () => parts.leases.expire(parts.now()));
      return;
    case "prune":
      return prune(parts, step);
    case "deliver":
      await deliver(parts);
      return;
    case "sweep-bodies":
      transact(parts, () => parts.garbage.sweepBodies());
      return;
    case "sweep-objects":
      return sweepObjects(parts);
  }
}

/** What an ended save had staged is only suspected: a commit shares its contents with the generation that it made. */
function endSaves(parts: VaultParts): void {
  for (;;) {
    const ended = parts.store.endedWithRows(10);
    if (ended.length === 0) break;
    transact(parts, () => {
      for (const { save } of ended) {
        parts.staging.clear(save);
        parts.staging.dropManifest(save);
      }
    });
  }
  transact(parts, () => parts.store.forgetSaves(REMEMBERED_SAVES));
}

async function endUploads(parts: VaultParts, before: number): Promise<void> {
  for (;;) {
    const orphans = parts.uploads.orphans(before, 100);
    if (orphans.length === 0) return;
    for (const { object, r2UploadId } of orphans) {
      if (r2UploadId !== null) await abandon(parts, object, r2UploadId);
    }
    transact(parts, () => {
      for (const { object } of orphans) {
        parts.uploads.forget(object);
        parts.garbage.suspect(object);
      }
    });
  }
}

/** R2 forgets uploads by itself after seven days, so one that is gone already is no failure. */
export async function abandon(parts: VaultParts, object: string, r2UploadId: string): Promise<void> {
  try {
    await within(R2_MS, `aborting ${object}`, parts.bucket().resumeMultipartUpload(object, r2UploadId).abort());
  } catch (error) {
    log.warn("vault: a multipart upload could not be aborted", { object, error: String(error) });
  }
}

/** What was planned is looked at once more: a generation that somebody reads meanwhile stays. */
function prune(parts: VaultParts, { stay, gone }: Extract<TendStep, { do: "prune" }>): void {
  const read = new Set(parts.leases.all().map(({ generation }) => generation));
  const kept = new Set([...stay, ...gone.filter((generation) => read.has(generation))]);
  const generations = parts.store.generations();
  const leaving = generations.filter(({ generation }) => gone.includes(generation) && !kept.has(generation));
  if (leaving.length === 0) return;
  transact(parts, () => {
    parts.store.deleteGenerations(leaving.map(({ generation }) => generation));
    for (const { generation, status } of leaving) if (status !== "kept") parts.garbage.dropAside(generation);
    const left = generations.filter((one) => one.status === "kept" && !leaving.includes(one));
    parts.garbage.prune(left.map(({ generation }) => generation));
    parts.packs.enqueue(0);
  });
}

async function sweepObjects(parts: VaultParts): Promise<void> {
  transact(parts, () => parts.garbage.sweepBodies());
  for (;;) {
    const objects = parts.garbage.objects(R2_BATCH);
    if (objects.length === 0) break;
    await within(R2_MS, "deleting contents", parts.bucket().delete(objects));
    transact(parts, () => parts.garbage.deleted(objects));
  }
  const packs = parts.packs.unneeded();
  if (packs.length === 0) return;
  await within(R2_MS, "deleting packs", parts.bucket().delete(packs.slice(0, R2_BATCH).map(({ object }) => object)));
  transact(parts, () => {
    for (const { object } of packs.slice(0, R2_BATCH)) parts.packs.forget(object);
  });
}
