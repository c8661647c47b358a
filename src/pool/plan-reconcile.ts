import type { ContainerId } from "../ids.ts";
import { endingDue } from "./plan-ending.ts";
import { planRefill, planReplace, planShrink } from "./plan-size.ts";
import type { PoolRecord, Slot } from "./record.ts";

/**
 * What a pool does to come to what it should be. It follows from what there is now, not from what happened: asked again
 * after all of it was done, it is nothing. Costs one pass over the slots. Pure; times in ms since 1970.
 */

export type PoolStep =
  | { do: "retire"; containerId: ContainerId; reason: string }
  /** Whether a warm slot's container is still there. */
  | { do: "look"; containerId: ContainerId }
  /** A start whose promise died with an earlier life of the object. */
  | { do: "resume"; containerId: ContainerId }
  /** Whether a lease's tenant has its container. */
  | { do: "confirm"; containerId: ContainerId }
  | { do: "start"; count: number };

/** What an object's memory knows beside its record. */
export interface Memory {
  /** Its start is under way in this life of the object. */
  isStarting(id: ContainerId): boolean;
  /** Its end is being asked for right now. */
  isEnding(id: ContainerId): boolean;
  /** When a warm slot is looked at again; null for one that this life of the object has not seen alive. */
  lookAt(id: ContainerId): number | null;
  /** Claims that wait for room: what becomes free is theirs. */
  waiting: number;
  /** This life of the object has not tried anything yet: what an earlier one put off is tried at once. */
  isFirstLook: boolean;
}

/** Looks that are due a little later are made now, so that a pool of a thousand wakes every few seconds and not for each. */
export const LOOK_SLACK_MS = 5_000;
/** Further ahead than any look is put: the clock went back. */
const LOOK_AT_MOST_MS = 60_000;

/** `ceilingMs`: the longest that a start may take, its admission included. */
export function planReconcile(
  record: PoolRecord,
  slots: readonly Slot[],
  memory: Memory,
  ceilingMs: number,
  now: number,
): PoolStep[] {
  const steps: PoolStep[] = [];
  const retire = (containerId: ContainerId, reason: string) => steps.push({ do: "retire", containerId, reason });
  for (const slot of slots) {
    const { containerId, state, lease } = slot;
    if (state === "draining") {
      if ((endingDue(slot) <= now || memory.isFirstLook) && !memory.isEnding(containerId)) retire(containerId, "swept");
      continue;
    }
    if (state === "warm") {
      const at = memory.lookAt(containerId);
      if (at === null || at <= now + LOOK_SLACK_MS || at > now + LOOK_AT_MOST_MS)
        steps.push({ do: "look", containerId });
    }
    if (state === "starting") {
      if (now - slot.startedAt > ceilingMs) retire(containerId, "start overdue");
      else if (!memory.isStarting(containerId)) steps.push({ do: "resume", containerId });
    }
    if (state === "failed") retire(containerId, "failed");
    if (lease?.confirmBy != null && lease.confirmBy <= now) steps.push({ do: "confirm", containerId });
  }
  for (const id of planShrink(record, slots, now)) retire(id, "surplus");
  const afterShrink = without(slots, steps);
  for (const id of planReplace(record, afterShrink, now)) retire(id, "replaced");
  if (memory.waiting > 0) return steps;
  const left = without(slots, steps);
  const own = left.filter((slot) => slot.state === "starting" && slot.lease === null).length;
  const count = planRefill(record, left, own, now);
  if (count > 0) steps.push({ do: "start", count });
  return steps;
}

/** The slots without those that are retired. */
function without(slots: readonly Slot[], steps: readonly PoolStep[]): Slot[] {
  const ended = new Set(steps.flatMap((step) => (step.do === "retire" ? [step.containerId] : [])));
  return ended.size === 0 ? [...slots] : slots.filter((slot) => !ended.has(slot.containerId));
}
