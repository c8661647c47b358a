import type { Tier } from "../runtime/port.ts";

/**
 * Cloudflare's prices in USD, as of August 2026 (platform.md §5.1: a third party's transcription of the price list, not
 * verified; the included amounts of an account are left out). Memory and disk are billed while a container runs, CPU as
 * it is used, of which a slot that waits uses next to none.
 */
const PRICES = { perGiBSecond: 0.000_002_5, perDiskGBSecond: 0.000_000_07 } as const;

/** What an instance of each tier has (platform.md §5.1). */
export const SIZES: Readonly<Record<Tier, { vcpu: number; memoryGiB: number; diskGB: number }>> = {
  lite: { vcpu: 1 / 16, memoryGiB: 0.25, diskGB: 2 },
  basic: { vcpu: 1 / 4, memoryGiB: 1, diskGB: 4 },
  "standard-1": { vcpu: 1 / 2, memoryGiB: 4, diskGB: 8 },
  "standard-2": { vcpu: 1, memoryGiB: 6, diskGB: 12 },
  "standard-3": { vcpu: 2, memoryGiB: 8, diskGB: 16 },
  "standard-4": { vcpu: 4, memoryGiB: 12, diskGB: 20 },
};

const SECONDS_A_MONTH = (365.25 / 12) * 86_400;

/** What it costs to keep so many slots of a tier warm for a month, without CPU, in USD to the cent. Pure. */
export function monthlyCostUsd(tier: Tier, warm: number): number {
  const { memoryGiB, diskGB } = SIZES[tier];
  const perSecond = memoryGiB * PRICES.perGiBSecond + diskGB * PRICES.perDiskGBSecond;
  return Math.round(perSecond * SECONDS_A_MONTH * warm * 100) / 100;
}
