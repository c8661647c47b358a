import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { aPool, call, claim, eventually, release, request } from "../support/fleet.ts";

const PATH = "/api/v1/workloads";
const aWorkload = (id: string, more: object = {}) => ({ id, image: "sandbox", ...more });
const register = async (id: string, more: object = {}) => {
  const created = await call("POST", PATH, aWorkload(id, more));
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  return created;
};
const put = async (id: string, body: object, headers: Record<string, string> = {}) => {
  const response = await request("PUT", `${PATH}/${id}`, JSON.stringify(body), {
    "content-type": "application/json",
    ...headers,
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
};
const records = async (subject: string) =>
  (await env.DB.prepare("SELECT * FROM audit WHERE subject = ? ORDER BY id").bind(subject).all<AuditRow>()).results;
interface AuditRow {
  action: string;
  actor: string;
  request_id: string;
  before: string | null;
  after: string | null;
  detail: string;
}

describe("a workload's versions", () => {
  test("begin with 1, grow by one with each change, and are all kept", async () => {
    const created = await register("grown", { environment: { A: "1" } });
    expect(created.headers.get("etag")).toBe('"1"');
    expect(created.body).toMatchObject({ version: 1, pools: 0 });
    const changed = await put("grown", { image: "sandbox", environment: { A: "2" } });
    expect(changed).toMatchObject({ status: 200, body: { version: 2, environment: { A: "2" }, id: "grown" } });
    expect(changed.headers.get("etag")).toBe('"2"');
    const read = await call("GET", `${PATH}/grown`);
    expect([read.body, read.headers.get("etag")]).toEqual([changed.body, '"2"']);
    const { body } = await call("GET", `${PATH}/grown/versions`);
    expect(body).toMatchObject({
      items: [
        { version: 2, actor: "admin-key", spec: { environment: { A: "2" } } },
        { version: 1, actor: "admin-key", spec: { environment: { A: "1" } } },
      ],
      nextCursor: null,
    });
  });

  test("are listed in pages that miss nothing", async () => {
    await register("paged");
    for (const name of ["b", "c"]) await put("paged", { image: "sandbox", name });
    const first = await call<{ items: { version: number }[]; nextCursor: string }>(
      "GET",
      `${PATH}/paged/versions?limit=2`,
    );
    expect(first.body.items.map(({ version }) => version)).toEqual([3, 2]);
    const second = await call("GET", `${PATH}/paged/versions?limit=2&cursor=${first.body.nextCursor}`);
    expect(second.body).toMatchObject({ items: [{ version: 1 }], nextCursor: null });
  });

  test("do not grow, and nothing is recorded, when the same comes again", async () => {
    const { body } = await register("same", { environment: { B: "1", A: "1" }, port: 3000 });
    const again = await put("same", { image: "sandbox", port: 3000, environment: { A: "1", B: "1" } });
    expect(again).toMatchObject({ status: 200, body: { version: 1, updatedAt: body.updatedAt } });
    expect(await records("workload:same")).toHaveLength(1);
  });

  test("are compared with If-Match, of which one of two at once wins", async () => {
    await register("matched");
    const stale = await put("matched", { image: "sandbox", name: "x" }, { "if-match": '"7"' });
    expect(stale).toMatchObject({ status: 412, body: { code: "version_mismatch", version: 1 } });
    const both = await Promise.all(
      ["left", "right"].map((name) => put("matched", { image: "sandbox", name }, { "if-match": '"1"' })),
    );
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
    expect((await call("GET", `${PATH}/matched`)).body).toMatchObject({ version: 2 });
    expect((await put("matched", { image: "sandbox" }, { "if-match": "nonsense" })).status).toBe(422);
  });

  test("of changes that demand none all count, also at once", async () => {
    await register("raced");
    const names = ["a", "b", "c"];
    const all = await Promise.all(names.map((name) => put("raced", { image: "sandbox", name })));
    expect(all.map(({ body }) => body.version).sort()).toEqual([2, 3, 4]);
    expect(await records("workload:raced")).toHaveLength(4);
  });
});

describe("a change", () => {
  test("of what is not there is 404 before its body is looked at", async () => {
    for (const body of ["{", '{"colour":1}', JSON.stringify({ image: "sandbox" })]) {
      const response = await request("PUT", `${PATH}/nowhere`, body, { "content-type": "application/json" });
      expect(response.status).toBe(404);
      await response.body?.cancel();
    }
    expect((await call("GET", `${PATH}/nowhere/versions`)).status).toBe(404);
  });

  test("cannot rename, and is checked as a registration is", async () => {
    await register("fixed");
    expect(await put("fixed", { id: "other", image: "sandbox" })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: "/id" }] },
    });
    expect(await put("fixed", { image: "sandbox", configSchema: { type: "nope" } })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: "/configSchema/type" }] },
    });
    expect((await put("fixed", { id: "fixed", image: "sandbox" })).status).toBe(200);
  });

  test("reaches the pools: what starts from then on runs the new version", async () => {
    const pool = await aPool("followed", { minSize: 0 }, { environment: { MARK_ONE: "1" } });
    const changed = await put("followed", {
      image: "sandbox",
      volumes: { state: { containerPath: "/data" } },
      environment: { MARK_TWO: "2" },
    });
    expect(changed).toMatchObject({ status: 200, body: { version: 2, pools: 1 } });
    expect((await claim("follower", pool)).status).toBe(201);
    const whoami = (await (await request("GET", "/t/follower/whoami")).json()) as { env: string[] };
    expect(whoami.env).toContain("MARK_TWO");
    expect(whoami.env).not.toContain("MARK_ONE");
    await release("follower");
  });

  test("holds for the next claim's config in this isolate at once", async () => {
    const pool = await aPool("rechecked", { minSize: 0 }, { configSchema: { type: "object" } });
    expect((await claim("recheck-1", pool, { config: { n: 1 } })).status).toBe(201);
    const configSchema = { type: "object", properties: { n: { type: "string" } } };
    await put("rechecked", { image: "sandbox", volumes: { state: { containerPath: "/data" } }, configSchema });
    expect((await claim("recheck-2", pool, { config: { n: 1 } })).status).toBe(422);
  });
});

