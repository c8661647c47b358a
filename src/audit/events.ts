import type { AuditFilter, AuditRow } from "./read.ts";

/**
 * The names of S3's DashboardEvents for records of the audit; what has none there is called by its action. This is the
 * only place where the two meet (docs/adr/0003-events-are-read-from-the-audit.md).
 */
const NAMES: Readonly<Record<string, string>> = {
  "tenant.assigned": "container.claimed",
  "tenant.released": "container.released",
  "tenant.slept": "container.released",
  "tenant.lost": "container.unhealthy",
  "tenant.sync": "sync.started",
  "tenant.synced": "sync.completed",
  "tenant.saved": "sync.completed",
  "tenant.sync_failed": "sync.failed",
  "tenant.save_failed": "sync.failed",
  "pool.breaker_opened": "pool.warning",
};

export interface DashboardEvent {
  /** Monotonic: of two events the later one has the higher. */
  id: number;
  version: 1;
  type: string;
  payload: Record<string, unknown>;
  timestamp: string;
}

/** The records that an event's name stands for. */
export function actionsOf(type: string): Pick<AuditFilter, "actions"> {
  const renamed = Object.keys(NAMES).filter((action) => NAMES[action] === type);
  return { actions: type in NAMES ? renamed : [type, ...renamed] };
}

interface Reader {
  actor: string;
  role: string;
}

/** Pure. A tenant sees who of its own did something; operators are not named to it. */
export const actorFor = (reader: Reader, actor: string): string =>
  reader.role !== "tenant" || actor === reader.actor || actor === "system" ? actor : "operator";

/** Pure. `reader`: a tenant sees what happened, and of those who did it its own. */
export function eventOf(row: AuditRow, reader: Reader): DashboardEvent {
  const actor = actorFor(reader, row.actor);
  const payload = { ...row.detail, ...subjectOf(row.subject), action: row.action, actor, result: row.result };
  const requestId = row.requestId === null || actor === "operator" ? {} : { requestId: row.requestId };
  return {
    id: row.id,
    version: 1,
    type: NAMES[row.action] ?? row.action,
    payload: { ...payload, ...requestId },
    timestamp: new Date(row.at).toISOString(),
  };
}

/** `tenant:alice` → `{tenantId: "alice"}`. */
function subjectOf(subject: string): Record<string, string> {
  const colon = subject.indexOf(":");
  return colon < 0 ? { subject } : { [`${subject.slice(0, colon)}Id`]: subject.slice(colon + 1) };
}
