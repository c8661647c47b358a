import { type AuditEntry, audited } from "../audit/entry.ts";
import { SYSTEM } from "../auth/principal.ts";
import { COOLDOWN } from "../durable/cadence.ts";
import type { ContainerId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";
import type { Decision } from "./administer.ts";
import { type FullTier, type PoolRecord, type Slot, subjectOf, targetOf } from "./record.ts";

/** What somebody has to know of a pool. Each is raised once and cleared once. Pure; times in ms since 1970. */

type Alert = "pool_breaker" | "pool_exhausted" | "tier_exhausted" | "destroy_abandoned";

const alert = (
  what: "raised" | "cleared",
  record: PoolRecord,
  name: Alert,
  now: number,
  detail: Record<string, unknown> = {},
): AuditEntry =>
  audited(SYSTEM, now, `alert.${what}`, subjectOf(record), { detail: { alert: name, poolId: record.id, ...detail } });

export const breakerRaised = (record: PoolRecord, now: number): AuditEntry =>
  alert("raised", record, "pool_breaker", now, {
    reason: record.breaker?.reason ?? "failures",
    failures: record.failures?.count ?? 0,
    lastError: record.failures?.detail ?? null,
  });
export const breakerCleared = (record: PoolRecord, now: number): AuditEntry =>
  alert("cleared", record, "pool_breaker", now);

export const abandoned = (record: PoolRecord, { containerId, ending }: Slot, now: number): AuditEntry =>
  alert("raised", record, "destroy_abandoned", now, { containerId, attempts: ending?.attempts ?? 0 });
export const foundGone = (record: PoolRecord, containerId: ContainerId, now: number): AuditEntry =>
  alert("cleared", record, "destroy_abandoned", now, { containerId });

export const exhaustionCleared = (record: PoolRecord, now: number): AuditEntry =>
  alert("cleared", record, "pool_exhausted", now);

/** How long a pool may have nothing warm before somebody has to know (F293). */
export const DRY_MS = 30_000;

/**
 * Whether a pool that keeps slots warm has none: since when as far as this life of the object saw it, and what has to be
 * stored of it. Null where nothing is to be stored.
 */
export function exhaustion(
  record: PoolRecord,
  slots: readonly Slot[],
  drySince: number | null,
  now: number,
): { drySince: number | null; change: Decision | null } {
  const target = targetOf(record, now);
  const isDry = target > 0 && !record.paused && record.drain === null && !slots.some((slot) => slot.state === "warm");
  if (!isDry) {
    if (record.exhaustedAt == null) return { drySince: null, change: null };
    const after = { ...record, exhaustedAt: null };
    return { drySince: null, change: { record: after, entries: [exhaustionCleared(after, now)] } };
  }
  const since = drySince === null || drySince > now ? now : drySince;
  if (record.exhaustedAt != null || now - since < DRY_MS) return { drySince: since, change: null };
  const after = { ...record, exhaustedAt: now };
  const detail = { target, since, lastError: record.failures?.detail ?? null };
  return {
    drySince: since,
    change: { record: after, entries: [alert("raised", after, "pool_exhausted", now, detail)] },
  };
}

/** While a tier is full the record is written so often at most, however many claims are refused. */
export const NOTED_MS = 59_000;

/** A claim was refused at the cap of its tier (F47). */
export function tierRefused(record: PoolRecord, tier: Tier, now: number): Decision {
  const before = record.fullTiers ?? [];
  const full = before.find((one) => one.tier === tier);
  if (full && Math.abs(now - full.refusedAt) < NOTED_MS) return { record, entries: [] };
  const since = full?.since ?? now;
  const fullTiers = [...before.filter((one) => one !== full), { tier, since, refusedAt: now }];
  const after = { ...record, fullTiers };
  return { record: after, entries: full ? [] : [alert("raised", after, "tier_exhausted", now, { tier, since })] };
}

/** A start of this tier was admitted: there is room in it. */
export const tierAdmitted = (record: PoolRecord, tier: Tier, now: number): Decision =>
  tiersCleared(record, (full) => full.tier === tier, now);

/** Of tiers that nobody was refused at for a while nothing is known any more. */
export const tiersQuiet = (record: PoolRecord, now: number): Decision =>
  tiersCleared(record, ({ refusedAt }) => Math.abs(now - refusedAt) >= COOLDOWN.fullTier, now);

/** When the next of them is quiet, unless a claim is refused before; null where no tier is full. */
export const tiersQuietAt = ({ fullTiers = [] }: PoolRecord): number | null =>
  fullTiers.length === 0 ? null : Math.min(...fullTiers.map(({ refusedAt }) => refusedAt + COOLDOWN.fullTier));

export function tiersCleared(record: PoolRecord, isOver: (full: FullTier) => boolean, now: number): Decision {
  const over = (record.fullTiers ?? []).filter(isOver);
  if (over.length === 0) return { record, entries: [] };
  const after = { ...record, fullTiers: record.fullTiers?.filter((full) => !isOver(full)) ?? [] };
  return { record: after, entries: over.map(({ tier }) => alert("cleared", after, "tier_exhausted", now, { tier })) };
}
