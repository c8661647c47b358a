import { SYSTEM } from "../auth/principal.ts";
import type { Failure } from "../outcome.ts";
import { type Decision, entry } from "./administer.ts";
import { isTierFull } from "./admission.ts";
import { breakerRaised, tierRefused } from "./alerts.ts";
import { afterFailure } from "./breaker.ts";
import { isCurrent, type PoolRecord, type Slot } from "./record.ts";

/** What a pool stores of a start that failed; the same record and no entry where that is nothing. Pure. */
export function afterFailedStart(before: PoolRecord, slot: Slot, failure: Failure, now: number): Decision {
  // Of any tier: a claim may ask for another than the refill starts.
  const refused = slot.lease !== null && isTierFull(failure);
  const noted = refused ? tierRefused(before, slot.tier, now) : { record: before, entries: [] };
  // What another tier, version or network comes to says nothing of what the refill starts.
  if (!isCurrent(before, slot)) return noted;
  const { record, opened } = afterFailure(noted.record, failure, now);
  if (!opened) return { record, entries: noted.entries };
  const detail = { failures: record.failures?.count ?? 0, lastError: failure.detail };
  const raised = before.breaker ? [] : [breakerRaised(record, now)];
  const entries = [entry("pool.breaker_opened", before, record, SYSTEM, now, detail), ...raised];
  return { record, entries: [...noted.entries, ...entries] };
}
