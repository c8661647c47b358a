import type { JournalEntry } from "./events.ts";
import type { TenantRecord } from "./record.ts";

/** What a person should look at. A function of the record, so that each is raised once and cleared once, whatever led there. */
export type TenantAlert = "tenant_breaker" | "state_missing" | "destroy_abandoned";

export function alertsOf({ state, stoppedReason, destruction, missing }: TenantRecord): TenantAlert[] {
  const alerts: TenantAlert[] = [];
  if (state === "error" && stoppedReason === "breaker") alerts.push("tenant_breaker");
  if (missing !== undefined) alerts.push("state_missing");
  if (state === "destroying" && destruction?.abandonedAt !== undefined) alerts.push("destroy_abandoned");
  return alerts;
}

/** The records of those that came and went. */
export function alertEntries(before: TenantRecord, after: TenantRecord): JournalEntry[] {
  const [had, has] = [alertsOf(before), alertsOf(after)];
  if (had.length === 0 && has.length === 0) return [];
  const raised = has.filter((alert) => !had.includes(alert));
  const cleared = had.filter((alert) => !has.includes(alert));
  const [latest] = after.errors;
  return [
    ...raised.map((alert) => ({ type: "alert.raised", detail: { alert, reason: latest?.detail ?? null } })),
    ...cleared.map((alert) => ({ type: "alert.cleared", detail: { alert } })),
  ];
}
