import { describe, expect, it } from "vitest";
import { aPool, call, claim, env, eventually, request, simulation, status } from "../support/fleet.ts";

type Body = Record<string, unknown>;
interface Answer extends Body {
  results: Body[];
  token: string;
}
const batch = (tenant: string, body: unknown, query = "") =>
  call<Answer>("POST", `/api/v1/tenants/${tenant}/files/batch${query}`, body);
const run = (tenant: string, operations: unknown[], more: object = {}) => batch(tenant, { operations, ...more });
const stop = (tenant: string) => call("POST", `/api/v1/tenants/${tenant}/stop?wait=10s`, {});
const statuses = ({ body }: { body: Answer }) => body.results.map((result) => result.status);

async function aTenant(name: string) {
  const pool = await aPool(name, { minSize: 1, maxSize: 5 });
  const { body } = await claim(name, pool);
  const files = () => simulation.for(body.containerId).container.files;
  return {
    container: body.containerId,
    text: (path: string) => files().readText(`/data/${path}`),
    names: () => [...files().walk("/data")].map(({ path }) => path).filter(Boolean),
    overwrite: (path: string, content: string) => files().write(`/data/${path}`, content),
  };
}
const writes = (count: number, content = "x") =>
  Array.from({ length: count }, (_, index) => ({ op: "write", path: `f${index}`, content: `${content}${index}` }));

