import { inTurns, tenantsAfter } from "../admin/pages.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { parseTenantId } from "../ids.ts";
import type { VaultApi } from "../vault/types.ts";
import { vaultsOf } from "./prefixes.ts";
import { nothingFound, type Part, type Sweep } from "./types.ts";

/** Each page of a check looks at 500 keys; what is left of a very large vault is looked at by `fsck`. */
const PAGES = 40;
const PAGE_MS = 30_000;
/** A check that begins with what R2 lists (src/vault/fsck/check.ts). */
const LISTING = "listing:";

/**
 * What lies in R2 under a tenant's name and nothing in its vault refers to, a day after it was written: the vault itself
 * says so (`fsck`), and deletes it with its next collection, if that is so then. Asking sets a lost alarm of the vault again.
 */
export async function sweepVaults(sweep: Sweep, after: string): Promise<Part> {
  const part = nothingFound();
  const ids = await tenantsAfter(sweep.env, after, sweep.limit, (pool, error) => {
    part.failed.push({ id: `pool:${pool}`, detail: messageOf(error) });
  });
  await inTurns(ids, async (id) => {
    const tenantId = parseTenantId(id);
    if (!tenantId) return;
    part.calls += 1;
    try {
      for (const { name, vault } of await vaultsOf(sweep.env, tenantId)) await look(sweep, part, name, vault);
    } catch (error) {
      part.failed.push({ id, detail: messageOf(error) });
    }
  });
  return { ...part, after: ids.length < sweep.limit ? null : (ids.at(-1) ?? null) };
}

async function look(sweep: Sweep, part: Part, name: string, vault: VaultApi): Promise<void> {
  part.checked += 1;
  let cursor: string | null = LISTING;
  for (let page = 0; cursor !== null && page < PAGES; page += 1) {
    part.calls += 1;
    const answer: Awaited<ReturnType<VaultApi["fsck"]>> = await within(
      PAGE_MS,
      `the check of ${name}`,
      vault.fsck(cursor, { repair: sweep.mode === "mend" }),
    );
    if (!answer.ok) {
      // A vault that is rebuilt is looked at when it is whole.
      part.failed.push({ id: name, detail: answer.failure.detail });
      return;
    }
    for (const { detail, repaired, what } of answer.value.problems) {
      const finding = { kind: "vaults" as const, id: name, detail };
      part.found.push(finding);
      if (repaired) part.removed.push(finding);
      else if (what !== "orphan") part.skipped.push({ ...finding, reason: "`fsck` tells more, and mends it" });
      else if (sweep.mode === "mend") part.skipped.push({ ...finding, reason: "it changed meanwhile" });
    }
    cursor = answer.value.next;
  }
  if (cursor !== null)
    part.failed.push({ id: name, detail: "It is larger than a sweep looks at: `fsck` sees all of it." });
}
