import type { Ending, Slot } from "./record.ts";

/**
 * A container that is to be gone is asked about until it is (P-EXIT): soon at first, then less and less often. After fifty
 * tries it counts as abandoned, which somebody has to know; it is still listed, counted and asked about. Pure; times in ms.
 */

const FIRST_MS = 5_000;
const MOST_MS = 600_000;
const ATTEMPTS = 50;
const ABANDONED_MS = 3_600_000;

/** When the next try is due; at once where none was made. */
export const endingDue = (slot: Slot): number => slot.ending?.nextAt ?? slot.since;

/** The slot after a try of which nobody knows whether it worked, and whether it was given up by it. `random`: 0 to 1. */
export function afterTry(slot: Slot, now: number, random: number): { slot: Slot; abandoned: boolean } {
  const before: Ending = slot.ending ?? { attempts: 0, nextAt: now, abandonedAt: null };
  const attempts = before.attempts + 1;
  const abandonedAt = before.abandonedAt ?? (attempts >= ATTEMPTS ? now : null);
  const pause = abandonedAt === null ? Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(before.attempts, 10)) : ABANDONED_MS;
  const ending = { attempts, nextAt: Math.ceil(now + pause * (1 + random / 5)), abandonedAt };
  return { slot: { ...slot, ending }, abandoned: before.abandonedAt === null && abandonedAt !== null };
}
