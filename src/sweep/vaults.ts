import { inTurns, tenantsAfter } from "../admin/pages.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { specVaultName, specVaultOf, vaultOf } from "../durable/stubs.ts";
import { parseTenantId, type TenantId } from "../ids.ts";
import type { VaultApi } from "../vault/types.ts";
import { foldersUnder } from "./bucket.ts";
import { nothingFound, type Part, type Sweep } from "./types.ts";

/** Each page of a check looks at some hundred keys; what is left of a very large vault is looked at by `fsck`. */
const PAGES = 40;
const PAGE_MS = 30_000;
/** A check that begins with what R2 lists (src/vault/fsck/check.ts). */
const LISTING = "listing:";

/**
 * What lies in R2 under a tenant's name and nothing in its vault refers to, a day after it was written: the vault itself
 * says so (`fsck`), and deletes it with its next collection, if that is so then. Asking sets a lost alarm of the vault again.
 */
export async function sweepVaults(sweep: Sweep, after: string): Promise<Part> {
  const ids = await tenantsAfter(sweep.env, after, sweep.limit);
  const part = nothingFound();
  await inTurns(ids, async (id) => {
    const tenantId = parseTenantId(id);
    if (!tenantId) return;
    try {
      for (const { name, vault } of await vaultsOf(sweep.env, tenantId)) await look(sweep, part, name, vault);
    } catch (error) {
      part.failed.push({ id, detail: messageOf(error) });
    }
  });
  return { ...part, after: ids.length < sweep.limit ? null : (ids.at(-1) ?? null) };
}

async function vaultsOf(env: Env, id: TenantId): Promise<{ name: string; vault: VaultApi }[]> {
  const specs = await foldersUnder(env.BUCKET, `tenants/${id}/specs/`);
  return [
    { name: id, vault: vaultOf(env, id) },
    ...specs.map((spec) => ({ name: specVaultName(id, spec), vault: specVaultOf(env, id, spec) })),
  ];
}

async function look(sweep: Sweep, part: Part, name: string, vault: VaultApi): Promise<void> {
  part.checked += 1;
  let cursor: string | null = LISTING;
  for (let page = 0; cursor !== null && page < PAGES; page += 1) {
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
    }
    cursor = answer.value.next;
  }
}
