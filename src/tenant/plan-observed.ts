import type { Fresh, Limits, Plan, TenantEvent } from "./events.ts";
import { lost } from "./plan-recover.ts";
import { beginSleep } from "./plan-save.ts";
import { nothing } from "./planning.ts";
import { idleTimeoutOf, type TenantRecord } from "./record.ts";
import { takenUp } from "./syncs.ts";

/** What a look at the container shows. */
export function observed(
  before: TenantRecord,
  event: Extract<TenantEvent, { type: "observed" }>,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const { held } = before;
  if (!held || held.containerId !== event.containerId || before.operation) return nothing(before);
  const syncs = event.specs && takenUp(before.syncs, event.specs, now);
  const record = syncs === before.syncs || !syncs ? before : { ...before, syncs };
  const { observation } = event;
  if (!observation.alive) {
    return lost(
      record,
      { type: "lost", containerId: held.containerId, epoch: held.epoch, detail: observation.detail ?? "not running" },
      fresh,
      limits,
      now,
    );
  }
  if (record.state !== "active") return nothing(record);
  const lastActivityAt = Math.max(record.lastActivityAt ?? held.since, observation.lastActivityAt);
  const seen = lastActivityAt === record.lastActivityAt ? record : { ...record, lastActivityAt };
  const idleTimeoutMs = idleTimeoutOf(record, held);
  if (idleTimeoutMs !== null && observation.openRequests === 0 && now - lastActivityAt >= idleTimeoutMs) {
    return beginSleep(seen, lastActivityAt, fresh, limits, now);
  }
  return { kind: "go", record: seen, steps: [], journal: [] };
}
