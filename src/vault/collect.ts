import { within } from "../durable/deadline.ts";
import { log } from "../log.ts";
import { R2_MS } from "./contents.ts";
import { deliver } from "./packs/deliver.ts";
import { transact, type VaultParts } from "./parts.ts";
import { retained } from "./retention.ts";
import { ORPHAN_MS } from "./saving.ts";
import { spill } from "./spill.ts";

/** Decided saves whose outcome can still be asked for. */
const REMEMBERED_SAVES = 200;
/** What R2 deletes in one call (platform limit). */
const R2_BATCH = 1000;

/**
 * What a Vault does by its alarm: forgets generations that retention does not keep, brings R2 up to date, then removes what no retained
 * generation, open save or recent upload needs. Every step is idempotent: an alarm may fire twice, and R2 is always cleared before the row
 * that remembers the key, and after the ledger that names it. Answers when to come again, in ms since 1970, or null.
 */
export async function tend(parts: VaultParts): Promise<number | null> {
  const record = parts.store.record();
  if (record === null || record.rebuilding === 1) return null;
  endSaves(parts);
  await endOrphans(parts);
  pruneGenerations(parts);
  const delivery = await deliver(parts);
  transact(parts, () => parts.garbage.sweepBodies());
  if (delivery === null) await sweepObjects(parts);
  const oldest = parts.uploads.oldest();
  return earliest([
    delivery,
    spill(parts),
    parts.leases.held().until,
    oldest === null ? null : oldest + ORPHAN_MS + 60_000,
  ]);
}

const earliest = (times: readonly (number | null)[]): number | null => {
  const due = times.filter((time) => time !== null);
  return due.length === 0 ? null : Math.min(...due);
};

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

async function endOrphans(parts: VaultParts): Promise<void> {
  for (;;) {
    const orphans = parts.uploads.orphans(parts.now() - ORPHAN_MS, 100);
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
async function abandon(parts: VaultParts, object: string, r2UploadId: string): Promise<void> {
  try {
    await within(R2_MS, `aborting ${object}`, parts.bucket().resumeMultipartUpload(object, r2UploadId).abort());
  } catch (error) {
    log.warn("vault: a multipart upload could not be aborted", { object, error: String(error) });
  }
}

function pruneGenerations(parts: VaultParts): void {
  const record = parts.store.record();
  if (record === null) return;
  const now = parts.now();
  transact(parts, () => parts.leases.expire(now));
  const generations = parts.store.generations();
  const stay = retained(generations, [record.head, record.base, ...parts.leases.held().generations], now);
  const gone = generations.filter((one) => !stay.has(one.generation));
  if (gone.length === 0) return;
  transact(parts, () => {
    parts.store.deleteGenerations(gone.map((one) => one.generation));
    for (const one of gone) if (one.status !== "kept") parts.garbage.dropAside(one.generation);
    const history = generations.filter((one) => one.status === "kept" && stay.has(one.generation));
    parts.garbage.prune(history.map((one) => one.generation));
    parts.packs.enqueue(0);
  });
}

async function sweepObjects(parts: VaultParts): Promise<void> {
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
    for (const { pack } of packs.slice(0, R2_BATCH)) parts.packs.forget(pack);
  });
}
