import { describe, expect, it } from "vitest";
import { COOLDOWN } from "../../src/durable/cadence.ts";
import { generation } from "../../src/ids.ts";
import { nextOf, wakeAtOf } from "../../src/tenant/schedule.ts";
import type { Lifecycle } from "../../src/tenant/vocabulary.ts";
import { Driver } from "../support/tenant-driver.ts";

const HOUR = 3_600_000;
const at = (hours: number, minutes = 0) => Date.UTC(2026, 10, 26, hours, minutes);

function asleep(lifecycle: Lifecycle, more: Partial<Driver["record"]> = {}) {
  const { record } = new Driver().activate();
  return { ...record, state: "asleep" as const, held: null, generation: generation(1), lifecycle, ...more };
}
const failedAt = (now: number) => ({ errors: [{ at: now, code: "capacity_exhausted" as const, detail: "full" }] });

describe("a tenant that sleeps", () => {
  it("is woken by nothing but a request where it is on demand", () => {
    expect(wakeAtOf(asleep({ mode: "on-demand" }), at(8))).toBeNull();
  });

  it("is woken at once where it is always on, and after a pause where a wake just failed", () => {
    expect(wakeAtOf(asleep({ mode: "always-on" }), at(8))).toBe(at(8));
    expect(wakeAtOf(asleep({ mode: "always-on" }, failedAt(at(8))), at(8))).toBe(at(8) + COOLDOWN.wake);
  });

  it("stays asleep where somebody stopped it, also when it is always on", () => {
    expect(wakeAtOf(asleep({ mode: "always-on" }, { stoppedReason: "user" }), at(8))).toBeNull();
  });

  it("is woken at the next of its times, on the day after where all of today's are over", () => {
    const scheduled = asleep({ mode: "scheduled", wakeTimes: ["17:30", "08:15"] });
    expect(wakeAtOf(scheduled, at(8))).toBe(at(8, 15));
    expect(wakeAtOf(scheduled, at(8, 15))).toBe(at(17, 30));
    expect(wakeAtOf(scheduled, at(20))).toBe(at(8, 15) + 24 * HOUR);
    expect(nextOf([], at(8))).toBeNull();
  });

  it("keeps the time that it waits for, however late it is", () => {
    const scheduled = { mode: "scheduled" as const, wakeTimes: ["08:15"] };
    expect(wakeAtOf(asleep(scheduled, { wakeAt: at(8, 15) }), at(8, 20))).toBe(at(8, 15));
  });

  it("is not woken while its record was made anew and its config is asked for", () => {
    const rebuilt = { at: at(7), needs: ["config" as const] };
    expect(wakeAtOf(asleep({ mode: "always-on" }, { rebuilt }), at(8))).toBeNull();
  });
});
