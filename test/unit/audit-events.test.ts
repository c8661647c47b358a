import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { actionsOf, eventOf } from "../../src/audit/events.ts";
import type { AuditRow } from "../../src/audit/read.ts";

const row: AuditRow = {
  id: 7,
  subject: "tenant:alice",
  seq: 2,
  at: 1_000,
  action: "tenant.assigned",
  actor: "access:bob@example.com",
  requestId: "r-1",
  result: "ok",
  before: null,
  after: null,
  detail: { containerId: "c-1", poolId: "demo" },
  prev: null,
  hash: null,
};

/** Every action that the objects record, by the words of their code. */
const recorded = ["src/tenant", "src/pool"].flatMap((folder) =>
  readdirSync(folder).flatMap((name) => {
    const text = readFileSync(`${folder}/${name}`, "utf8");
    const named = [...text.matchAll(/"((?:tenant|pool|container)\.[a-z_]+)"/g)].map(([, action]) => action);
    const moves = name === "lifecycle.ts" ? [...text.matchAll(/[{,]\s*(\w+): "\w+"/g)] : [];
    return [...named, ...moves.map(([, transition]) => `${folder.slice(4)}.${transition}`)];
  }),
);

describe("an event", () => {
  test("has S3's name where it has one, and else that of its record", () => {
    expect(eventOf(row, { actor: "x", role: "admin" })).toEqual({
      id: 7,
      version: 1,
      type: "container.claimed",
      timestamp: "1970-01-01T00:00:01.000Z",
      payload: {
        tenantId: "alice",
        containerId: "c-1",
        poolId: "demo",
        action: "tenant.assigned",
        actor: "access:bob@example.com",
        requestId: "r-1",
        result: "ok",
      },
    });
    expect(eventOf({ ...row, action: "tenant.suspended" }, { actor: "x", role: "admin" }).type).toBe(
      "tenant.suspended",
    );
  });

  test("names no operator to a tenant, but what it did itself", () => {
    const seen = eventOf(row, { actor: "jwt:alice", role: "tenant" });
    expect(seen.payload).toMatchObject({ actor: "operator", tenantId: "alice" });
    expect(JSON.stringify(seen)).not.toMatch(/bob|r-1/);
    const own = eventOf({ ...row, actor: "jwt:alice" }, { actor: "jwt:alice", role: "tenant" });
    expect(own.payload).toMatchObject({ actor: "jwt:alice", requestId: "r-1" });
  });

  test("is found by the name under which it is shown, and by no other", () => {
    expect(actionsOf("container.claimed").actions).toEqual(["container.claimed", "tenant.assigned"]);
    expect(actionsOf("tenant.assigned").actions).toEqual([]);
    expect(actionsOf("tenant.suspended").actions).toEqual(["tenant.suspended"]);
  });

  test.each([
    "container.created",
    "container.claimed",
    "container.released",
    "container.destroyed",
    "container.unhealthy",
    "sync.started",
    "sync.completed",
    "sync.failed",
    "pool.scaled",
    "pool.warning",
  ])("named %s is made of actions that the code records", (type) => {
    const actions = actionsOf(type).actions ?? [];
    expect(actions.filter((action) => recorded.includes(action)).length).toBeGreaterThan(0);
    for (const action of actions.filter((one) => one !== type)) expect(recorded).toContain(action);
  });
});
