import { beforeAll, describe, expect, test } from "vitest";
import { matrixOf, type Row } from "../../scripts/roles/matrix.ts";
import { app, openApiDocument } from "../../src/app.ts";
import type { Role } from "../../src/auth/principal.ts";
import type { TenantId } from "../../src/ids.ts";
import { operationId } from "../../src/tenant/operation-id.ts";
import { aPool, call, env, eventually, request, status } from "../support/fleet.ts";

/** Every route and everyone who may come: generated from the OpenAPI document, so that a new route is here by itself. */
const { rows } = matrixOf(openApiDocument(), app.routes);
const ROLES: readonly Role[] = ["admin", "operator", "viewer", "tenant"];
const TENANT = "matrix-tenant" as TenantId;
const SUBJECTS: Record<string, string> = {
  tenants: TENANT,
  operations: operationId(TENANT, "00"),
  containers: "c-aaaaaaaaaaaaaaaaaaaa",
};

const keys = { expired: "", revoked: "", otherTenant: "" };
const keyOfRole: Record<Role, string> = { admin: "", operator: "", viewer: "", tenant: "" };

async function aKey(body: object): Promise<{ id: string; key: string }> {
  const made = await call<{ id: string; key: string }>("POST", "/api/v1/keys", { name: "matrix", ...body });
  expect(made.status).toBe(201);
  return made.body;
}

beforeAll(async () => {
  for (const role of ROLES) {
    keyOfRole[role] = (await aKey({ role, ...(role === "tenant" ? { tenantId: TENANT } : {}) })).key;
  }
  keys.otherTenant = (await aKey({ role: "tenant", tenantId: "somebody-else" })).key;
  const expired = await aKey({ role: "admin" });
  await env.DB.prepare("UPDATE api_keys SET expires_at = 1 WHERE id = ?").bind(expired.id).run();
  keys.expired = expired.key;
  const revoked = await aKey({ role: "admin" });
  await call("DELETE", `/api/v1/keys/${revoked.id}`);
  keys.revoked = revoked.key;
});

const pathOf = ({ path }: Row, subjects: Record<string, string>): string => {
  const resource = path.split("/")[3] ?? "";
  return path.replace("{id}", subjects[resource] ?? "nope").replace(/\{\w+\}/g, "nope");
};
const isAboutOneTenant = ({ path }: Row) => /^\/api\/v1\/(?:tenants|operations)\/\{/.test(path);

/** An address for every row: failures of one are nothing to the others. */
const addressOf = (row: Row) => `192.0.2.${rows.indexOf(row) % 250}`;

async function answer(
  row: Row,
  key: string | null,
  subjects = SUBJECTS,
): Promise<{ status: number; code?: string; detail?: string }> {
  const sent =
    row.method === "GET" ? ([undefined, {}] as const) : (["{}", { "content-type": "application/json" }] as const);
  const [body, type] = sent;
  const authorization = key === null ? "" : `Bearer ${key}`;
  const headers = { authorization, "cf-connecting-ip": addressOf(row), ...type };
  const response = await request(row.method, pathOf(row, subjects), body, headers);
  const text = new TextDecoder().decode(await response.arrayBuffer());
  const problem = response.headers.get("content-type")?.includes("problem") ? JSON.parse(text) : {};
  return { status: response.status, code: problem.code, detail: problem.detail };
}

describe.each(rows.map((row) => [`${row.method} ${row.path}`, row] as const))("%s", (_, row) => {
  test("is 401 without a key, with garbage, an expired key and a revoked one", async () => {
    const wrong = [null, `bh_${"A".repeat(43)}`, "garbage", "a.b.c", keys.expired, keys.revoked];
    for (const key of wrong) expect(await answer(row, key)).toMatchObject({ status: 401, code: "unauthenticated" });
  });

  test("is 403 for every role without its permission", async () => {
    for (const role of ROLES.filter((role) => !row.roles.includes(role))) {
      const refused = await answer(row, keyOfRole[role]);
      expect(refused, role).toMatchObject({ status: 403, code: "forbidden" });
      expect(refused.detail, role).toContain(row.permission);
    }
  });

  test("lets every role with its permission in", async () => {
    for (const role of row.roles) {
      const answered = await answer(row, keyOfRole[role]);
      expect([401, 429], role).not.toContain(answered.status);
      expect(`${answered.status} ${answered.detail}`, role).not.toMatch(/^403 .*has no permission/);
    }
  });
});

/** What is there, and runs, is to another tenant as if it were not. */
describe("another tenant's key", () => {
  const foreign = rows.filter((row) => isAboutOneTenant(row) && row.roles.includes("tenant"));
  let subjects = SUBJECTS;

  beforeAll(async () => {
    const pool = await aPool("matrix");
    const pending = await call("POST", "/api/v1/tenants/matrix-real/claim?wait=0s", { poolId: pool });
    const location = pending.headers.get("location") ?? "";
    await eventually(async () => expect((await call("GET", location)).body).toMatchObject({ status: "succeeded" }));
    subjects = { tenants: "matrix-real", operations: location.split("/").at(-1) ?? "" };
  });

  test.each(foreign.map((row) => [`${row.method} ${row.path}`, row] as const))(
    "finds nothing at %s",
    async (_, row) => {
      expect(await answer(row, keys.otherTenant, subjects)).toMatchObject({ status: 404, code: "not_found" });
    },
  );

  test("changes nothing there", async () => {
    expect(foreign.length).toBeGreaterThan(4);
    expect((await status("matrix-real")).body).toMatchObject({ state: "active", epoch: 1 });
  });
});

test("the matrix has rows for every role, and for tenants' own things", () => {
  expect(rows.length).toBeGreaterThan(40);
  for (const role of ROLES) expect(rows.some((row) => row.roles.includes(role))).toBe(true);
  expect(rows.some((row) => isAboutOneTenant(row) && row.roles.includes("tenant"))).toBe(true);
});
