import { parseTenantId, type TenantId } from "../ids.ts";

/** Hashed host labels and whom they stand for. A label never changes its tenant, so what was read once stays true. */
const known = new Map<string, TenantId>();
const MAX_KNOWN = 5_000;

/** Null for a label that no claim has recorded. */
export async function tenantOfLabel(db: D1Database, label: string): Promise<TenantId | null> {
  const cached = known.get(label);
  if (cached) return cached;
  const text = await db
    .prepare("SELECT tenant_id FROM tenant_hosts WHERE label = ?")
    .bind(label)
    .first<string>("tenant_id");
  const tenantId = text === null ? null : parseTenantId(text);
  if (tenantId) remember(label, tenantId);
  return tenantId;
}

/** Makes a hashed label known; once per tenant and isolate, and nothing for a label that is the tenant's id. */
export async function recordLabel(db: D1Database, label: string, tenantId: TenantId): Promise<void> {
  if (label === tenantId || known.get(label) === tenantId) return;
  await db.prepare("INSERT OR IGNORE INTO tenant_hosts (label, tenant_id) VALUES (?, ?)").bind(label, tenantId).run();
  remember(label, tenantId);
}

function remember(label: string, tenantId: TenantId): void {
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(label, tenantId);
}