describe("a batch", () => {
  it("does its operations one after the other and says of each what came of it", async () => {
    await aTenant("batch");
    const answer = await run("batch", [
      { op: "write", path: "a", content: "one" },
      { op: "read", path: "a" },
      { op: "exists", path: "a" },
      { op: "exists", path: "b" },
      { op: "list", path: "" },
      { op: "write", path: "sub/b", content: "/wAB", encoding: "base64" },
      { op: "delete", path: "a" },
      { op: "exists", path: "a" },
    ]);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        tenantId: "batch",
        completed: 8,
        succeeded: 8,
        failed: 0,
        resumeFrom: null,
        results: [
          { index: 0, op: "write", path: "a", status: "succeeded", success: true, created: true, size: 3 },
          { content: "one", encoding: "utf8", source: "container", size: 3 },
          { exists: true, size: 3 },
          { exists: false, lookedIn: ["container"] },
          { items: [{ path: "a", kind: "file" }], truncated: false },
          { created: true, size: 3 },
          { op: "delete", success: true },
          { exists: false },
        ],
      },
    });
  });

  it("that is mixed is 207, and one that is wrong does not stop the others", async () => {
    const { text } = await aTenant("mixed");
    const answer = await run("mixed", [
      { op: "write", path: "a", content: "x" },
      { op: "rename", path: "a" },
      { op: "read" },
      { op: "read", path: "../etc/passwd" },
      { op: "write", path: "b", content: "x", mode: 7 },
      { op: "write", path: "b", content: "!", encoding: "base64" },
      "no object",
      null,
      { op: "read", path: "nope" },
      { op: "write", path: "a", content: "y", ifMatch: '"other"' },
      { op: "write", path: "c", content: "last" },
    ]);
    expect(answer.status).toBe(207);
    expect(answer.body).toMatchObject({ completed: 11, succeeded: 2, failed: 9 });
    const codes = answer.body.results.map(({ error }) => (error as Body | undefined)?.code ?? null);
    expect(codes).toEqual([
      null,
      "bad_request",
      "invalid",
      "bad_request",
      "invalid",
      "bad_request",
      "bad_request",
      "bad_request",
      "not_found",
      "version_mismatch",
      null,
    ]);
    expect([text("a"), text("c")]).toEqual(["x", "last"]);
  });

  it("of none, of more than fifty, and what is no array is 400", async () => {
    await aTenant("limits");
    for (const body of [
      {},
      { operations: [] },
      { operations: "x" },
      { operations: null },
      { operations: {} },
      { operations: writes(51) },
    ]) {
      expect(await batch("limits", body)).toMatchObject({ status: 400, body: { code: "bad_request" } });
    }
    expect((await run("limits", writes(50))).body).toMatchObject({ succeeded: 50 });
    expect((await run("limits", writes(1), { more: 1 })).status).toBe(422);
    expect((await run("limits", writes(1), { timeoutMs: 300_001 })).status).toBe(422);
    expect((await batch("limits", { operations: writes(1) }, "?source=moon")).status).toBe(400);
    const large = await request(
      "POST",
      "/api/v1/tenants/limits/files/batch",
      `{"operations":["${"x".repeat(10_000_001)}"]}`,
      {
        "content-type": "application/json",
      },
    );
    expect(large.status).toBe(413);
    expect((await run("never-seen-batch", writes(1))).status).toBe(404);
  });

  it("leaves what its time did not reach unstarted, and goes on there without doing anything twice", async () => {
    const { container, text, overwrite } = await aTenant("resumed");
    simulation.for(container).slow("file", 150, { times: 4 });
    const first = await run("resumed", writes(20), { timeoutMs: 400, token: "t1" });
    expect(first.status).toBe(207);
    const from = first.body.resumeFrom as number;
    expect(from).toBeGreaterThan(0);
    expect(first.body.results[from]).toMatchObject({ status: "not_started", success: false });
    expect(first.body.completed).toBe(from);
    overwrite("f0", "changed since");
    await new Promise((resolve) => setTimeout(resolve, 200)); // what its time ran out on may still end
    const second = await run("resumed", writes(20), { token: "t1", resumeFrom: from });
    expect(statuses(second).slice(0, from)).toEqual(Array.from({ length: from }, () => "skipped"));
    expect(statuses(second).slice(from)).toEqual(Array.from({ length: 20 - from }, () => "succeeded"));
    expect([second.status, second.body.resumeFrom]).toEqual([200, null]);
    expect([text("f0"), text("f19")]).toEqual(["changed since", "x19"]);
  });

  it("that is sent again under its token repeats no write and no removal", async () => {
    const { text, overwrite } = await aTenant("tokens");
    await run("tokens", [{ op: "write", path: "gone", content: "x" }]);
    const operations = [...writes(3), { op: "delete", path: "gone" }];
    const first = await run("tokens", operations, { token: "once" });
    expect(first.body).toMatchObject({ token: "once", succeeded: 4 });
    overwrite("f1", "somebody else's");
    overwrite("gone", "new");
    const again = await run("tokens", operations, { token: "once" });
    expect(again).toMatchObject({
      status: 200,
      body: { succeeded: 4, results: [{ replayed: true }, { replayed: true }, {}, { replayed: true }] },
    });
    expect([text("f1"), text("gone")]).toEqual(["somebody else's", "new"]);
    const other = await run("tokens", writes(3, "other"), { token: "once" });
    expect(other.body.results.some((result) => result.replayed)).toBe(false);
    expect(text("f1")).toBe("other1");
  });

  it("does not repeat a write of which nobody knows whether it happened", async () => {
    const { container, text, overwrite } = await aTenant("unknown");
    simulation.for(container).lose("file", { times: 1 });
    const first = await run("unknown", writes(2), { token: "lost" });
    expect(first.body.results).toMatchObject([
      { success: false, error: { code: "operation_interrupted" } },
      { success: true },
    ]);
    overwrite("f0", "changed since");
    const again = await run("unknown", writes(2), { token: "lost" });
    expect(again.body.results).toMatchObject([
      { success: false, error: { code: "operation_interrupted" } },
      { replayed: true },
    ]);
    expect(text("f0")).toBe("changed since");
  });

  it("of a stopped tenant reads what is saved and writes nothing, or wakes it once for all", async () => {
    await aTenant("asleep");
    await run("asleep", [{ op: "write", path: "a", content: "one" }]);
    await stop("asleep");
    const operations = [
      { op: "read", path: "a" },
      { op: "write", path: "a", content: "two" },
      { op: "list", path: "" },
    ];
    const answer = await run("asleep", operations);
    expect(answer).toMatchObject({
      status: 207,
      body: {
        results: [
          { content: "one", source: "vault", generation: 1 },
          { error: { code: "not_running" } },
          { success: true },
        ],
      },
    });
    expect((await status("asleep")).body).toMatchObject({ state: "asleep", epoch: 1 });
    const woken = await batch("asleep", { operations }, "?wake=true");
    expect(woken).toMatchObject({ status: 200, body: { results: [{ content: "one", source: "container" }, {}, {}] } });
    expect((await status("asleep")).body).toMatchObject({ state: "active", epoch: 2 });
  });

  it("is recorded once with what it was to change, and not at all when it only reads", async () => {
    await aTenant("recorded");
    const send = async (requestId: string, operations: unknown[]) => {
      const headers = { "content-type": "application/json", "x-request-id": requestId };
      const body = JSON.stringify({ operations });
      await (await request("POST", "/api/v1/tenants/recorded/files/batch", body, headers)).text();
    };
    const rows = async (requestId: string) =>
      (await env.DB.prepare("SELECT action, detail FROM audit WHERE request_id = ?").bind(requestId).all<Body>())
        .results;
    await send("batch-reads", [{ op: "read", path: "a" }, { op: "list" }]);
    await send("batch-writes", [...writes(2), { op: "read", path: "f0" }, { op: "delete", path: "f1" }]);
    await eventually(async () => expect(await rows("batch-writes")).toHaveLength(1));
    const [row] = await rows("batch-writes");
    expect(row?.action).toBe("tenant.files_changed");
    expect(JSON.parse(row?.detail as string)).toMatchObject({ paths: ["f0", "f1", "f1"] });
    expect(await rows("batch-reads")).toEqual([]);
  });

  it("reads at most ten megabytes", async () => {
    await aTenant("much");
    const content = "x".repeat(4_500_000);
    for (const path of ["a", "b", "c"]) await run("much", [{ op: "write", path, content }]);
    const answer = await run(
      "much",
      ["a", "b", "c"].map((path) => ({ op: "read", path })),
    );
    expect(statuses(answer)).toEqual(["succeeded", "succeeded", "failed"]);
    expect(answer.body.results[2]).toMatchObject({ error: { code: "file_too_large", size: 4_500_000 } });
  });
});

