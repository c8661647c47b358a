import { describe, expect, test } from "vitest";
import { aPool, call, claim, env, eventually, put, release, request, simulation } from "../support/fleet.ts";

interface Event {
  id: number;
  type: string;
  payload: Record<string, unknown>;
  timestamp: string;
}
interface Page {
  items: Event[];
  nextCursor: string | null;
  lastId: number;
}

const events = async (query: string) => (await call<Page>("GET", `/api/v1/events?${query}`)).body;
const typesOf = ({ items }: Page) => items.map(({ type }) => type);

describe("events", () => {
  test("tell what happened to a tenant by S3's names, in its order", async () => {
    const pool = await aPool("events-story");
    const { body } = await claim("tess", pool);
    await put("tess", "a.txt", "x");
    simulation.for(body.containerId).crash(1);
    await claim("tess");
    await call("POST", "/api/v1/tenants/tess/sync?wait=10s", { direction: "outward" });
    await release("tess");
    const wanted = [
      "tenant.claim",
      "container.claimed",
      "container.unhealthy",
      "container.claimed",
      "sync.started",
      "sync.completed",
      "tenant.release",
      "container.released",
    ];
    await eventually(async () => expect(typesOf(await events("tenantId=tess"))).toEqual(wanted));
    const { items } = await events("tenantId=tess");
    expect(items.map(({ id }) => id)).toEqual(items.map(({ id }) => id).toSorted((a, b) => a - b));
    expect(items[1]).toMatchObject({
      version: 1,
      type: "container.claimed",
      payload: { tenantId: "tess", poolId: pool, containerId: body.containerId, actor: "system", result: "ok" },
    });
    expect(items[1]?.timestamp).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(items.at(-1)?.payload).toMatchObject({ poolId: pool });
  });

  test("of a pool are its own and its tenants'", async () => {
    const pool = await aPool("events-pool");
    const other = await aPool("events-elsewhere");
    await claim("ines", pool);
    await claim("otto", other);
    await eventually(async () => {
      const page = await events(`poolId=${pool}&limit=1000`);
      expect(typesOf(page)).toEqual(expect.arrayContaining(["container.created", "container.claimed"]));
      expect(JSON.stringify(page)).toContain("ines");
      expect(JSON.stringify(page)).not.toMatch(/otto|events-elsewhere/);
    });
    await env.DB.prepare("UPDATE audit SET detail = '{' WHERE subject = 'tenant:otto'").run(); // spoils no other's
    await call("POST", `/api/v1/pools/${pool}/scale`, { target: 2 });
    await eventually(async () =>
      expect(typesOf(await events(`poolId=${pool}&type=pool.scaled`))).toEqual(["pool.scaled"]),
    );
  });

  test("of one type are all of that name", async () => {
    await claim("one", await aPool("events-type"));
    await eventually(async () => expect(typesOf(await events("tenantId=one&type=container.claimed"))).toHaveLength(1));
    expect((await events("tenantId=one&type=tenant.assigned")).items).toEqual([]);
  });

  test("since an event are those after it, in pages, and then the new ones only", async () => {
    const insert = env.DB.prepare(
      "INSERT INTO audit (subject, at, action, actor, result, detail) VALUES ('tenant:page', 1, 'tenant.noted', 'x', 'ok', '{}')",
    );
    await env.DB.batch(Array.from({ length: 7 }, () => insert));
    const latest = await events("tenantId=page&limit=3");
    expect(latest.items).toHaveLength(3);
    expect(latest.nextCursor).toBeNull();
    const [first] = (await events("tenantId=page&limit=7")).items;
    const seen: number[] = [];
    for (let since: string | null = String(first?.id); since !== null; ) {
      const page: Page = await events(`tenantId=page&limit=2&since=${since}`);
      seen.push(...page.items.map(({ id }) => id));
      since = page.nextCursor;
      if (since === null) expect(await events(`tenantId=page&since=${page.lastId}`)).toMatchObject({ items: [] });
    }
    expect(seen).toHaveLength(6);
    expect(seen.slice(-3)).toEqual(latest.items.map(({ id }) => id));
    const { lastId } = await events("tenantId=page");
    await insert.run();
    expect((await events(`tenantId=page&since=${lastId}`)).items).toHaveLength(1);
  });

  test("of a tenant are all that the tenant itself can read, and name no operator to it", async () => {
    const pool = await aPool("events-own");
    await claim("mine", pool);
    await claim("theirs", pool);
    const body = { name: "mine", role: "tenant", tenantId: "mine" };
    const { key } = (await call<{ key: string }>("POST", "/api/v1/keys", body)).body;
    const read = async (path: string) => {
      const response = await request("GET", `/api/v1/${path}`, undefined, { authorization: `Bearer ${key}` });
      return { status: response.status, body: (await response.json()) as Page };
    };
    await eventually(async () => expect(typesOf((await read("events")).body)).toContain("container.claimed"));
    for (const path of ["events", "events?tenantId=mine", `events?poolId=${pool}&since=0`]) {
      const { items } = (await read(path)).body;
      expect(new Set(items.map(({ payload }) => payload.tenantId))).toEqual(new Set(["mine"]));
      expect(new Set(items.map(({ payload }) => payload.actor))).toEqual(new Set(["operator", "system"]));
    }
    expect((await read("events?tenantId=theirs")).status).toBe(404);
    expect((await read("events?tenantId=nobody")).status).toBe(404);
    for (const path of ["audit", "audit/export", "audit/verify?subject=tenant:mine"]) {
      expect((await read(path)).status).toBe(403);
    }
  });

  test("are not asked for by what they do not have", async () => {
    for (const query of ["since=-1", "since=x", "limit=0", "limit=1001", "tenant=x"]) {
      expect([query, (await call("GET", `/api/v1/events?${query}`)).status]).toEqual([query, 422]);
    }
  });
});
