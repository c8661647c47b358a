import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LEASE_MS, nextRecount, overdue, strangersOf } from "../../src/fleet/leases.ts";
import { admit, fullBucket, START_BURST, STARTS_PER_SECOND } from "../../src/fleet/plan.ts";
import { type Ask, MOST_WAITING, NOBODY, type Queue } from "../../src/fleet/queue.ts";
import type { Standing } from "../../src/fleet/types.ts";
import type { ContainerId, PoolId } from "../../src/ids.ts";
import { TIERS } from "../../src/runtime/port.ts";

let made = 0;
const anAsk = (ask: Partial<Ask> = {}): Ask => {
  made += 1;
  return { containerId: `c-${made}` as ContainerId, poolId: "demo" as PoolId, tier: "lite", standing: "claim", ...ask };
};
const pool = (id: string, standing: Standing = "claim") => ({ poolId: id as PoolId, standing });
const empty = (now: number) => ({ tokens: 0, at: now });

/** A fleet of one tier, driven by a clock that only goes on. */
class Desk {
  now = 0;
  running = 0;
  bucket = fullBucket(0);
  queue: Queue = NOBODY;
  readonly cap: number;
  constructor(cap = 1_000) {
    this.cap = cap;
  }
  ask(ask: Ask, random = 0) {
    const { running, cap, bucket, queue } = this;
    const decided = admit(ask, { running, cap, bucket, queue }, this.now, random);
    this.bucket = decided.bucket;
    this.queue = decided.queue;
    if (decided.admission.admitted) this.running += 1;
    return decided.admission;
  }
}

describe("admission", () => {
  it("never lets a tier exceed its cap", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10 }),
        fc.integer({ min: 0, max: 10 }),
        fc.constantFrom(...TIERS),
        fc.constantFrom<Standing>("claim", "waiting-claim", "refill"),
        (running, cap, tier, standing) => {
          const situation = { running, cap, bucket: fullBucket(0), queue: NOBODY };
          const { admission } = admit(anAsk({ tier, standing }), situation, 0, 0);
          expect(admission.admitted).toBe(running < cap);
        },
      ),
    );
  });

  it("lets starts follow each other only as fast as the platform takes them, and tells whoever is refused when to come", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2_000 }), { maxLength: 200 }), (gaps) => {
        const desk = new Desk();
        for (const gap of gaps) {
          desk.now += gap;
          const ask = anAsk();
          const admission = desk.ask(ask);
          if (admission.admitted) continue;
          expect(admission.reason).toBe("rate");
          desk.now += admission.retryAfterMs;
          expect(desk.ask(ask).admitted).toBe(true);
        }
        expect(desk.running).toBeLessThanOrEqual(START_BURST + (desk.now / 1_000) * STARTS_PER_SECOND);
      }),
    );
  });

  it("a clock that goes back gives no starts away", () => {
    const desk = new Desk();
    desk.now = 1_000;
    for (let n = 0; n < START_BURST; n += 1) desk.ask(anAsk());
    desk.now = 0;
    expect(desk.ask(anAsk()).admitted).toBe(false);
    desk.now = 100;
    expect(desk.ask(anAsk()).admitted).toBe(false); // who was refused before it comes first
  });

  it("spreads those that it refuses, in turn and by a jitter, so that they do not come back together", () => {
    const desk = new Desk();
    desk.bucket = empty(0);
    const told = [0, 0.5, 1].map((random) => {
      const admission = desk.ask(anAsk(), random);
      return admission.admitted ? 0 : admission.retryAfterMs;
    });
    expect(told).toEqual([100, 225, 375]);
    const full = new Desk(0);
    const refusal = (random: number) => full.ask(anAsk(), random);
    expect([refusal(0), refusal(1)]).toMatchObject([{ retryAfterMs: 30_000 }, { retryAfterMs: 37_500 }]);
  });
});

