import { describe, expect, it } from "vitest";
import { CADENCE, COOLDOWN, spread } from "../../src/durable/cadence.ts";

describe("a cooldown", () => {
  it.each(Object.entries(COOLDOWN))("(%s) is no multiple of a cadence, and no cadence one of it", (_, cooldown) => {
    for (const cadence of Object.values(CADENCE)) {
      expect(cooldown % cadence, `${cooldown} and ${cadence}`).not.toBe(0);
      expect(cadence % cooldown, `${cadence} and ${cooldown}`).not.toBe(0);
    }
  });
});

describe("a cadence", () => {
  it("is spread by up to a fifth, and never shortened", () => {
    for (const jitter of [0, 0.5, 0.999]) {
      const spreaded = spread(CADENCE.active, jitter);
      expect(spreaded).toBeGreaterThanOrEqual(CADENCE.active);
      expect(spreaded).toBeLessThan(CADENCE.active * 1.2);
    }
  });
});
