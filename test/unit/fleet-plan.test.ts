import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { admit, fullBucket, START_BURST, STARTS_PER_SECOND, takeStart } from "../../src/fleet/plan.ts";
import { TIERS } from "../../src/runtime/port.ts";

const caps = { lite: 3, basic: 0, "standard-1": 1, "standard-2": 1, "standard-3": 1, "standard-4": 1 };

describe("admission", () => {
  it("never lets a tier exceed its cap", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 }), fc.constantFrom(...TIERS), (running, tier) => {
        expect(admit(running, caps, tier).admitted).toBe(running < caps[tier]);
      }),
    );
  });

  it("lets starts follow each other only as fast as the platform takes them", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2_000 }), { maxLength: 300 }), (gaps) => {
        let bucket = fullBucket(0);
        let now = 0;
        let started = 0;
        for (const gap of gaps) {
          now += gap;
          const taken = takeStart(bucket, now);
          bucket = taken.bucket;
          if (taken.waitMs === 0) started += 1;
          else expect(takeStart(bucket, now + taken.waitMs).waitMs).toBe(0);
        }
        expect(started).toBeLessThanOrEqual(START_BURST + (now / 1_000) * STARTS_PER_SECOND);
      }),
    );
  });
});
