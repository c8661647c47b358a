import { step } from "../../scripts/steps.ts";
import type { Counts } from "../harness/counts.ts";
import { promised, type Result } from "../harness/result.ts";
import type { Api } from "../harness/tenants.ts";

const POOL = "refill";
const FIVE = 5;

/** From the moment at which five claimed slots may be refilled until all five are warm again. */
export function refillByFive(api: Api, counts: Counts): Promise<Result> {
  return step("refill by five", async () => {
    await api.pool(POOL, "plain", FIVE, 2 * FIVE);
    const samples: number[] = [];
    for (let round = 0; round < counts.refills; round += 1) {
      await api.fill(POOL, FIVE);
      const claims = [];
      for (let index = 0; index < FIVE; index += 1) {
        claims.push(await api.claim(`refill-${round}-${index}`, { poolId: POOL }));
      }
      const startedAt = performance.now();
      await api.resume(POOL);
      await api.untilWarm(POOL, FIVE, 20);
      samples.push(performance.now() - startedAt);
      await api.pause(POOL);
      for (const index of claims.keys()) await api.release(`refill-${round}-${index}`);
      for (const { containerId } of claims) await api.untilGone(containerId);
    }
    return promised("claim.refill", samples);
  });
}
