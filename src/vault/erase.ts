import { messageOf, within } from "../durable/deadline.ts";
import { type Epoch, generation } from "../ids.ts";
import { log } from "../log.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { abandon } from "./collect.ts";
import { reach } from "./contents.ts";
import { transact, type VaultParts } from "./parts.ts";
import { TABLES } from "./schema.ts";
import type { ErasureProof } from "./types.ts";

/** What R2 lists and deletes in one call (platform limit). */
const R2_BATCH = 1000;
/** For what the alarm has under way; it deletes by itself what it wrote for nothing. */
const SETTLE_MS = 30_000;

/**
 * Deletes everything that a tenant saved. The index goes first, in one transaction that also raises the epoch, so that
 * nothing can be read or added from then on; then every object under the tenant's prefix, until a listing is empty. @throws ContentError
 */
export async function erase(parts: VaultParts, epoch: Epoch): Promise<Outcome<ErasureProof>> {
  const record = parts.store.record();
  if (record !== null) {
    if (epoch < record.epoch) return stale(record.epoch);
    const multiparts = parts.uploads.multiparts();
    const emptied = transact(parts, () => {
      for (const table of Object.keys(TABLES)) if (table !== "vault") parts.storage.sql.exec(`DELETE FROM ${table}`);
      // Numbers of generations are never given out again.
      parts.store.writeRecord({
        ...record,
        epoch,
        incarnation: null,
        base: generation(0),
        head: generation(0),
        rebuilding: 0,
      });
    });
    if (!emptied.ok) return emptied;
    parts.entries.forget();
    // No listing shows them. One that is lost with this call R2 ends by itself, a week later.
    for (const { object, r2UploadId } of multiparts) await abandon(parts, object, r2UploadId);
  }
  // A pack that is being written would land after the listing.
  await within(SETTLE_MS, "what the vault was writing", parts.settled()).catch((error) => {
    log.warn("vault: erased while something was still being written", { error: messageOf(error) });
  });
  const bucket = parts.bucket();
  const prefix = parts.prefix();
  for (let deleted = 0; ; ) {
    const { objects } = await reach(bucket.list({ prefix, limit: R2_BATCH }));
    if (objects.length === 0) return done({ deleted, listed: 0, at: parts.now() });
    // One whose caller stopped waiting may go on until the tenant is claimed again: what was listed may be of that life.
    const now = parts.store.record()?.epoch ?? epoch;
    if (epoch < now) return stale(now);
    await reach(bucket.delete(objects.map(({ key }) => key)));
    deleted += objects.length;
  }
}

const stale = (epoch: Epoch) => failed("stale_epoch", `The vault is at epoch ${epoch}.`);
