import { afterEach, describe, expect, it, vi } from "vitest";
import { Fleet } from "../../src/fleet/object.ts";
import { aPool, call, claim, eventually, get, put, release, status } from "../support/fleet.ts";

/** Tenants that begin to run where there is no room at first (feature F48). Claims: `capacity.test.ts`. */

const act = (tenant: string, action: string, wait: string, body: object = {}) =>
  call<Record<string, unknown>>("POST", `/api/v1/tenants/${tenant}/${action}${wait}`, body);
const pool = async (id: string) => (await call("GET", `/api/v1/pools/${id}`)).body;

/** A pool of one container, which `name-front` has; `name` sleeps on what it saved. */
async function aFullPool(name: string): Promise<{ front: string }> {
  await aPool(name, { minSize: 0, maxSize: 1 });
  await claim(name, name);
  await put(name, "a.txt", "kept");
  await act(name, "stop", "?wait=10s");
  const front = `${name}-front`;
  await eventually(async () => expect((await claim(front, name)).status).toBe(201));
  return { front };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a start of a sleeping tenant", () => {
  it("waits for room as long as it says, and is refused when that is over", async () => {
    const { front } = await aFullPool("start-line");
    const refused = await act("start-line", "start", "?wait=1s");
    expect(refused).toMatchObject({ status: 503, body: { code: "capacity_exhausted", limit: "pool" } });
    expect(refused.headers.get("retry-after")).toBe("30");
    expect((await status("start-line")).body).toMatchObject({
      state: "asleep",
      generation: 1,
      stoppedReason: "capacity",
    });
    const waiting = act("start-line", "start", "?wait=10s");
    await eventually(async () => expect(await pool("start-line")).toMatchObject({ waiting: 1 }));
    await release(front);
    expect(await waiting).toMatchObject({ status: 200, body: { state: "active" } });
  });

  it("that nobody waits for is refused at once", async () => {
    await aFullPool("start-at-once");
    const { body, headers } = await act("start-at-once", "start", "");
    expect(body).toMatchObject({ operation: { kind: "wake" } });
    await eventually(async () => {
      const operation = await call("GET", headers.get("location") ?? "");
      expect(operation.body).toMatchObject({ status: "failed", error: { code: "capacity_exhausted" } });
    }, 2_000);
  });
});

describe("a request that wakes a tenant", () => {
  it("waits a while for room, and is answered by the workload", async () => {
    const { front } = await aFullPool("wake-line");
    const waiting = get("wake-line", "a.txt");
    await eventually(async () => expect(await pool("wake-line")).toMatchObject({ waiting: 1 }));
    await release(front);
    const answer = await waiting;
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe("kept");
  });
});

describe("a restart at a full tier", () => {
  it.each(["restart", "restore"])("waits for the room that the tenant's own container makes (%s)", async (action) => {
    const name = `${action}-tier`;
    await aPool(name, { minSize: 0, maxSize: 5 });
    const { body: first } = await claim(name, name);
    await put(name, "a.txt", "kept");
    await act(name, "sync", "?wait=10s", { direction: "outward" });
    // The tier has room for one: a container counts until it is confirmed gone.
    const { admit, release: free } = Fleet.prototype;
    let gone = false;
    let refused = 0;
    vi.spyOn(Fleet.prototype, "release").mockImplementation(async function (this: Fleet, containerId) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      gone ||= containerId === first.containerId;
      return free.call(this, containerId);
    });
    vi.spyOn(Fleet.prototype, "admit").mockImplementation(async function (this: Fleet, ...args) {
      if (gone) return admit.apply(this, args);
      refused += 1;
      return { admitted: false, reason: "cap", retryAfterMs: 100 };
    });
    const body = action === "restore" ? { generation: 1 } : { scope: "container" };
    expect(await act(name, action, "?wait=20s", body)).toMatchObject({ status: 200, body: { state: "active" } });
    expect(refused).toBeGreaterThan(0);
    expect(await (await get(name, "a.txt")).text()).toBe("kept");
  });
});
