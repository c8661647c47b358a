import type { ContainerId } from "../ids.ts";
import type { ContainerEnd } from "../instance/types.ts";
import type { TenantRecord } from "./record.ts";

/**
 * How containers of a tenant ended by themselves, and what follows from it: when the next one starts, when none does any
 * more, and whether they have too little memory. Pure.
 */
export interface EndOf extends ContainerEnd {
  containerId: ContainerId;
}

/** Crashes are counted together for so long; a container that ran as long ran well. */
export const CRASH_WINDOW_MS = 600_000;
/** So many of them, and nothing is started until somebody asks for it. */
export const BREAKER_CRASHES = 5;
const FIRST_MS = 2_000;
const LAST_MS = 600_000;

const DAY_MS = 86_400_000;
const KEPT_ENDS = 20;
const OOM_HINT_FROM = 3;

/** Of the last day, the newest first; the newest stays. Said twice of one container, it is one end. */
export function withEnd(record: TenantRecord, containerId: ContainerId, end: ContainerEnd): TenantRecord {
  const { ends = [] } = record;
  if (hasEnd(record, containerId)) return record;
  const earlier = ends.filter(({ at }) => at > end.at - DAY_MS);
  return { ...record, ends: [{ ...end, containerId }, ...earlier].slice(0, KEPT_ENDS) };
}

/** A kill inside a container that went on. The same record for one that was counted. */
export function withOom(record: TenantRecord, at: number): TenantRecord {
  const { ooms = [] } = record;
  if (at <= (ooms[0] ?? 0)) return record;
  return { ...record, ooms: [at, ...ooms.filter((earlier) => earlier > at - DAY_MS)].slice(0, KEPT_ENDS) };
}

export const hasEnd = ({ ends }: TenantRecord, containerId: ContainerId): boolean =>
  ends?.some((end) => end.containerId === containerId) === true;

/** The crashes that count, this one among them. */
export const crashesOf = ({ crashes = [] }: TenantRecord, now: number): number[] => [
  ...crashes.filter((at) => at > now - CRASH_WINDOW_MS),
  now,
];

/** 2 s, 4 s, 8 s, at most 10 min. `n` from 1. */
export const backoffMs = (n: number): number => Math.min(FIRST_MS * 2 ** Math.min(n - 1, 20), LAST_MS);

/** When the next container starts after the last of `crashes`: at once where the one before ran well. */
export const restartDelay = (crashes: readonly number[], ranMs: number): number =>
  ranMs >= CRASH_WINDOW_MS ? 0 : backoffMs(crashes.length);

export interface OutOfMemory {
  last24h: number;
  hint?: string;
}

/** Null when none was in the last day. */
export function outOfMemory({ ends = [], ooms = [], held, tier }: TenantRecord, now: number): OutOfMemory | null {
  const times = [...ends.filter(({ cause }) => cause === "oom").map(({ at }) => at), ...ooms];
  const last24h = times.filter((at) => at > now - DAY_MS).length;
  if (last24h === 0) return null;
  const of = held?.tier ?? tier;
  const hint = `Its containers ran out of memory ${last24h} times in a day: give the tenant a larger tier${of ? ` than ${of}` : ""}.`;
  return { last24h, ...(last24h >= OOM_HINT_FROM ? { hint } : {}) };
}
