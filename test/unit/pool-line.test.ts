import { afterEach, describe, expect, it, vi } from "vitest";
import { type Answer, Line } from "../../src/pool/line.ts";
import type { LeaseRequest } from "../../src/pool/types.ts";
import { aRequest } from "../support/pool-fixtures.ts";

/** A line in front of a number of places, one of which whoever is tried for gets. `banned` wait for themselves. */
class Door {
  free = 0;
  readonly tried: string[] = [];
  readonly banned = new Set<string>();
  /** What a try waits for. */
  look: () => Promise<void> = async () => {};
  readonly line = new Line<string>(4, async (request, isThere): Promise<Answer<string>> => {
    const { tenantId } = request;
    this.tried.push(tenantId);
    await this.look();
    if (!isThere() || this.banned.has(tenantId)) return "not-it";
    if (this.free === 0 && request.tier !== "basic") return "full";
    if (request.tier !== "basic") this.free -= 1;
    return { found: tenantId };
  });

  async ask(tenant: string, waitMs: number, more: Partial<LeaseRequest> = {}): Promise<Answer<string>> {
    const answer = this.line.wait({ ...aRequest(tenant, 1), ...more }, waitMs);
    void this.line.serve();
    return answer;
  }

  open(places: number): Promise<void> {
    this.free += places;
    return this.line.serve();
  }
}

describe("the line of claims that wait for room", () => {
  afterEach(() => vi.useRealTimers());

  it("serves who came first, and tries no further for the same when there is nothing", async () => {
    const door = new Door();
    const answers = ["a", "b", "c"].map((tenant) => door.ask(tenant, 60_000));
    await door.open(1);
    expect(await answers[0]).toEqual({ found: "a" });
    expect(door.line.length).toBe(2);
    door.tried.length = 0;
    await door.open(0);
    expect(door.tried).toEqual(["b"]);
    await door.open(2);
    expect(await Promise.all(answers.slice(1))).toEqual([{ found: "b" }, { found: "c" }]);
  });

  it("tries once for somebody who does not wait, behind those who do, and keeps nothing from them that nobody wants", async () => {
    const door = new Door();
    const patient = door.ask("patient", 60_000);
    expect(await door.ask("hasty", 0)).toBe("full");
    expect(await door.ask("other-tier", 0, { tier: "basic" })).toEqual({ found: "other-tier" });
    expect(door.line.length).toBe(1);
    await door.open(1);
    expect(await patient).toEqual({ found: "patient" });
  });

  it("lets nobody wait for one that waits for itself, and does not count it among those that room is kept for", async () => {
    const door = new Door();
    door.banned.add("greedy");
    const greedy = door.ask("greedy", 60_000);
    door.free = 1;
    expect(await door.ask("modest", 0)).toEqual({ found: "modest" });
    expect([door.line.length, door.line.forRoom]).toEqual([1, 0]);
    const other = door.ask("other", 60_000);
    expect(door.line.forRoom).toBe(1);
    door.banned.clear();
    await door.open(2);
    expect(await Promise.all([greedy, other])).toEqual([{ found: "greedy" }, { found: "other" }]);
  });

  it("takes nothing for whose time ended while it was tried for, and says what they waited for", async () => {
    vi.useFakeTimers();
    const door = new Door();
    door.banned.add("b");
    const answers = [door.ask("a", 1_000), door.ask("b", 1_000, { runs: 2 })];
    await vi.advanceTimersByTimeAsync(500);
    door.look = () => new Promise((resolve) => setTimeout(resolve, 700));
    const opened = door.open(1);
    await vi.advanceTimersByTimeAsync(5_000);
    await opened;
    expect(await Promise.all(answers)).toEqual(["full", "not-it"]);
    expect([door.free, door.line.length]).toEqual([1, 0]);
  });

  it("forgets no call to serve, and survives a try that fails", async () => {
    const door = new Door();
    const first = door.ask("a", 60_000);
    door.look = async () => {
      door.look = async () => {};
      void door.open(1); // something becomes free while somebody is tried for
    };
    await door.open(0);
    expect(await first).toEqual({ found: "a" });
    const second = door.ask("b", 60_000);
    await door.open(0);
    door.look = async () => {
      throw new Error("storage");
    };
    const hasty = door.line.wait(aRequest("c", 1), 0);
    await expect(door.line.serve()).rejects.toThrow("storage");
    expect(await hasty).toBe("full");
    door.look = async () => {};
    await door.open(1);
    expect(await second).toEqual({ found: "b" });
  });

  it("is bounded", async () => {
    const door = new Door();
    const waiting = ["a", "b", "c", "d"].map((tenant) => door.ask(tenant, 60_000));
    expect(await door.ask("e", 60_000)).toBe("full");
    await door.open(4);
    await Promise.all(waiting);
  });
});
