import { transact, type VaultParts } from "./parts.ts";

/** Contents that are dropped in one transaction, and in one turn of the alarm: at most 32 and 256 MiB. */
const STEP = 512;
const STEPS = 8;
const SOON_MS = 1000;

/**
 * Keeps the index within its budget, far from the 10 GB that an object may have: small contents that are in packs too are dropped here and read
 * from there. Answers when to come again, in ms since 1970, or null when it is within the budget or has nothing left to drop.
 */
export function spill(parts: VaultParts): number | null {
  for (let step = 0; step < STEPS; step++) {
    if (parts.storage.sql.databaseSize <= parts.inlineBytes()) return null;
    const dropped = transact(parts, () => parts.bodies.drop(STEP));
    if (!dropped.ok || dropped.value < STEP) return null;
  }
  return parts.now() + SOON_MS;
}