describe("a deletion", () => {
  test("is refused while pools run the workload, and names them", async () => {
    await register("kept");
    for (const id of ["kept-a", "kept-b"])
      expect((await call("POST", "/api/v1/pools", { id, workloadId: "kept", maxSize: 1 })).status).toBe(201);
    const refused = await call("DELETE", `${PATH}/kept`);
    expect(refused).toMatchObject({
      status: 409,
      body: { code: "in_use", usedBy: ["pool:kept-a", "pool:kept-b"] },
    });
    expect((await call("GET", `${PATH}/kept`)).body).toMatchObject({ pools: 2 });
    expect((await records("workload:kept")).map(({ action }) => action)).toEqual(["workload.created"]);
  });

  test("takes its versions along, and the id is free again", async () => {
    await register("gone");
    const mismatch = await request("DELETE", `${PATH}/gone`, undefined, { "if-match": '"2"' });
    expect(mismatch.status).toBe(412);
    await mismatch.body?.cancel();
    expect((await request("DELETE", `${PATH}/gone`)).status).toBe(204);
    for (const method of ["GET", "DELETE"]) expect((await call(method, `${PATH}/gone`)).status).toBe(404);
    expect((await register("gone")).body).toMatchObject({ version: 1 });
    expect((await call<{ items: [] }>("GET", `${PATH}/gone/versions`)).body.items).toHaveLength(1);
  });
});

describe("a registration", () => {
  test("as a dry run says whether it could be, and registers nothing", async () => {
    const good = await call("POST", `${PATH}?dryRun=true`, aWorkload("dry"));
    expect(good).toMatchObject({
      status: 200,
      body: { valid: true, spec: { id: "dry", start: "on-boot", port: 8080 } },
    });
    expect((await call("POST", `${PATH}?dryRun=true`, aWorkload("dry", { port: 41800 }))).status).toBe(422);
    expect((await call("POST", `${PATH}?dryRun=yes`, aWorkload("dry"))).status).toBe(422);
    expect((await call("GET", `${PATH}/dry`)).status).toBe(404);
    expect(await records("workload:dry")).toEqual([]);
  });

  test("of one image that is not there names those that are", async () => {
    const refused = await call("POST", PATH, aWorkload("imageless", { image: "docker.io/library/nginx" }));
    expect(refused).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: "/image", detail: expect.stringContaining("sandbox") }] },
    });
  });

  test("that came twice at once is one, with one record", async () => {
    const both = await Promise.all([1, 2].map(() => call("POST", PATH, aWorkload("twice"))));
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409]);
    expect(await records("workload:twice")).toHaveLength(1);
  });

  test("from before a field was known is read with that field's default", async () => {
    const old = {
      id: "old",
      name: "old",
      image: "gone-image",
      port: 3000,
      volumes: {},
      environment: {},
      start: "on-boot",
    };
    await env.DB.prepare("INSERT INTO workloads (id, version, spec, created_at, updated_at) VALUES ('old', 1, ?, 1, 1)")
      .bind(JSON.stringify(old))
      .run();
    const read = await call("GET", `${PATH}/old`);
    expect(read).toMatchObject({
      status: 200,
      body: {
        image: "gone-image",
        port: 3000,
        ports: [{ port: 3000, protocol: "http" }],
        healthCheck: { intervalMs: 30_000, timeoutMs: 5_000, retries: 3 },
        network: "restricted",
        selfService: false,
        exclude: [],
        egress: [],
      },
    });
    const list = await call<{ items: { id: string }[] }>("GET", `${PATH}?limit=200`);
    expect(list.body.items.find(({ id }) => id === "old")).toEqual(read.body);
  });
});

