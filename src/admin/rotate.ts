import { messageOf, within } from "../durable/deadline.ts";
import { tenantOf } from "../durable/stubs.ts";
import { parseTenantId } from "../ids.ts";
import { rewrapSyncSecrets } from "../registry/sync-specs.ts";
import type { Keyring } from "../secrets/envelope.ts";
import { inTurns, tenantsAfter } from "./pages.ts";

export interface Rotated {
  /** Tenants that were asked. */
  tenants: number;
  rewrapped: number;
  /** Sealed rows of D1 that were sealed anew. */
  rows: number;
  failed: { id: string; detail: string }[];
  /** After which tenant to go on; null: this was the end. */
  next: string | null;
}

const REWRAP_MS = 15_000;

/**
 * Wraps the next page of tenants' data keys under the current SECRETS_KEY; what D1 itself keeps sealed comes with the
 * first page. What is wrapped already stays as it is, so that it can be begun again at any time.
 */
export async function rotate(env: Env, keyring: Keyring, after: string, limit: number): Promise<Rotated> {
  const failed: Rotated["failed"] = [];
  const rows = after === "" ? await rewrapRows(env.DB, keyring, failed) : 0;
  const ids = await tenantsAfter(env, after, limit);
  let rewrapped = 0;
  await inTurns(ids, async (id) => {
    const tenantId = parseTenantId(id);
    if (!tenantId) return;
    try {
      const outcome = await within(REWRAP_MS, `the rotation of ${id}`, tenantOf(env, tenantId).rewrap());
      if (outcome.ok) rewrapped += outcome.value.rewrapped ? 1 : 0;
      else if (outcome.failure.code !== "not_found") failed.push({ id, detail: outcome.failure.detail });
    } catch (error) {
      failed.push({ id, detail: messageOf(error) });
    }
  });
  const next = ids.length < limit ? null : (ids.at(-1) ?? null);
  return { tenants: ids.length, rewrapped, rows, failed, next };
}

async function rewrapRows(db: D1Database, keyring: Keyring, failed: Rotated["failed"]): Promise<number> {
  try {
    return await rewrapSyncSecrets(db, keyring);
  } catch (error) {
    failed.push({ id: "sync-specs", detail: messageOf(error) });
    return 0;
  }
}