describe("an atomic batch", () => {
  it("writes and removes all of it", async () => {
    const { text, names } = await aTenant("atomic");
    await run("atomic", [...writes(2, "old"), { op: "write", path: "gone", content: "x" }]);
    const answer = await run(
      "atomic",
      [...writes(3, "new"), { op: "read", path: "f0" }, { op: "delete", path: "gone" }],
      { atomic: true },
    );
    expect(answer).toMatchObject({ status: 200, body: { succeeded: 5 } });
    expect(answer.body.results[3]).toMatchObject({ content: "old0" });
    expect([text("f0"), text("f2"), names()]).toEqual(["new0", "new2", ["f0", "f1", "f2"]]);
  });

  it.each([
    ["an operation that is none", { op: "rename", path: "x" }, "bad_request"],
    [
      "a condition that does not hold",
      { op: "write", path: "x", content: "x", ifMatch: '"other"' },
      "version_mismatch",
    ],
    ["a file that cannot be removed", { op: "delete", path: "nope" }, "not_found"],
    ["a directory in the way", { op: "write", path: "dir", content: "x" }, "not_a_file"],
  ])("with %s writes nothing of it, and leaves nothing behind", async (what, wrong, code) => {
    const tenant = `atomic-${what.replaceAll(" ", "-")}`;
    const { text, names } = await aTenant(tenant.slice(0, 40));
    const id = tenant.slice(0, 40);
    await run(id, [...writes(1, "old"), { op: "write", path: "dir/a", content: "x" }]);
    const answer = await run(id, [...writes(3, "new"), wrong], { atomic: true });
    expect(answer.status).toBe(207);
    expect(answer.body.succeeded).toBe(0);
    expect(answer.body.results[3]).toMatchObject({ success: false, error: { code } });
    expect([text("f0"), names()]).toEqual(["old0", ["dir", "dir/a", "f0"]]);
  });

  it("that is sent again under its token is not done again", async () => {
    const { text, overwrite, names } = await aTenant("atomic-again");
    const first = await run("atomic-again", writes(2), { atomic: true, token: "t" });
    expect(first.body.succeeded).toBe(2);
    overwrite("f0", "changed since");
    const again = await run("atomic-again", writes(2), { atomic: true, token: "t" });
    expect(again.body).toMatchObject({ succeeded: 2, results: [{ replayed: true }, { replayed: true }] });
    expect([text("f0"), names()]).toEqual(["changed since", ["f0", "f1"]]);
  });
});
