import { applyD1Migrations, type D1Migration } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { listVersions } from "../../src/registry/workload-versions.ts";
import { describeWorkload } from "../../src/registry/workloads.ts";

const MIGRATIONS = (env as unknown as { TEST_MIGRATIONS: D1Migration[] }).TEST_MIGRATIONS;
const WORKLOAD = {
  id: "old",
  name: "old",
  image: "sandbox",
  port: 8080,
  volumes: {},
  environment: {},
  start: "on-boot",
};

/** The database as it was before the first migration: what setup applied goes, the youngest table first. */
async function empty(): Promise<void> {
  const { results } = await env.DB.prepare(
    "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'trigger', 'view') AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' ORDER BY rowid DESC",
  ).all<{ name: string; type: string }>();
  await env.DB.batch([
    env.DB.prepare("PRAGMA defer_foreign_keys = on"),
    ...results.map(({ name, type }) => env.DB.prepare(`DROP ${type} "${name}"`)),
  ]);
}

const schema = async () =>
  (
    await env.DB.prepare(
      "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' AND name <> 'd1_migrations' ORDER BY name",
    ).all()
  ).results;

/** What an installation of the first version may hold. */
async function fill(): Promise<void> {
  await env.DB.batch([
    env.DB.prepare("INSERT INTO workloads (id, version, spec, created_at, updated_at) VALUES ('old', 1, ?, 5, 6)").bind(
      JSON.stringify(WORKLOAD),
    ),
    env.DB.prepare(`INSERT INTO pools VALUES ('old-pool', 'old', 1, '{"id":"old-pool","workloadId":"old"}', 7, 8)`),
    env.DB.prepare("INSERT INTO tenant_hosts VALUES ('t-label', 'Old:Tenant')"),
  ]);
}

test("the migrations are numbered from 1 without a gap, in the order in which they are applied", () => {
  const numbers = MIGRATIONS.map(({ name }) => /^(\d{4})_[a-z_]+\.sql$/.exec(name)?.[1]);
  expect(numbers).toEqual(MIGRATIONS.map((_, index) => String(index + 1).padStart(4, "0")));
});

describe("a database", () => {
  test("that is up to date is left alone", async () => {
    const before = await schema();
    await applyD1Migrations(env.DB, MIGRATIONS);
    expect(await schema()).toEqual(before);
  });

  test.each(MIGRATIONS.map(({ name }, index) => [name, index + 1] as const))(
    "as %s left it, with what was registered then, becomes like a new one and keeps that",
    async (_, applied) => {
      await empty();
      await applyD1Migrations(env.DB, MIGRATIONS);
      const fresh = await schema();
      await empty();
      expect(await schema()).toEqual([]);

      await applyD1Migrations(env.DB, MIGRATIONS.slice(0, applied));
      await fill();
      await applyD1Migrations(env.DB, MIGRATIONS);
      expect(await schema()).toEqual(fresh);

      expect(await describeWorkload(env.DB, "old")).toMatchObject({
        spec: { ...WORKLOAD, network: "restricted" },
        version: 1,
        createdAt: 5,
        updatedAt: 6,
        pools: 1,
      });
      expect(await env.DB.prepare("SELECT * FROM tenant_hosts").all()).toMatchObject({
        results: [{ label: "t-label", tenant_id: "Old:Tenant" }],
      });
      expect(await env.DB.prepare("SELECT id, workload_id, created_at FROM pools").all()).toMatchObject({
        results: [{ id: "old-pool", workload_id: "old", created_at: 7 }],
      });
    },
  );

  test("from before versions has one of each workload, as it was registered", async () => {
    await empty();
    const before = MIGRATIONS.findIndex(({ name }) => name.endsWith("_registry.sql") && !name.startsWith("0001"));
    await applyD1Migrations(env.DB, MIGRATIONS.slice(0, before));
    await fill();
    await applyD1Migrations(env.DB, MIGRATIONS);
    expect(await listVersions(env.DB, "old", null, 10)).toMatchObject({
      items: [{ version: 1, at: 6, actor: null, spec: { id: "old" } }],
      next: null,
    });
  });
});
