import { runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { padded } from "../../src/gateway/storage/tar/header.ts";
import { END, headerOf } from "../../src/gateway/storage/tar/write.ts";
import { aPool, call, claim, env, eventually, get, put, release, request, status } from "../support/fleet.ts";
import { overdue } from "../support/overdue.ts";
import { aTar, type Node, random } from "./vault-kit.ts";

interface ImportBody {
  code?: string;
  detail?: string;
  errors?: { pointer: string; detail: string }[];
  state?: string;
  imported?: { generation: number; files: number; bytes: number; changed: number };
  generation?: number;
}

async function importTar(tenant: string, body: BodyInit | null, query = "", type = "application/x-tar") {
  const response = await request("POST", `/api/v1/tenants/${tenant}/import${query}`, body ?? undefined, {
    "content-type": type,
  });
  return { status: response.status, body: (await response.json()) as ImportBody & Record<string, unknown> };
}
const exportTar = async (tenant: string, query = ""): Promise<Uint8Array> => {
  const response = await request("GET", `/api/v1/tenants/${tenant}/export${query}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  expect(response.status).toBe(200);
  return bytes;
};
const text = async (tenant: string, path: string): Promise<string | number> => {
  const response = await get(tenant, path);
  const bytes = await response.arrayBuffer();
  return response.status === 200 ? new TextDecoder().decode(bytes) : response.status;
};
const describeVault = (tenant: string) =>
  (
    env.VAULT.getByName(tenant) as unknown as { describe(): Promise<{ head: object | null; generations: object[] }> }
  ).describe();

/** One entry by its raw name, whatever that is. */
function raw(path: string, content = "", more: { type?: string; target?: string } = {}): Uint8Array {
  const bytes = new TextEncoder().encode(content);
  const header = headerOf({
    path: "x",
    kind: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: bytes.length,
    mtimeNs: "1700000000000000000",
    target: more.target ?? "",
  });
  header.fill(0, 0, 100);
  header.set(new TextEncoder().encode(path).subarray(0, 100));
  if (more.type) header[156] = more.type.charCodeAt(0);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return Buffer.concat([header, bytes, new Uint8Array(padded(bytes.length) - bytes.length)]);
}
const tarOf = (...parts: Uint8Array[]): Uint8Array => Buffer.concat([...parts, END]);

const TREE: Node[] = [
  { path: "a.txt", content: "alpha", mode: 0o600 },
  { path: "dir", kind: "directory", mode: 0o700 },
  { path: "dir/ünï.txt", content: "beta", uid: 7, gid: 8 },
  { path: "dir/link", kind: "symlink", target: "../a.txt" },
  { path: "large.bin", content: random(300_000) },
];

describe("an export that is imported into another tenant", () => {
  it("is there as it was, verified, as a generation of its own; the next claim has it", async () => {
    const pool = await aPool("imp-round", { minSize: 2 });
    await claim("imp-a", pool);
    await put("imp-a", "notes/one.txt", "one");
    await put("imp-a", "large.bin", "x".repeat(200_000));
    await release("imp-a");
    const tar = await exportTar("imp-a");
    const { status: code, body } = await importTar("imp-b", tar);
    expect([code, body]).toMatchObject([200, { state: "idle", imported: { generation: 1, files: 2, bytes: 200_003 } }]);
    const hashOf = async (tenant: string) =>
      (await call("GET", `/api/v1/tenants/${tenant}/generations/1`)).body.treeHash;
    expect(await hashOf("imp-b")).toBe(await hashOf("imp-a"));
    expect((await claim("imp-b", pool)).body).toMatchObject({ restored: { generation: 1, files: 2 } });
    expect(await text("imp-b", "notes/one.txt")).toBe("one");
    // Its own copy: the source may go.
    await call("POST", "/api/v1/tenants/imp-a/destroy?wait=10s", { deleteData: true });
    await release("imp-b");
    await claim("imp-b");
    expect(await text("imp-b", "large.bin")).toBe("x".repeat(200_000));
  });

  it("is refused when one byte of it is another, and when its end is missing", async () => {
    await importTar("imp-c", aTar(TREE));
    const tar = await exportTar("imp-c");
    const at = Buffer.from(tar).indexOf("alpha");
    const spoilt = Uint8Array.from(tar);
    spoilt[at] = 0x41;
    const refused = await importTar("imp-d", spoilt);
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/entries/a.txt" }] } });
    const dry = await importTar("imp-d", spoilt, "?dryRun=true");
    expect(dry).toMatchObject({ status: 200, body: { refusals: 1, refused: [{ entry: "a.txt" }] } });
    const cut = await importTar("imp-d", tarOf(tar.subarray(0, Buffer.from(tar).lastIndexOf("sums") & ~511)));
    expect(cut.status, JSON.stringify(cut.body)).toBe(422);
    expect((await describeVault("imp-d")).generations).toEqual([]);
  });
});

describe("an import", () => {
  it("takes any tar: modes, owners, times, links, large files, long and foreign names", async () => {
    const long = `${"d".repeat(120)}/${"n".repeat(150)}.txt`;
    const { status: code, body } = await importTar("imp-e", aTar([...TREE, { path: long, content: "far" }]));
    expect([code, body]).toMatchObject([200, { imported: { files: 5, bytes: 300_012 } }]);
    const back = await exportTar("imp-e");
    await importTar("imp-f", back);
    const [one, two] = await Promise.all(
      ["imp-e", "imp-f"].map(async (tenant) => (await call("GET", `/api/v1/tenants/${tenant}/generations/1`)).body),
    );
    expect(two?.treeHash).toBe(one?.treeHash);
  });

  it("takes a tar that is compressed, or has only files, and gives everything an owner where one is named", async () => {
    const plain = tarOf(raw("deep/er/file.txt", "content"));
    const zipped = new Response(new Response(plain).body?.pipeThrough(new CompressionStream("gzip") as never));
    const bytes = new Uint8Array(await zipped.arrayBuffer());
    const { status: code } = await importTar("imp-g", bytes, "?owner=10001:10002", "application/gzip");
    expect(code).toBe(200);
    const tar = Buffer.from(await exportTar("imp-g")).toString("latin1");
    expect(tar).toContain("tree/deep/er/file.txt");
    expect(tar).toContain("tree/deep/");
    const damaged = bytes.slice(0, bytes.length - 12);
    expect(await importTar("imp-g", damaged, "", "application/gzip")).toMatchObject({ status: 422 });
  });

  it("refuses path tricks, devices, duplicates and what lies under a file or a link, naming each; nothing is stored", async () => {
    const bad: [string, Uint8Array, string][] = [
      ["absolute", raw("/etc/passwd", "x"), "/entries/~1etc~1passwd"],
      ["dots", raw("a/../../b", "x"), "/entries/a~1..~1..~1b"],
      ["device", raw("dev", "", { type: "3" }), "/entries/dev"],
      ["hard link", raw("hard", "", { type: "1", target: "a" }), "/entries/hard"],
      ["twice", Buffer.concat([raw("t", "1"), raw("./t", "2")]), "/entries/t"],
      [
        "under a link",
        Buffer.concat([raw("l", "", { type: "2", target: "/etc" }), raw("l/passwd", "x")]),
        "/entries/l~1passwd",
      ],
      ["under a file", Buffer.concat([raw("f", "1"), raw("f/g", "2")]), "/entries/f~1g"],
    ];
    for (const [name, entry, pointer] of bad) {
      const { status: code, body } = await importTar("imp-h", tarOf(raw("good.txt", "good"), entry));
      expect([name, code, body.code], JSON.stringify(body)).toEqual([name, 422, "invalid"]);
      expect(
        body.errors?.map((error) => error.pointer),
        name,
      ).toContain(pointer);
    }
    expect((await describeVault("imp-h")).generations).toEqual([]);
    expect((await status("imp-h")).body).toMatchObject({ state: "idle", generation: 0 });
  });

  it("refuses what is no tar or breaks off, and says after which entry", async () => {
    const tar = aTar(TREE);
    for (const [body, said] of [
      [null, /ends in the middle/],
      ["hello, this is no tar", /ends in the middle/],
      [new Uint8Array(4_096).fill(0x41), /no tar/],
      [tar.subarray(0, tar.length - 1_024), /after "large.bin"/],
      [tar.subarray(0, 200_000), /after "large.bin"/],
    ] as const) {
      const answer = await importTar("imp-i", body);
      expect([answer.status, answer.body.code]).toEqual([422, "invalid"]);
      expect(answer.body.detail).toMatch(said);
    }
    expect((await importTar("imp-i", "x", "", "application/json")).status).toBe(415);
    expect((await importTar("imp-i", "x", "?dryRun=maybe")).status).toBe(422);
    expect((await importTar("imp-i", "x", "?owner=root")).status).toBe(422);
    expect((await describeVault("imp-i")).generations).toEqual([]);
  });

  it("is held to the guard, like every save; force accepts it", async () => {
    await importTar("imp-j", aTar(TREE));
    const few = aTar([{ path: "a.txt", content: "alpha" }]);
    expect(await importTar("imp-j", few)).toMatchObject({ status: 409, body: { code: "guard_blocked" } });
    expect((await status("imp-j")).body).toMatchObject({ generation: 1, state: "idle" });
    expect(await importTar("imp-j", few, "?force=true")).toMatchObject({
      status: 200,
      body: { imported: { files: 1 } },
    });
  });

  it("is refused while the tenant has a container, and leaves it alone", async () => {
    const pool = await aPool("imp-busy", { minSize: 1 });
    await claim("imp-k", pool);
    expect(await importTar("imp-k", aTar(TREE))).toMatchObject({ status: 409, body: { code: "invalid_transition" } });
    expect((await status("imp-k")).body).toMatchObject({ state: "active", epoch: 1 });
  });

  it("whose sender vanishes leaves nothing visible, holds the tenant no longer than its deadline, and cannot be gone on with", async () => {
    const pool = await aPool("imp-cut", { minSize: 1 });
    const tenant = env.TENANT.getByName("imp-l") as unknown as {
      beginImport(...args: unknown[]): Promise<{ ok: true; value: { save: never; operation: { id: string } } }>;
      endImport(...args: unknown[]): Promise<{ ok: boolean }>;
    };
    const begun = await tenant.beginImport(
      "imp-l",
      { source: { kind: "tar" }, force: false, token: "t" },
      { actor: "test", requestId: null },
    );
    const { save, operation } = begun.value;
    const vault = env.VAULT.getByName("imp-l") as unknown as Record<
      string,
      (...args: unknown[]) => Promise<{ ok: boolean }>
    >;
    const { epoch, incarnation } = save as { epoch: number; incarnation: string };
    expect(await vault.fence?.(epoch, incarnation)).toMatchObject({ ok: true });
    expect(await vault.open?.(save, [])).toMatchObject({ ok: true });
    // Nothing else begins meanwhile.
    expect((await claim("imp-l", pool)).body).toMatchObject({ code: "operation_in_progress" });
    expect((await importTar("imp-l", aTar(TREE))).body).toMatchObject({ code: "operation_in_progress" });
    const stub = env.TENANT.getByName("imp-l") as unknown as DurableObjectStub;
    await overdue(stub);
    await eventually(async () => {
      await runDurableObjectAlarm(stub);
      expect((await call("GET", `/api/v1/operations/${operation.id}`)).body).toMatchObject({
        status: "failed",
        error: { code: "deadline_exceeded" },
      });
    });
    expect(await vault.commit?.(save, { force: true })).toMatchObject({ ok: false, failure: { code: "stale_epoch" } });
    expect((await describeVault("imp-l")).generations).toEqual([]);
    expect((await claim("imp-l", pool)).status).toBe(201);
  });
});

describe("a dry run", () => {
  it("reports what an import would do, layouts of older systems too, and changes nothing", async () => {
    await importTar("imp-m", aTar(TREE));
    const next = aTar([
      { path: "a.txt", content: "ALPHA" },
      { path: "large.bin", content: TREE[4]?.content ?? "" },
      { path: "root", kind: "directory" },
      { path: "root/.clawdbot", kind: "directory" },
      { path: "root/.clawdbot/config.json", content: "{}" },
      { path: ".openclaw/openclaw.json", content: "{}" },
    ]);
    const { status: code, body } = await importTar("imp-m", next, "?dryRun=true");
    expect([code, body]).toMatchObject([
      200,
      {
        format: "plain",
        files: 4,
        added: 2,
        changed: 1,
        removed: 2,
        refusals: 0,
        layouts: [
          { layout: "openclaw", at: ".openclaw", files: 1 },
          { layout: "root", at: "root", files: 1 },
          { layout: "clawdbot", at: "root/.clawdbot", files: 1 },
        ].map((layout) => expect.objectContaining(layout)),
      },
    ]);
    expect((await status("imp-m")).body).toMatchObject({ generation: 1, epoch: 1 });
    // Of a tenant never seen, too: it is not made by it.
    expect((await importTar("imp-nobody", next, "?dryRun=true")).body).toMatchObject({ added: 4, removed: 0 });
    expect((await status("imp-nobody")).status).toBe(404);
  });

  it("lists what would be refused, and refuses nothing", async () => {
    const tar = tarOf(raw("ok", "1"), raw("../x", "2"), raw("/y", "3"), raw("ok", "4"), raw("d", "", { type: "4" }));
    const { status: code, body } = await importTar("imp-n", tar, "?dryRun=true");
    expect(code).toBe(200);
    expect(body).toMatchObject({ files: 1, refusals: 4 });
    expect((body.refused as { entry: string }[]).map(({ entry }) => entry)).toEqual(["../x", "/y", "ok", "d"]);
  });
});

describe("a clone", () => {
  const clone = (tenant: string, body: object) =>
    call<ImportBody & { tenantId: string }>("POST", `/api/v1/tenants/${tenant}/clone`, body);

  it("is another tenant's next generation with contents of its own; the source is untouched, and nothing wakes", async () => {
    const pool = await aPool("imp-clone", { minSize: 1 });
    await importTar("imp-o", aTar(TREE));
    await importTar("imp-o", aTar([...TREE, { path: "new.txt", content: "new" }]));
    const before = (await status("imp-o")).body;
    const answer = await clone("imp-o", { to: "imp-p", generation: 1 });
    expect(answer).toMatchObject({
      status: 200,
      body: { tenantId: "imp-p", state: "idle", imported: { generation: 1, files: 4 } },
    });
    expect((await status("imp-o")).body).toEqual(before);
    const hash = async (tenant: string) => (await call("GET", `/api/v1/tenants/${tenant}/generations/1`)).body.treeHash;
    expect(await hash("imp-p")).toBe(await hash("imp-o"));
    await call("POST", "/api/v1/tenants/imp-o/destroy?wait=10s", { deleteData: true });
    expect((await claim("imp-p", pool)).body).toMatchObject({ restored: { files: 4, bytes: 300_009 } });
    const { objects } = await env.BUCKET.list({ prefix: "tenants/imp-p/objects/" });
    expect(objects.length).toBeGreaterThan(0);
  });

  it("needs force where there is state, and a target that has no container", async () => {
    const pool = await aPool("imp-target", { minSize: 1 });
    await importTar("imp-q", aTar(TREE));
    await importTar("imp-r", aTar([{ path: "mine", content: "mine" }]));
    expect(await clone("imp-q", { to: "imp-r" })).toMatchObject({ status: 409, body: { code: "already_exists" } });
    expect(await clone("imp-q", { to: "imp-r", force: true })).toMatchObject({ status: 200, body: { generation: 2 } });
    await claim("imp-r", pool);
    expect(await clone("imp-q", { to: "imp-r", force: true })).toMatchObject({ status: 409 });
    expect((await clone("imp-q", { to: "imp-q" })).status).toBe(409);
    expect((await clone("imp-q", { to: "imp-s", generation: 9 })).status).toBe(404);
    expect((await clone("imp-unknown", { to: "imp-s" })).status).toBe(404);
    expect((await clone("imp-q", { to: "../x" })).status).toBe(422);
    expect((await status("imp-s")).status).toBe(404);
  });

  it("whose source lost a content leaves nothing of the target", async () => {
    await importTar("imp-t", aTar(TREE));
    const { objects } = await env.BUCKET.list({ prefix: "tenants/imp-t/objects/" });
    await env.BUCKET.delete(objects.map(({ key }) => key));
    expect((await clone("imp-t", { to: "imp-u" })).status).toBe(409);
    expect((await describeVault("imp-u")).generations).toEqual([]);
    expect((await status("imp-u")).body).toMatchObject({ state: "idle", generation: 0 });
  });
});