test("every change leaves one record, chained by the hashes of what it found and made", async () => {
  await register("audited");
  await put("audited", { image: "sandbox", name: "renamed" });
  await request("DELETE", `${PATH}/audited`);
  await eventually(async () => {
    const rows = await records("workload:audited");
    expect(rows.map(({ action }) => action)).toEqual(["workload.created", "workload.updated", "workload.deleted"]);
    expect(rows.every(({ actor, request_id }) => actor === "admin-key" && request_id)).toBe(true);
    const [created, updated, deleted] = rows;
    expect([created?.before, deleted?.after]).toEqual([null, null]);
    expect(updated?.before).toBe(created?.after);
    expect(deleted?.before).toBe(updated?.after);
    expect(updated?.after).not.toBe(created?.after);
  });
});

describe("a page of workloads", () => {
  test("shows each as it is alone, to the millisecond, from where the page before ended", async () => {
    const ids = Array.from({ length: 25 }, (_, index) => `alike-${String(index).padStart(2, "0")}`);
    for (const id of ids) await register(id, { name: `"${id}" \\ ü` });
    const seen: unknown[] = [];
    let cursor = btoa("alike").replaceAll("=", "");
    while (seen.length < ids.length) {
      const { body } = await call<{ items: { id: string }[]; nextCursor: string }>(
        "GET",
        `${PATH}?limit=10&cursor=${cursor}`,
      );
      seen.push(...body.items.filter(({ id }) => id.startsWith("alike-")));
      cursor = body.nextCursor;
    }
    for (const [index, id] of ids.entries()) expect(seen[index]).toEqual((await call("GET", `${PATH}/${id}`)).body);
  });
});

describe("a page of large workloads", () => {
  test("ends early, and the pages together have every one of them once", async () => {
    const configSchema = { type: "object", properties: { a: { enum: ["x".repeat(60_000)] } } };
    const ids = Array.from({ length: 80 }, (_, index) => `large-${String(index).padStart(2, "0")}`);
    for (const id of ids) await call("POST", "/api/v1/workloads", { id, image: "sandbox", configSchema });
    const seen: string[] = [];
    let [cursor, pages] = ["", 0];
    do {
      const at = cursor === "" ? "" : `&cursor=${cursor}`;
      const { body } = await call<{ items: { id: string }[]; nextCursor: string | null }>(
        "GET",
        `/api/v1/workloads?limit=1000${at}`,
      );
      seen.push(...body.items.map(({ id }) => id).filter((id) => id.startsWith("large-")));
      cursor = body.nextCursor ?? "";
      pages += 1;
    } while (cursor !== "");
    expect(pages).toBeGreaterThan(1);
    expect(seen).toEqual(ids);
  });
});

describe("a workload that is rolled back", () => {
  const rollback = (id: string, version: number, headers: Record<string, string> = {}) =>
    request("POST", `${PATH}/${id}/rollback`, JSON.stringify({ version }), {
      "content-type": "application/json",
      ...headers,
    });

  test("has what an earlier version said, as a new version that says where it comes from", async () => {
    await register("back", { environment: { A: "1" } });
    await put("back", { image: "sandbox", environment: { A: "2" } });
    const answer = await rollback("back", 1);
    expect([answer.status, answer.headers.get("etag")]).toEqual([200, '"3"']);
    expect(await answer.json()).toMatchObject({ version: 3, environment: { A: "1" } });
    const { body } = await call("GET", `${PATH}/back/versions`);
    expect(body).toMatchObject({ items: [{ version: 3 }, { version: 2 }, { version: 1 }] });
    const last = (await records("workload:back")).at(-1);
    expect(last).toMatchObject({ action: "workload.updated", detail: expect.stringContaining('"rolledBackTo":1') });
    expect(await (await rollback("back", 3)).json()).toMatchObject({ version: 3 });
  });

  test("names a version that there was, of an image that is deployed, and matches", async () => {
    await register("astray");
    expect((await rollback("astray", 2)).status).toBe(404);
    expect((await rollback("no-such", 1)).status).toBe(404);
    expect((await rollback("astray", 0)).status).toBe(422);
    await put("astray", { image: "sandbox", name: "x" });
    expect((await rollback("astray", 1, { "if-match": '"1"' })).status).toBe(412);
    await env.DB.prepare(
      "UPDATE workload_versions SET spec = json_set(spec, '$.image', 'gone') WHERE workload_id = 'astray' AND version = 1",
    ).run();
    const refused = await rollback("astray", 1);
    expect([refused.status, await refused.json()]).toMatchObject([422, { errors: [{ pointer: "/version" }] }]);
  });

  test("is followed by the warm slots of its pools", async () => {
    const id = await aPool("rolled-back", { minSize: 1, maxSize: 5 });
    await put(id, { image: "sandbox", name: "second" });
    await rollback(id, 1);
    await eventually(async () => {
      const { body } = await call("GET", `/api/v1/pools/${id}/containers`);
      expect(body).toMatchObject({ items: [{ workloadVersion: 3, state: "warm" }] });
    });
  });
});
