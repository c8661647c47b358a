import { describe, expect, it } from "vitest";
import { monthlyCostUsd } from "../../src/pool/prices.ts";
import { recommendedSize } from "../../src/pool/recommend.ts";
import { claimsPerMinute, NO_STATISTICS, startP95, withClaim, withStart } from "../../src/pool/statistics.ts";

const MINUTE = 60_000;
const claims = (count: number, everyMs: number) =>
  Array.from({ length: count }, (_, n) => n * everyMs).reduce((all, at) => withClaim(all, null, at), NO_STATISTICS);
const starts = (...ms: number[]) => ms.reduce(withStart, NO_STATISTICS);

describe("claims a minute", () => {
  it("are what came of late, within a tenth", () => {
    const steady = claims(600, MINUTE / 10);
    expect(claimsPerMinute(steady, 60 * MINUTE)).toBeGreaterThan(9);
    expect(claimsPerMinute(steady, 60 * MINUTE)).toBeLessThan(11);
  });

  it("are right from the first minutes on, and fade when nobody comes", () => {
    const young = claims(30, MINUTE / 10);
    expect(claimsPerMinute(young, 3 * MINUTE)).toBeGreaterThan(8);
    expect(claimsPerMinute(young, 3 * MINUTE)).toBeLessThan(12);
    expect(claimsPerMinute(young, 3 * 60 * MINUTE)).toBeLessThan(0.01);
    expect(claimsPerMinute(NO_STATISTICS, MINUTE)).toBe(0);
  });
});

describe("starts", () => {
  it("are the latest fifty, and their 95th percentile the one that 95 of 100 do not exceed", () => {
    const many = Array.from({ length: 80 }, (_, n) => n + 1).reduce(withStart, NO_STATISTICS);
    expect(many.starts).toHaveLength(50);
    expect(many.starts[0]).toBe(31);
    expect(startP95(many)).toBe(78);
    expect(startP95(starts(500))).toBe(500);
    expect(startP95(NO_STATISTICS)).toBeNull();
  });
});

describe("a claim", () => {
  it("of a warm slot saves what the slot's start took; others save nothing", () => {
    const hit = withClaim(NO_STATISTICS, { startMs: 1_800 }, 1);
    expect(withClaim(hit, null, 2)).toMatchObject({ claims: 2, hits: 1, savedMs: 1_800 });
    expect(withClaim(hit, { startMs: null }, 2)).toMatchObject({ claims: 2, hits: 2, savedMs: 1_800 });
  });
});

describe("the recommended size", () => {
  const seen = (perMinute: number, startMs: number) => ({
    ...withStart(claims(Math.ceil(perMinute * 60), MINUTE / perMinute), startMs),
  });

  it("covers the claims that come while a container starts, and two standard deviations", () => {
    // 60 a minute for 4 s: 4 come on average, and 4 + 2·√4 = 8.
    const { warm, because } = recommendedSize(seen(60, 4_000), 100, 60 * MINUTE);
    expect(warm).toBeGreaterThanOrEqual(7);
    expect(warm).toBeLessThanOrEqual(9);
    expect(because).toMatch(/claims a minute .* a start takes 4 s/);
  });

  it("never exceeds maxSize, and is one for a rare claim", () => {
    expect(recommendedSize(seen(600, 10_000), 12, 60 * MINUTE).warm).toBe(12);
    expect(recommendedSize(seen(0.1, 2_000), 12, 60 * MINUTE).warm).toBe(1);
  });

  it("is none before anything was seen, and when nobody comes any more", () => {
    expect(recommendedSize(NO_STATISTICS, 5, 0)).toEqual({ warm: 0, because: "No claim and start was seen yet." });
    expect(recommendedSize(seen(10, 2_000), 5, 24 * 60 * MINUTE)).toMatchObject({ warm: 0 });
  });
});

describe("what warm slots cost", () => {
  it("is memory and disk at list price, by tier", () => {
    expect(monthlyCostUsd("basic", 20)).toBeCloseTo(146.2, 0);
    expect(monthlyCostUsd("standard-1", 1)).toBeCloseTo(27.77, 1);
    expect(monthlyCostUsd("lite", 0)).toBe(0);
  });
});