describe("the queue for starts", () => {
  it("lets claims go before refills, whoever came first", () => {
    const desk = new Desk();
    desk.bucket = empty(0);
    const refill = anAsk(pool("demo", "refill"));
    const claim = anAsk(pool("demo"));
    desk.ask(refill);
    desk.ask(claim);
    desk.now = 100;
    expect(desk.ask(refill).admitted).toBe(false);
    expect(desk.ask(claim).admitted).toBe(true);
    desk.now = 200;
    expect(desk.ask(refill).admitted).toBe(true);
  });

  it("lets pools take turns, so that one with many waiting holds up no other", () => {
    const desk = new Desk();
    desk.bucket = empty(0);
    const many = Array.from({ length: 20 }, () => anAsk(pool("greedy")));
    for (const ask of many) desk.ask(ask);
    const other = anAsk(pool("modest"));
    expect(desk.ask(other)).toMatchObject({ retryAfterMs: 200 });
    desk.now = 200;
    expect([...many.slice(0, 2), other].map((ask) => desk.ask(ask).admitted)).toEqual([true, false, true]);
    desk.now = 300;
    expect(desk.ask(anAsk(pool("modest")))).toMatchObject({ admitted: false, retryAfterMs: 100 });
    expect(desk.ask(many[1] ?? other).admitted).toBe(true);
  });

  it("serves claims that wait for a full tier in the order in which they came, before anybody new", () => {
    const desk = new Desk(0);
    const [first, second] = [anAsk(pool("demo", "waiting-claim")), anAsk(pool("demo", "waiting-claim"))];
    expect([desk.ask(first), desk.ask(second)]).toMatchObject([{ reason: "cap" }, { reason: "cap" }]);
    const { queue, bucket } = desk;
    const freed = (ask: Ask) => admit(ask, { running: 0, cap: 1, bucket, queue }, 500, 0).admission;
    expect([freed(anAsk()), freed(second), freed(first)].map(({ admitted }) => admitted)).toEqual([false, false, true]);
  });

  it("forgets who does not come back, and who did not ask to wait", () => {
    const desk = new Desk(0);
    desk.ask(anAsk());
    desk.ask(anAsk(pool("demo", "refill")));
    expect(desk.queue).toEqual(NOBODY);
    desk.ask(anAsk(pool("demo", "waiting-claim")));
    const situation = { running: 0, cap: 1, bucket: desk.bucket, queue: desk.queue };
    expect(admit(anAsk(), situation, 3_000, 0).admission.admitted).toBe(false);
    expect(admit(anAsk(), situation, 5_000, 0).admission.admitted).toBe(true);
  });

  it("is bounded", () => {
    const desk = new Desk(0);
    for (let n = 0; n < MOST_WAITING + 5; n += 1) desk.ask(anAsk(pool("demo", "waiting-claim")));
    expect(desk.queue.waiters).toHaveLength(MOST_WAITING);
  });
});

describe("leases with the fleet", () => {
  const row = (n: number, at: number) => ({
    containerId: `c-${n}` as ContainerId,
    poolId: "demo" as PoolId,
    tier: "lite" as const,
    at,
  });

  it("are overdue when their pool said nothing for three looks, or never did since this object is in memory", () => {
    const [a, b] = ["a" as PoolId, "b" as PoolId];
    const renewed = new Map([[a, 1_000]]);
    expect(overdue([a, b], renewed, 1_000 + LEASE_MS - 1)).toEqual([b]);
    expect(overdue([a, b], renewed, 1_000 + LEASE_MS)).toEqual([a, b]);
    expect(overdue([a], renewed, 0)).toEqual([a]); // the clock went back
  });

  it("that their pool does not name are strangers, but not one that was admitted just now", () => {
    const rows = [row(1, 0), row(2, 0), row(3, 90_000)];
    expect(strangersOf(rows, [row(1, 0)], 100_000)).toEqual(["c-2"]);
    expect(nextRecount(1_000, 0)).toBeGreaterThan(1_000 + 60_000 * 3);
  });
});
