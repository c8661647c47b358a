import { log } from "../log.ts";
import type { VaultParts } from "./parts.ts";
import { transact } from "./parts.ts";
import { retained } from "./retention.ts";
import { ORPHAN_MS } from "./saving.ts";

/** Decided saves whose outcome can still be asked for. */
const REMEMBERED_SAVES = 200;
/** What R2 deletes in one call (platform limit). */
const R2_BATCH = 1000;

/**
 * Removes what no retained generation, open save or recent upload needs. Every step is idempotent: an alarm may fire twice, and R2 is always
 * cleared before the row that remembers the key. Answers when to come again, in ms since 1970, or null when nothing is left to wait for.
 */
export async function collect(parts: VaultParts, bucket: R2Bucket): Promise<number | null> {
  if (parts.store.record() === null) return null;
  endSaves(parts);
  await endOrphans(parts, bucket);
  pruneGenerations(parts);
  transact(parts, () => parts.garbage.sweepBodies());
  for (;;) {
    const objects = parts.garbage.objects(R2_BATCH);
    if (objects.length === 0) break;
    await bucket.delete(objects);
    transact(parts, () => parts.garbage.deleted(objects));
  }
  const oldest = parts.uploads.oldest();
  return oldest === null ? null : oldest + ORPHAN_MS + 60_000;
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

async function endOrphans(parts: VaultParts, bucket: R2Bucket): Promise<void> {
  for (;;) {
    const orphans = parts.uploads.orphans(parts.now() - ORPHAN_MS, 100);
    if (orphans.length === 0) return;
    for (const { object, r2UploadId } of orphans) {
      if (r2UploadId !== null) await abandon(bucket, object, r2UploadId);
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
async function abandon(bucket: R2Bucket, object: string, r2UploadId: string): Promise<void> {
  try {
    await bucket.resumeMultipartUpload(object, r2UploadId).abort();
  } catch (error) {
    log.warn("vault: a multipart upload could not be aborted", { object, error: String(error) });
  }
}

function pruneGenerations(parts: VaultParts): void {
  const record = parts.store.record();
  if (record === null) return;
  const generations = parts.store.generations();
  const stay = retained(generations, [record.head, record.base], parts.now());
  const gone = generations.filter((one) => !stay.has(one.generation));
  if (gone.length === 0) return;
  transact(parts, () => {
    parts.store.deleteGenerations(gone.map((one) => one.generation));
    for (const one of gone) if (one.status !== "kept") parts.garbage.dropAside(one.generation);
    const history = generations.filter((one) => one.status === "kept" && stay.has(one.generation));
    parts.garbage.prune(history.map((one) => one.generation));
  });
}
