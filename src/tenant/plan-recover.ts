import type { ContainerId } from "../ids.ts";
import type { Fresh, Limits, Plan, TenantEvent } from "./events.ts";
import { begin } from "./plan-start.ts";
import { end, letGo, move, nothing } from "./planning.ts";
import type { Loss, TenantRecord } from "./record.ts";

/** Decisions about a container that ended by itself. */

/** The container of `event` is gone: what was unsaved in it is lost and said so, and a fresh one takes its place. */
export function lost(
  record: TenantRecord,
  event: Extract<TenantEvent, { type: "lost" }>,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  if (record.held?.containerId !== event.containerId || record.held.epoch !== event.epoch) return nothing(record);
  const bare = { ...record, held: null, lastLoss: lossOf(record, event.containerId, event.detail, now) };
  const { retiring, steps } = letGo(record, "lost");
  if (record.state === "active") {
    const { operation } = record; // a save or a restart of the running workload ends with its container
    const detail = `The container was lost during the ${operation?.kind}: ${event.detail}`;
    const ended = operation && end(record, operation, now, { error: { code: "container_unavailable", detail } });
    const planned = begin({ ...bare, retiring }, "recover", "never", fresh, limits, now, steps);
    return planned.kind === "go" && ended ? { ...planned, ended } : planned;
  }
  if (record.state === "release_failed") {
    const [transition, desired] = record.suspension ? (["suspended", "asleep"] as const) : (["lost", "idle"] as const);
    return move(
      { ...record, ...bare, retiring },
      transition,
      { desired, hold: null, unsavedSince: null },
      { steps, detail: { reason: event.detail } },
    );
  }
  return nothing(record); // an operation in flight will meet it
}

export function lossOf(record: TenantRecord, containerId: ContainerId, detail: string, now: number): Loss | null {
  if (record.unsavedSince === null) return record.lastLoss;
  return { containerId, at: now, unsavedSince: record.unsavedSince, generation: record.generation, detail };
}
