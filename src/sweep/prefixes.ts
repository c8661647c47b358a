import { within } from "../durable/deadline.ts";
import { specVaultName, specVaultOf, tenantOf, vaultOf } from "../durable/stubs.ts";
import { parseTenantId, type TenantId } from "../ids.ts";
import { ledgerKey } from "../vault/packs/ledger.ts";
import { prefixOf } from "../vault/parts.ts";
import type { VaultApi } from "../vault/types.ts";
import { foldersAfter, foldersUnder, youngestUnder } from "./bucket.ts";
import { nothingFound, type Part, type Sweep } from "./types.ts";
import { examine, type Verdict } from "./verdict.ts";

const ROOT = "tenants/";
/** Nothing that is younger is touched: whoever writes without being known yet is known by then. */
const GRACE_MS = 7 * 86_400_000;
const R2_MS = 60_000;

/**
 * What lies in R2 under the name of a tenant that does not exist. It goes only where everybody agrees: no row in D1, an
 * object that knows nothing or holds nothing any more, nothing written for a week, and no committed generation, of the state or of
 * a sync spec, unless the record says that those were to be deleted. A name in a listing alone proves nothing.
 */
export async function sweepPrefixes(sweep: Sweep, after: string): Promise<Part> {
  const { env } = sweep;
  const { names, next } = await within(R2_MS, "R2", foldersAfter(env.BUCKET, ROOT, after, sweep.limit));
  const part = { ...nothingFound(), checked: names.length, after: next };
  const unknown: { id: string; thing: TenantId }[] = [];
  const listed = await amongListed(env.DB, names);
  for (const name of names) {
    const tenantId = parseTenantId(name);
    if (!tenantId) {
      const detail = `${ROOT}${name}/ is nobody's: that is no tenant's id`;
      part.found.push({ kind: "prefixes", id: name, detail });
      part.skipped.push({ kind: "prefixes", id: name, detail, reason: "nothing of ours writes there" });
    } else if (!listed.has(name)) unknown.push({ id: name, thing: tenantId });
  }
  const judged = await examine(
    sweep,
    "prefixes",
    unknown,
    (id) => judge(sweep, id),
    (id) => erased(env, id),
  );
  return {
    ...part,
    found: [...part.found, ...judged.found],
    removed: judged.removed,
    skipped: [...part.skipped, ...judged.skipped],
    failed: judged.failed,
    calls: judged.calls,
  };
}

async function judge({ env, now }: Sweep, id: TenantId): Promise<Verdict> {
  const standing = await tenantOf(env, id).touch("look");
  if (standing && (standing.state !== "destroyed" || standing.keepsData)) return null; // D1 lacks its row: a rebuild brings it
  const orphan = `${prefixOf(id)} is of a tenant that does not exist`;
  const youngest = await youngestUnder(env.BUCKET, prefixOf(id));
  if (youngest === null) return null;
  if (youngest === "too many") return { orphan, but: "it holds more than a sweep looks at: destroy the tenant" };
  if (now - youngest < GRACE_MS) return { orphan, but: "it was written within a week" };
  for (const { name, vault } of await vaultsOf(env, id)) {
    const { generations } = await vault.describe();
    if (generations.length > 0) return { orphan, but: "its vault holds generations: claim the tenant, or destroy it" };
    const isSaved = (await env.BUCKET.head(ledgerKey(prefixOf(name)))) !== null;
    if (isSaved && !(await wasToGo(env.DB, id))) {
      return { orphan, but: "it holds committed generations, and nothing says that they were to be deleted" };
    }
  }
  return { orphan };
}

/** Those of sync specs first: what a tenant's own vault erases in R2 is theirs too. */
export async function vaultsOf(env: Env, id: TenantId): Promise<{ name: string; vault: VaultApi }[]> {
  const specs = await foldersUnder(env.BUCKET, `${prefixOf(id)}specs/`);
  return [
    ...specs.map((spec) => ({ name: specVaultName(id, spec), vault: specVaultOf(env, id, spec) })),
    { name: id, vault: vaultOf(env, id) },
  ];
}

/** In one query: D1 takes a thousand in one run. */
async function amongListed(db: D1Database, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const { results } = await db
    .prepare("SELECT tenant_id FROM tenants WHERE tenant_id IN (SELECT value FROM json_each(?))")
    .bind(JSON.stringify(ids))
    .all<{ tenant_id: string }>();
  return new Set(results.map((row) => row.tenant_id));
}

/** Whether the last that is recorded of the tenant is that its data was deleted. */
async function wasToGo(db: D1Database, id: TenantId): Promise<boolean> {
  const last = await db
    .prepare("SELECT action, detail FROM audit WHERE subject = ? ORDER BY id DESC LIMIT 1")
    .bind(`tenant:${id}`)
    .first<{ action: string; detail: string }>();
  if (last?.action === "tenant.data_deleted" || last?.action === "tenant.data_expired") return true;
  return last?.action === "tenant.destroyed" && JSON.parse(last.detail).erased !== undefined;
}

/** By the vaults themselves, under the epochs that they have: whoever writes there afterwards has a later one. */
async function erased(env: Env, id: TenantId): Promise<boolean> {
  for (const { vault } of await vaultsOf(env, id)) {
    const { epoch } = await vault.describe();
    if (!(await vault.erase(epoch)).ok) return false;
  }
  return true;
}
