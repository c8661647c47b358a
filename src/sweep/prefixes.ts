import { inTurns } from "../admin/pages.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { tenantOf, vaultOf } from "../durable/stubs.ts";
import { parseTenantId, type TenantId } from "../ids.ts";
import { ledgerKey } from "../vault/packs/ledger.ts";
import { prefixOf } from "../vault/parts.ts";
import { foldersAfter } from "./bucket.ts";
import { nothingFound, type Part, type Sweep } from "./types.ts";
import { examine, type Verdict } from "./verdict.ts";

const ROOT = "tenants/";
/** Nothing that is younger is touched: whoever writes without being known yet is known by then. */
const GRACE_MS = 7 * 86_400_000;
const R2_MS = 60_000;
const LOOKED_AT = 1_000;

/**
 * What lies in R2 under the name of a tenant that does not exist. It goes only where everybody agrees: no row in D1, an
 * object that knows nothing or holds nothing any more, nothing written for a week, and no committed generation, unless the
 * record says that those were to be deleted. A name in a listing alone proves nothing.
 */
export async function sweepPrefixes(sweep: Sweep, after: string): Promise<Part> {
  const { env } = sweep;
  const { names, next } = await within(R2_MS, "R2", foldersAfter(env.BUCKET, ROOT, after, sweep.limit));
  const part = nothingFound();
  const unknown: { id: string; thing: TenantId }[] = [];
  await inTurns(names, async (name) => {
    const tenantId = parseTenantId(name);
    if (!tenantId) {
      const detail = `${ROOT}${name}/ is nobody's: that is no tenant's id`;
      part.found.push({ kind: "prefixes", id: name, detail });
      part.skipped.push({ kind: "prefixes", id: name, detail, reason: "nothing of ours writes there" });
    } else if (!(await isListed(env.DB, tenantId))) unknown.push({ id: name, thing: tenantId });
  }).catch((error) => {
    part.failed.push({ id: ROOT, detail: messageOf(error) });
  });
  const judged = await examine(
    sweep,
    "prefixes",
    unknown,
    (id) => judge(sweep, id),
    (id) => erased(env, id),
  );
  return {
    checked: names.length,
    found: [...part.found, ...judged.found],
    removed: judged.removed,
    skipped: [...part.skipped, ...judged.skipped],
    failed: [...part.failed, ...judged.failed],
    after: next,
  };
}

async function judge({ env, now }: Sweep, id: TenantId): Promise<Verdict> {
  const standing = await tenantOf(env, id).touch("look");
  if (standing && (standing.state !== "destroyed" || standing.keepsData)) return null; // D1 lacks its row: a rebuild brings it
  const orphan = `${prefixOf(id)} is of a tenant that does not exist`;
  const { objects } = await env.BUCKET.list({ prefix: prefixOf(id), limit: LOOKED_AT });
  if (objects.length === 0) return null;
  const youngest = Math.max(...objects.map(({ uploaded }) => uploaded.getTime()));
  if (now - youngest < GRACE_MS) return { orphan, but: "it was written within a week" };
  const { generations } = await vaultOf(env, id).describe();
  if (generations.length > 0) return { orphan, but: "its vault holds generations: claim the tenant, or destroy it" };
  const isSaved = (await env.BUCKET.head(ledgerKey(prefixOf(id)))) !== null;
  if (isSaved && !(await wasToGo(env.DB, id))) {
    return { orphan, but: "it holds committed generations, and nothing says that they were to be deleted" };
  }
  return { orphan };
}

const isListed = async (db: D1Database, id: TenantId): Promise<boolean> =>
  (await db.prepare("SELECT 1 FROM tenants WHERE tenant_id = ?").bind(id).first()) !== null;

/** Whether the last that is recorded of the tenant is that its data was deleted. */
async function wasToGo(db: D1Database, id: TenantId): Promise<boolean> {
  const last = await db
    .prepare("SELECT action, detail FROM audit WHERE subject = ? ORDER BY id DESC LIMIT 1")
    .bind(`tenant:${id}`)
    .first<{ action: string; detail: string }>();
  if (last?.action === "tenant.data_deleted" || last?.action === "tenant.data_expired") return true;
  return last?.action === "tenant.destroyed" && JSON.parse(last.detail).erased !== undefined;
}

/** By the vault itself, under the epoch that it has: whoever writes there afterwards has a later one. */
async function erased(env: Env, id: TenantId): Promise<boolean> {
  const vault = vaultOf(env, id);
  const { epoch } = await vault.describe();
  return (await vault.erase(epoch)).ok;
}
