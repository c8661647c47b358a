import type { ContainerId } from "../ids.ts";
import type { ContainerEnd, Observation } from "../instance/types.ts";
import { withOom } from "./ends.ts";
import type { Fresh, Going, Limits, Plan, TenantEvent } from "./events.ts";
import { lost, noteEnd } from "./plan-recover.ts";
import { beginSleep } from "./plan-save.ts";
import { nothing } from "./planning.ts";
import { type Held, idleTimeoutOf, type TenantRecord } from "./record.ts";
import { takenUp } from "./syncs.ts";

/** What a look at the container shows. What is stored is what is there: a look that shows nothing new changes nothing. */
export function observed(
  before: TenantRecord,
  event: Extract<TenantEvent, { type: "observed" }>,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const { held } = before;
  const { observation } = event;
  if (!held || held.containerId !== event.containerId) return nothing(before);
  const end = endOf(observation, now);
  if (end && (!before.operation || (before.state === "active" && !observation.alive))) {
    const { containerId, epoch } = held;
    return lost(before, { type: "lost", containerId, epoch, detail: end.detail, end }, fresh, limits, now);
  }
  // The operation in flight meets it; how it ended is known only here.
  if (before.operation) return end && !observation.alive ? noted(before, held, end) : nothing(before);
  const known = knowing(before, held, event, now);
  const { record, journal } = withKill(known, observation.lastOomAt, held.containerId);
  if (record.state !== "active" || !record.held) return { kind: "go", record, steps: [], journal };
  const lastActivityAt = Math.max(record.lastActivityAt ?? held.since, observation.lastActivityAt);
  const seen = lastActivityAt === record.lastActivityAt ? record : { ...record, lastActivityAt };
  const idleTimeoutMs = idleTimeoutOf(record, record.held);
  if (idleTimeoutMs !== null && observation.openRequests === 0 && now - lastActivityAt >= idleTimeoutMs) {
    const planned = beginSleep(seen, lastActivityAt, fresh, limits, now);
    return planned.kind === "go" ? { ...planned, journal: [...journal, ...planned.journal] } : planned;
  }
  return { kind: "go", record: seen, steps: [], journal };
}

/** The workload was killed for its memory and started again in its container: counted like one that ended with it. */
function withKill(
  before: TenantRecord,
  at: number | undefined,
  containerId: ContainerId,
): Pick<Going, "record" | "journal"> {
  const record = at === undefined ? before : withOom(before, at);
  const journal =
    record === before ? [] : [{ type: "container.oom", detail: { containerId, exitCode: 137, restarted: true } }];
  return { record, journal };
}

/** How it ended, or why it is as good as ended; null for one that goes on. An answer that is missing is neither. */
function endOf({ alive, end, detail }: Observation, now: number): ContainerEnd | null {
  if (!alive) return end ?? { at: now, cause: "lost", exitCode: null, detail: detail ?? "not running" };
  return end ?? null;
}

function noted(record: TenantRecord, held: Held, end: ContainerEnd): Going {
  return { kind: "go", ...noteEnd(record, held.containerId, end), steps: [] };
}

/** What the look says beside that: health, the pool's sync specs, and what its next container would run. The same object where nothing is new. */
function knowing(
  before: TenantRecord,
  held: Held,
  { observation, specs, workloadVersion }: Extract<TenantEvent, { type: "observed" }>,
  now: number,
): TenantRecord {
  const { health: known, latestVersion: version, ...rest } = held;
  const isUnhealthy = observation.health.status === "unhealthy";
  const latest = workloadVersion ?? version;
  const isSame = (known === "unhealthy") === isUnhealthy && latest === version;
  const syncs = specs && takenUp(before.syncs, specs, now);
  const record = syncs === before.syncs || !syncs ? before : { ...before, syncs };
  if (isSame) return record;
  const health = isUnhealthy ? { health: "unhealthy" as const } : {};
  return { ...record, held: { ...rest, ...health, ...(latest === undefined ? {} : { latestVersion: latest }) } };
}
