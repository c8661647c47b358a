import { describe, expect, it } from "vitest";
import { promised, verdictOf } from "../../bench/harness/result.ts";
import { median, p99, percentile } from "../../bench/harness/statistics.ts";
import { table, unmet } from "../../bench/harness/table.ts";
import { isKept, PROMISES } from "../../bench/promises.ts";

const times = (n: number, ms: number): number[] => Array.from({ length: n }, () => ms);

describe("statistics", () => {
  it("take the middle of an odd number of samples and the mean of the two middle ones of an even number", () => {
    expect(median([30, 10, 20])).toBe(20);
    expect(median([40, 10, 20, 30])).toBe(25);
  });

  it("take a percentile as the nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect([p99(hundred), percentile(hundred, 0.5), percentile([7], 0.99)]).toEqual([99, 50, 7]);
  });
});

describe("a promised number", () => {
  it("is kept at its limit, and broken beyond it in the direction that matters", () => {
    expect([isKept(PROMISES["claim.warm"], 20), isKept(PROMISES["claim.warm"], 20.1)]).toEqual([true, false]);
    expect([isKept(PROMISES["control.rate"], 300), isKept(PROMISES["control.rate"], 299)]).toEqual([true, false]);
  });

  it("is not kept by fewer samples than the contract asks for", () => {
    expect(verdictOf(promised("claim.warm", times(30, 10)))).toBe("kept");
    expect(verdictOf(promised("claim.warm", times(29, 10)))).toBe("too few samples");
    expect(verdictOf(promised("claim.warm", times(29, 30)))).toBe("broken");
  });

  it("that nothing measured is named as not met", () => {
    expect(unmet([promised("proxy.ratio", times(50, 1))], ["proxy"])).toEqual([
      "proxy.echo: WebSocket echo through the proxy: not measured  (promised at most 2 ms)",
    ]);
  });

  it("is shown with its limit, its share of the limit and what it is compared with", () => {
    const compared = { with: "plain rclone", value: 2_000 };
    const [, line] = table([promised("state.new", times(50, 250), { compared })]).split("\n");
    expect(line?.split(/\s{2,}/)).toEqual([
      "✓ release, small tree, all new",
      "250 ms",
      "≤ 500 ms",
      "0.50",
      "50",
      "plain rclone 2000 ms",
      "0.13",
    ]);
  });
});
