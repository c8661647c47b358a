import { tenantOf } from "../durable/stubs.ts";
import { parseTenantId, type TenantId } from "../ids.ts";
import type { Part, Sweep } from "./types.ts";
import { examine } from "./verdict.ts";

/** An alarm that is this late is a lost one: the platform's own lateness, and ours, are much less. */
const MARGIN_MS = 10 * 60_000;

/** Tenants whose due time in D1 is long past: an alarm that was lost is set again. Whoever wants nothing is not touched. */
export async function sweepDue(sweep: Sweep, after: string): Promise<Part> {
  const { results } = await sweep.env.DB.prepare(
    "SELECT tenant_id FROM tenants WHERE due_at < ? AND tenant_id > ? ORDER BY tenant_id LIMIT ?",
  )
    .bind(sweep.now - MARGIN_MS, after, sweep.limit)
    .all<{ tenant_id: string }>();
  const ids = results.map(({ tenant_id: id }) => id);
  const tenants = ids.flatMap((id) => {
    const thing = parseTenantId(id);
    return thing ? [{ id, thing }] : [];
  });
  const touch = (id: TenantId, mode: "look" | "mend") => tenantOf(sweep.env, id).touch(mode);
  const judge = async (id: TenantId) => {
    const standing = await touch(id, "look");
    if (!standing) return { orphan: "D1 has it, its object does not: it is made anew" };
    return standing.alarm === "lost" ? { orphan: `its alarm was lost while it was ${standing.state}` } : null;
  };
  const part = await examine(sweep, "due", tenants, judge, async (id) => (await touch(id, "mend")) !== null);
  return { ...part, after: ids.length < sweep.limit ? null : (ids.at(-1) ?? null) };
}
