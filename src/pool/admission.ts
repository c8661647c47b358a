import { DeadlineError, sleep, within } from "../durable/deadline.ts";
import { fleetOf } from "../durable/stubs.ts";
import type { Admission } from "../fleet/types.ts";
import type { ContainerId, PoolId } from "../ids.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import type { Tier } from "../runtime/port.ts";

/** How a start comes to be admitted by the fleet. */

type Claimed = "claim" | "refill";

export interface Entry {
  /** Whether somebody waits for it, who may have come since it began. */
  standing(): Claimed;
  /** How long it waits for a full tier, in ms; 0 where nobody asked for that. */
  waitMs(): number;
  /** False once the slot was given up. */
  isWanted(): boolean;
  onAdmitted(): void;
}

interface Wanted {
  containerId: ContainerId;
  poolId: PoolId;
  tier: Tier;
}

type Refusal = Extract<Admission, { admitted: false }>;

const ANSWER_MS = 5_000;
/** How long a start waits for its turn in the fleet's token bucket before it gives up. */
const TURN_MS: Readonly<Record<Claimed, number>> = { claim: 20_000, refill: 60_000 };
export const LONGEST_TURN_MS = TURN_MS.refill;
/** What a caller is told who finds its tier full (F47). */
const FULL_RETRY_MS = 30_000;

/**
 * Asks until it is admitted, its patience or its caller's ends, or nobody wants it any more. Times what it waited, not the
 * clock. Who comes to wait for a start that was begun without them has their own time from then on.
 */
export async function admission(env: Env, wanted: Wanted, entry: Entry): Promise<Outcome<null>> {
  let standing = entry.standing();
  let waited = 0;
  while (entry.isWanted()) {
    const waitMs = entry.waitMs();
    const answer = await ask(env, wanted, standing === "claim" && waitMs > waited ? "waiting-claim" : standing);
    if (answer.admitted) return done(null);
    const { reason, retryAfterMs, tookMs = 0 } = answer;
    if (entry.standing() === standing) {
      const patience = reason === "cap" ? waitMs : Math.max(TURN_MS[standing], waitMs);
      if (waited + tookMs + retryAfterMs > patience) return refused(wanted.tier, answer, standing);
      await sleep(retryAfterMs);
      waited += tookMs + retryAfterMs;
    }
    if (entry.standing() !== standing) waited = 0;
    standing = entry.standing();
  }
  return notWanted();
}

export const notWanted = () => failed("start_failed", "The container was retired before it started.");

/** A fleet that does not answer is asked again, which admits a container once; it is no fault of what is to be started. */
async function ask(
  env: Env,
  { containerId, poolId, tier }: Wanted,
  standing: Claimed | "waiting-claim",
): Promise<Admission & { tookMs?: number }> {
  try {
    return await within(ANSWER_MS, "admit", fleetOf(env).admit(containerId, poolId, tier, standing));
  } catch (error) {
    const tookMs = error instanceof DeadlineError ? ANSWER_MS : 0;
    return { admitted: false, retryAfterMs: 1_000, reason: "rebuilding", tookMs };
  }
}

const WHY: Readonly<Record<Refusal["reason"], (tier: Tier) => string>> = {
  cap: (tier) => `Tier ${tier} is at its cap.`,
  rate: () => "Too many containers are starting.",
  rebuilding: () => "It is not known at the moment how many containers run.",
};

/** Whether a start was refused at the cap of its tier, rather than for something of its pool, its tenant or the platform. */
export const isTierFull = ({ code, extra }: Failure): boolean =>
  code === "capacity_exhausted" && extra?.limit === "cap";

function refused(tier: Tier, { reason, retryAfterMs }: Refusal, standing: Claimed): Outcome<never> {
  // A refill comes back when the fleet said, which spreads them; a caller is told the round figure.
  const told = reason === "cap" && standing === "claim" ? FULL_RETRY_MS : retryAfterMs;
  return failed("capacity_exhausted", WHY[reason](tier), { retryAfterMs: told, extra: { limit: reason, tier } });
}
