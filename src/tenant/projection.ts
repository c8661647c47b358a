import { recordDelivered } from "../audit/d1.ts";
import { nextAlarm } from "./alarms.ts";
import { restOf } from "./rebuild.ts";
import type { TenantRecord } from "./record.ts";
import type { TenantStore } from "./store.ts";

/** Statements of one batch; D1 takes about a hundred well. */
const BATCH = 50;

/** Sends D1 what it lacks of a tenant: the records of its journal, and what lists show of it. At least once, so all of it may come twice. */
export async function deliver(db: D1Database, store: TenantStore): Promise<"all" | "more"> {
  const record = store.load();
  const entries = store.journal.pending(BATCH);
  const last = entries.at(-1);
  if (!record || !last) return "all";
  const { seq } = store.journal.head();
  await db.batch([...entries.map((entry) => recordDelivered(db, entry)), projected(db, record, store)]);
  store.confirm(last.seq);
  return last.seq < seq ? "more" : "all";
}

/** The tenant's row, unless D1 has a newer one. */
export function projected(db: D1Database, record: TenantRecord, { journal }: TenantStore): D1PreparedStatement {
  const [latest] = journal.latest(1);
  return db
    .prepare(
      `INSERT INTO tenants (tenant_id, seq, state, desired, pool_id, container_id, tier, epoch, generation,
         unsaved_since, last_activity_at, last_error, created_at, updated_at, due_at, rest)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (tenant_id) DO UPDATE SET
         seq = excluded.seq, state = excluded.state, desired = excluded.desired, pool_id = excluded.pool_id,
         container_id = excluded.container_id, tier = excluded.tier, epoch = excluded.epoch,
         generation = excluded.generation, unsaved_since = excluded.unsaved_since,
         last_activity_at = excluded.last_activity_at, last_error = excluded.last_error,
         created_at = excluded.created_at, updated_at = excluded.updated_at, due_at = excluded.due_at,
         rest = excluded.rest
       WHERE excluded.seq >= seq`,
    )
    .bind(
      record.tenantId,
      journal.head().seq,
      record.state,
      record.desired,
      record.poolId,
      record.held?.containerId ?? null,
      record.tier ?? record.held?.tier ?? null,
      record.epoch,
      record.generation,
      record.unsavedSince,
      record.lastActivityAt,
      record.errors[0]?.code ?? null,
      record.createdAt,
      latest?.at ?? record.createdAt,
      nextAlarm(record, Date.now(), 0),
      JSON.stringify(restOf(record)),
    );
}
