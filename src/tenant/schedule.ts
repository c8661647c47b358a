import { COOLDOWN } from "../durable/cadence.ts";
import { needsOf } from "./plan-start.ts";
import type { TenantRecord } from "./record.ts";

const DAY_MS = 86_400_000;

/** When a tenant is woken by its lifecycle; null when only somebody who asks for it wakes it. Pure. */
export function wakeAtOf(record: TenantRecord, now: number): number | null {
  const { state, poolId, lifecycle, wakeAt, stoppedReason } = record;
  if (state !== "asleep" || poolId === null || needsOf(record).length > 0) return null;
  switch (lifecycle.mode) {
    case "on-demand":
      return null;
    case "always-on":
      if (wakeAt !== null) return wakeAt;
      // Whoever stopped it meant it: it stays so until somebody asks for it, or makes it always-on again.
      if (stoppedReason === "user") return null;
      return record.errors[0]?.at === now ? now + COOLDOWN.wake : now;
    case "scheduled":
      return wakeAt ?? nextOf(lifecycle.wakeTimes ?? [], now);
  }
}

/** The first of these times of day (`HH:MM`, UTC) that comes after `now`. Exported for tests. */
export function nextOf(times: readonly string[], now: number): number | null {
  const midnight = Math.floor(now / DAY_MS) * DAY_MS;
  const due = times.map((time) => {
    const [hours = 0, minutes = 0] = time.split(":").map(Number);
    const at = midnight + (hours * 60 + minutes) * 60_000;
    return at > now ? at : at + DAY_MS;
  });
  return due.length === 0 ? null : Math.min(...due);
}
