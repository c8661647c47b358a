import { type Kept, retained } from "./retention.ts";

/** What a Vault does by its alarm, from what it has at that moment. Pure; times in ms since 1970. */

/** Longer than any deadline of a save or a restore: what was begun before it can belong to nobody any more. */
export const ORPHAN_MS = 24 * 60 * 60 * 1000;
/** What is due for that is looked at a little later, when it is beyond doubt. */
const BEYOND_MS = 60 * 1000;

/** All that the plan depends on. */
export interface TendSnapshot {
  /** While the index is made anew nothing is as it will be, and that is all there is to do. */
  rebuilding: boolean;
  /** Saves that take puts, and when each was opened last. */
  open: readonly { save: number; at: number }[];
  /** Whether saves that ended still have what they staged, or are more than are remembered. */
  endedSaves: boolean;
  surplusSaves: boolean;
  /** When the oldest R2 key was reserved that is not staged; null without one. */
  oldestUpload: number | null;
  generations: readonly Kept[];
  /** The head, and what the bound container began from. */
  needed: readonly number[];
  leases: readonly { generation: number; until: number }[];
  /** What R2 lacks: when it is tried next; null where it lacks nothing. */
  task: { due: number } | null;
  /** Whether small contents, or R2 objects, are suspected to be nobody's; and packs that nothing needs. */
  bodies: boolean;
  objects: boolean;
  packs: boolean;
}

/** Each may be done again; in this order. */
export type TendStep =
  /** One page of it. */
  | { do: "rebuild" }
  | { do: "abort"; saves: number[] }
  | { do: "end-saves" }
  | { do: "end-uploads"; before: number }
  | { do: "expire-leases" }
  | { do: "prune"; stay: number[]; gone: number[] }
  | { do: "deliver" }
  | { do: "sweep-bodies" }
  /** R2 first, then the rows that remember the keys, and after the ledger that names them. */
  | { do: "sweep-objects" };

export interface TendPlan {
  steps: TendStep[];
  /** When there is something to do, should nothing happen before; strictly later than now. Null: never, by itself. */
  due: number | null;
}

export function planTend(snapshot: TendSnapshot, now: number): TendPlan {
  if (snapshot.rebuilding) return { steps: [{ do: "rebuild" }], due: null };
  return { steps: stepsOf(snapshot, now), due: dueOf(snapshot, now) };
}

function stepsOf(snapshot: TendSnapshot, now: number): TendStep[] {
  const { open, oldestUpload, leases, task } = snapshot;
  const steps: TendStep[] = [];
  const orphans = open.filter(({ at }) => at < now - ORPHAN_MS);
  if (orphans.length > 0) steps.push({ do: "abort", saves: orphans.map(({ save }) => save) });
  if (snapshot.endedSaves || snapshot.surplusSaves) steps.push({ do: "end-saves" });
  if (oldestUpload !== null && oldestUpload < now - ORPHAN_MS) {
    steps.push({ do: "end-uploads", before: now - ORPHAN_MS });
  }
  if (leases.some(({ until }) => until <= now)) steps.push({ do: "expire-leases" });
  const pruned = prune(snapshot, now);
  if (pruned) steps.push(pruned);
  if (task !== null && task.due <= now) steps.push({ do: "deliver" });
  if (snapshot.bodies) steps.push({ do: "sweep-bodies" });
  // Nothing goes from R2 that the ledger there may still name.
  if (task === null && !pruned && (snapshot.objects || snapshot.packs)) steps.push({ do: "sweep-objects" });
  return steps;
}

function prune({ generations, needed, leases }: TendSnapshot, now: number): Extract<TendStep, { do: "prune" }> | null {
  const read = leases.filter(({ until }) => until > now).map(({ generation }) => generation);
  const stay = retained(generations, [...needed, ...read], now);
  const gone = generations.map(({ generation }) => generation).filter((generation) => !stay.has(generation));
  return gone.length === 0 ? null : { do: "prune", stay: [...stay], gone };
}

function dueOf({ open, oldestUpload, leases, task }: TendSnapshot, now: number): number | null {
  const orphanAt = (at: number) => at + ORPHAN_MS + BEYOND_MS;
  const times = [
    ...open.map(({ at }) => orphanAt(at)),
    ...(oldestUpload === null ? [] : [orphanAt(oldestUpload)]),
    ...leases.map(({ until }) => until),
    ...(task === null ? [] : [task.due]),
  ];
  return times.length === 0 ? null : Math.max(now + 1, Math.min(...times));
}
