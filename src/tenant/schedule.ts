import { needsOf } from "./plan-start.ts";
import type { TenantRecord } from "./record.ts";

const DAY_MS = 86_400_000;
/** After a wake that found no capacity. */
const AGAIN_MS = 60_000;

/** When a tenant is woken by its lifecycle; null when only a request wakes it. Pure. */
export function wakeAtOf(record: TenantRecord, now: number): number | null {
  if (record.state !== "asleep" || needsOf(record).length > 0) return null;
  const failedJustNow = record.errors[0]?.at === now;
  switch (record.lifecycle.mode) {
    case "on-demand":
      return null;
    case "always-on":
      return failedJustNow ? now + AGAIN_MS : (record.wakeAt ?? now);
    case "scheduled":
      if (failedJustNow && record.wakeAt !== null) return now + AGAIN_MS;
      return record.wakeAt ?? nextOf(record.lifecycle.wakeTimes ?? [], now);
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
