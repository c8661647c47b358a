import { describe, expect, it } from "vitest";
import { FILES_AT_ONCE } from "../../src/instance/files.ts";
import { sha256 } from "../../src/sha256.ts";
import {
  aPool,
  call,
  claim,
  env,
  eventually,
  put as putInside,
  release,
  request,
  simulation,
  status,
} from "../support/fleet.ts";

type Body = Record<string, unknown>;
const OCTETS = { accept: "application/octet-stream" };
const pathOf = (tenant: string, path: string) => `/api/v1/tenants/${tenant}/files/${path}`;
const ask = async (method: string, url: string, body?: BodyInit, headers: Record<string, string> = {}) => {
  const response = await request(method, url, body, headers);
  const text = new TextDecoder().decode(await response.arrayBuffer());
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  return { status: response.status, headers: response.headers, text, body: (isJson ? JSON.parse(text) : {}) as Body };
};
const read = (tenant: string, path: string, headers: Record<string, string> = {}) =>
  ask("GET", pathOf(tenant, path), undefined, headers);
const write = (tenant: string, path: string, content: BodyInit, headers: Record<string, string> = {}) =>
  ask("PUT", pathOf(tenant, path), content, { "content-type": "application/octet-stream", ...headers });
const list = (tenant: string, query = "") => ask("GET", `/api/v1/tenants/${tenant}/files${query}`);
const batch = (tenant: string, body: unknown, query = "") =>
  call<Body & { results: Body[]; token: string }>("POST", `/api/v1/tenants/${tenant}/files/batch${query}`, body);
const stop = (tenant: string) => call("POST", `/api/v1/tenants/${tenant}/stop?wait=10s`, {});

/** A running tenant, and its container. */
async function aTenant(name: string, workload: object = {}) {
  const pool = await aPool(name, { minSize: 1, maxSize: 5 }, { ...workload });
  const { body } = await claim(name, pool);
  return { container: body.containerId };
}
const containerOf = (id: string) => simulation.for(id).container;

describe("a file of a running tenant", () => {
  it("is read from its container, with what is known of it", async () => {
    await aTenant("run");
    await putInside("run", "notes/a.txt", "grüße");
    const { status: code, body, headers } = await read("run", "notes/a.txt");
    const hash = sha256("grüße");
    expect([code, body]).toMatchObject([
      200,
      {
        tenantId: "run",
        path: "notes/a.txt",
        content: "grüße",
        encoding: "utf8",
        source: "container",
        generation: null,
        stale: false,
        size: 7,
        sha256: hash,
        etag: `"${hash}"`,
      },
    ]);
    expect(headers.get("etag")).toBe(`"${hash}"`);
    expect(Date.parse(body.lastModified as string)).toBeLessThanOrEqual(Date.now());
    expect(body.ageMs).toBeLessThan(5_000);
    expect(body.woke).toBeUndefined();
  });

  it("comes raw by Accept or by ?raw=true, with the same in headers, and in ranges", async () => {
    await aTenant("raw");
    await write("raw", "digits", "0123456789");
    for (const answer of [await read("raw", "digits", OCTETS), await read("raw", "digits?raw=true")]) {
      expect([answer.status, answer.text]).toEqual([200, "0123456789"]);
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        "content-type": "application/octet-stream",
        "content-length": "10",
        "content-disposition": "attachment; filename*=UTF-8''digits",
        "accept-ranges": "bytes",
        "x-boilerhouse-source": "container",
        "x-boilerhouse-stale": "false",
        "x-boilerhouse-sha256": sha256("0123456789"),
        "x-content-type-options": "nosniff",
      });
    }
    const part = await read("raw", "digits", { ...OCTETS, range: "bytes=2-4" });
    expect([part.status, part.text, part.headers.get("content-range")]).toEqual([206, "234", "bytes 2-4/10"]);
    expect((await read("raw", "digits", { ...OCTETS, range: "bytes=-3" })).text).toBe("789");
    const beyond = await read("raw", "digits", { ...OCTETS, range: "bytes=10-" });
    expect(beyond).toMatchObject({ status: 416, body: { code: "range_not_satisfiable", size: 10 } });
  });

  it("that is no text is base64 in JSON", async () => {
    await aTenant("binary");
    await write("binary", "b", Uint8Array.of(0xff, 0x00, 0x01));
    expect((await read("binary", "b")).body).toMatchObject({ content: "/wAB", encoding: "base64", size: 3 });
  });

  it("of more than 5 MB is streamed raw, and JSON says so", async () => {
    await aTenant("large");
    const large = new Uint8Array(6_000_000).fill(0x61);
    expect((await write("large", "big", large)).status).toBe(201);
    const refused = await read("large", "big");
    expect(refused).toMatchObject({ status: 413, body: { code: "file_too_large", size: 6_000_000 } });
    const raw = await request("GET", pathOf("large", "big"), undefined, OCTETS);
    expect((await raw.arrayBuffer()).byteLength).toBe(6_000_000);
    expect(raw.headers.get("etag")).toMatch(/^"6000000-\d+"$/);
    const part = await request("GET", pathOf("large", "big"), undefined, { ...OCTETS, range: "bytes=5999998-" });
    expect([part.status, await part.text()]).toEqual([206, "aa"]);
  });

  it("that is not there is 404, and says where it was looked for", async () => {
    await aTenant("missing");
    expect(await read("missing", "nope")).toMatchObject({
      status: 404,
      body: { code: "not_found", lookedIn: ["container"] },
    });
    expect(await read("never-seen", "nope")).toMatchObject({ status: 404, body: { code: "not_found" } });
  });

  it("is never answered with what is saved of it, unless that is asked for", async () => {
    await aTenant("fresh");
    await putInside("fresh", "a", "saved");
    await call("POST", "/api/v1/tenants/fresh/sync?wait=10s", { direction: "outward" });
    await putInside("fresh", "a", "newer");
    expect((await read("fresh", "a")).body).toMatchObject({ content: "newer", source: "container" });
    for (const query of ["source=vault", "prefer=r2"]) {
      expect((await read("fresh", `a?${query}`)).body).toMatchObject({
        content: "saved",
        source: "vault",
        generation: 1,
        stale: true,
      });
    }
  });

  it("is answered from what is saved, marked stale, when its container does not answer; a write is not", async () => {
    const { container } = await aTenant("degraded");
    await putInside("degraded", "a", "saved");
    await call("POST", "/api/v1/tenants/degraded/sync?wait=10s", { direction: "outward" });
    const broken = () => simulation.for(container).fail("file", { times: 1 });
    broken();
    expect((await read("degraded", "a")).body).toMatchObject({ content: "saved", source: "vault", stale: true });
    broken();
    const nowhere = await read("degraded", "nope");
    expect(nowhere).toMatchObject({ status: 404, body: { lookedIn: ["container", "vault"] } });
    broken();
    expect(await read("degraded", "a?source=container")).toMatchObject({
      status: 503,
      body: { code: "container_unavailable" },
    });
    broken();
    expect(await write("degraded", "a", "x")).toMatchObject({ status: 409, body: { code: "operation_interrupted" } });
    expect((await read("degraded", "a")).body).toMatchObject({ content: "saved", source: "container" });
  });

  it("answers HEAD with all but its content", async () => {
    await aTenant("head");
    await write("head", "a", "12345");
    const there = await request("HEAD", pathOf("head", "a"));
    expect([there.status, there.headers.get("content-length"), there.headers.get("etag"), await there.text()]).toEqual([
      200,
      "5",
      `"${sha256("12345")}"`,
      "",
    ]);
    expect((await request("HEAD", pathOf("head", "b"))).status).toBe(404);
  });

  it("answers conditions: 304 to a reader who has it, 412 where it is another", async () => {
    await aTenant("conditions");
    const { headers } = await write("conditions", "a", "one");
    const etag = headers.get("etag") ?? "";
    const known = await read("conditions", "a", { "if-none-match": etag });
    expect([known.status, known.text, known.headers.get("etag")]).toEqual([304, "", etag]);
    expect((await read("conditions", "a", { "if-none-match": '"other"' })).status).toBe(200);
    expect(await read("conditions", "a", { "if-match": '"other"' })).toMatchObject({
      status: 412,
      body: { code: "version_mismatch" },
    });
  });
});

describe("a write", () => {
  it("makes what is missing, keeps a mode, and says whether the file is new", async () => {
    const { container } = await aTenant("writer");
    const created = await write("writer", "a/b/c.sh", "one");
    expect(created).toMatchObject({
      status: 201,
      body: { created: true, size: 3, mode: "0644", sha256: sha256("one") },
    });
    containerOf(container).files.change("/data/a/b/c.sh", { mode: 0o750 });
    const replaced = await write("writer", "a/b/c.sh", "two!");
    expect(replaced).toMatchObject({ status: 200, body: { created: false, size: 4, mode: "0750" } });
    expect(containerOf(container).files.lstat("/data/a/b/c.sh")).toMatchObject({ uid: 10001 });
    expect((await list("writer", "?recursive=true")).body).toMatchObject({
      items: [{ path: "a", kind: "directory" }, { path: "a/b" }, { path: "a/b/c.sh", size: 4 }],
      nextCursor: null,
    });
  });

  it("may come as JSON, as text or as base64", async () => {
    await aTenant("json");
    const json = { "content-type": "application/json" };
    expect((await write("json", "a", JSON.stringify({ content: "grüße" }), json)).status).toBe(201);
    expect((await read("json", "a")).body).toMatchObject({ content: "grüße" });
    await write("json", "a", JSON.stringify({ content: "/wAB", encoding: "base64" }), json);
    expect((await read("json", "a")).body).toMatchObject({ content: "/wAB", encoding: "base64" });
    expect(await write("json", "a", JSON.stringify({ content: "!", encoding: "base64" }), json)).toMatchObject({
      status: 422,
    });
    expect(await write("json", "a", JSON.stringify({ conten: "x" }), json)).toMatchObject({ status: 422 });
    expect((await write("json", "a?raw=true", '{"x":1}', json)).status).toBe(200);
    expect((await read("json", "a")).body).toMatchObject({ content: '{"x":1}' });
    expect((await write("json", "a", "x", { "content-type": "text/plain" })).status).toBe(415);
  });

  it("is done only where the file is what If-Match names", async () => {
    await aTenant("guarded");
    const first = await write("guarded", "a", "one");
    const etag = first.headers.get("etag") ?? "";
    expect((await write("guarded", "a", "two", { "if-match": '"nope"' })).status).toBe(412);
    expect((await write("guarded", "a", "two", { "if-none-match": "*" })).status).toBe(412);
    expect((await write("guarded", "b", "two", { "if-match": "*" })).status).toBe(412);
    expect((await read("guarded", "a")).body).toMatchObject({ content: "one" });
    expect((await write("guarded", "a", "two", { "if-match": etag })).status).toBe(200);
    expect((await write("guarded", "b", "new", { "if-none-match": "*" })).status).toBe(201);
    expect((await write("guarded", "a", "x", { "if-match": "no tag" })).status).toBe(422);
    expect((await write("guarded", "a", "x", { "if-none-match": etag })).status).toBe(422);
    expect((await ask("DELETE", pathOf("guarded", "a"), undefined, { "if-match": etag })).status).toBe(412);
  });

  it("is one that the tenant's state has unsaved, counts as activity, and is recorded once", async () => {
    await aTenant("noted");
    await call("POST", "/api/v1/tenants/noted/sync?wait=10s", { direction: "outward" });
    const before = (await status("noted")).body as { lastActivityAt: string };
    await new Promise((resolve) => setTimeout(resolve, 5));
    await write("noted", "a", "x", { "x-request-id": "noted-write" });
    const after = (await status("noted")).body as { unsavedSince: string; lastActivityAt: string };
    expect(after.unsavedSince).not.toBeNull();
    expect(Date.parse(after.lastActivityAt)).toBeGreaterThan(Date.parse(before.lastActivityAt));
    await eventually(async () => {
      const rows = await env.DB.prepare(
        "SELECT action, detail FROM audit WHERE request_id = 'noted-write'",
      ).all<Body>();
      expect(rows.results).toHaveLength(1);
      expect(rows.results[0]?.action).toBe("tenant.file_written");
      expect(JSON.parse(rows.results[0]?.detail as string)).toMatchObject({ path: "a" });
    });
  });

  it("to a stopped tenant is 409, or wakes it if that is asked for, on what was read of it", async () => {
    await aTenant("sleeper");
    await write("sleeper", "a", "one");
    await stop("sleeper");
    const saved = await read("sleeper", "a");
    expect(saved.body).toMatchObject({ source: "vault", generation: 1, stale: false, content: "one" });
    const etag = saved.headers.get("etag") ?? "";
    expect(await write("sleeper", "a", "two")).toMatchObject({
      status: 409,
      body: { code: "not_running", state: "asleep" },
    });
    expect((await ask("DELETE", pathOf("sleeper", "a"))).status).toBe(409);
    expect((await status("sleeper")).body).toMatchObject({ state: "asleep" });
    const woken = await write("sleeper", "a?wake=true", "two", { "if-match": etag });
    expect(woken).toMatchObject({ status: 200, body: { woke: true } });
    expect((await read("sleeper", "a")).body).toMatchObject({ source: "container", content: "two" });
    await release("sleeper");
    expect(await write("sleeper", "a?wake=true", "x")).toMatchObject({ status: 409, body: { code: "not_running" } });
  });

  it("that is removed is gone; a second time it is 404", async () => {
    await aTenant("remover");
    await write("remover", "a", "x");
    expect((await ask("DELETE", pathOf("remover", "a"))).status).toBe(204);
    expect(await ask("DELETE", pathOf("remover", "a"))).toMatchObject({ status: 404 });
    expect((await read("remover", "a")).status).toBe(404);
  });

  it("under an Idempotency-Key happens once", async () => {
    await aTenant("once");
    const key = { "idempotency-key": "the-one" };
    expect((await write("once", "a", "x", key)).status).toBe(201);
    await write("once", "a", "y");
    const again = await write("once", "a", "x", key);
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([201, "true"]);
    expect((await read("once", "a")).body).toMatchObject({ content: "y" });
  });

  it("beyond what a container does at once is 429", async () => {
    const { container } = await aTenant("crowded");
    simulation.for(container).slow("file", 300, { times: FILES_AT_ONCE });
    const reads = Array.from({ length: FILES_AT_ONCE + 1 }, () => read("crowded", "a"));
    const codes = (await Promise.all(reads)).map((one) => one.status);
    expect(codes.toSorted()).toEqual([...Array.from({ length: FILES_AT_ONCE }, () => 404), 429]);
  });
});

describe("a stopped tenant", () => {
  it("shows what is saved of it, of any generation, and wakes for none of it", async () => {
    await aTenant("stopped");
    await write("stopped", "dir/a", "one");
    await call("POST", "/api/v1/tenants/stopped/sync?wait=10s", { direction: "outward" });
    await write("stopped", "dir/a", "two");
    await write("stopped", "dir/b", "x".repeat(100_000));
    await stop("stopped");
    const { body, headers } = await read("stopped", "dir/a");
    expect(body).toMatchObject({ content: "two", source: "vault", generation: 2, stale: false, sha256: sha256("two") });
    expect(body.ageMs).toBeGreaterThanOrEqual(0);
    expect(headers.get("x-boilerhouse-generation")).toBe("2");
    expect((await read("stopped", "dir/a?generation=1")).body).toMatchObject({ content: "one", generation: 1 });
    expect((await read("stopped", "dir/a?generation=9")).status).toBe(404);
    expect(await read("stopped", "dir/a?generation=1&source=container")).toMatchObject({ status: 400 });
    expect(await read("stopped", "dir/a?source=container")).toMatchObject({
      status: 409,
      body: { code: "not_running" },
    });
    const large = await read("stopped", "dir/b", { ...OCTETS, range: "bytes=99999-" });
    expect([large.status, large.text, large.headers.get("content-range")]).toEqual([
      206,
      "x",
      "bytes 99999-99999/100000",
    ]);
    expect((await list("stopped", "?path=dir")).body).toMatchObject({
      source: "vault",
      items: [{ path: "dir/a" }, { path: "dir/b", size: 100_000 }],
    });
    expect(await read("stopped", "nope")).toMatchObject({ status: 404, body: { lookedIn: ["vault"] } });
    expect((await read("stopped", "/data/dir/a")).body).toMatchObject({ content: "two", path: "/data/dir/a" });
    expect((await status("stopped")).body).toMatchObject({ state: "asleep", epoch: 1 });
  });

  it("is woken by a read that asks for it", async () => {
    await aTenant("woken");
    await write("woken", "a", "x");
    await stop("woken");
    const { body, headers } = await read("woken", "a?wake=true");
    expect(body).toMatchObject({ content: "x", source: "container", woke: true });
    expect(headers.get("x-boilerhouse-woke")).toBe("true");
  });

  it("has no symlinks followed in what is saved", async () => {
    const { container } = await aTenant("links");
    await write("links", "real/a", "x");
    containerOf(container).files.symlink("/data/dir", "real");
    containerOf(container).files.symlink("/data/passwd", "/etc/passwd");
    await stop("links");
    expect(await read("links", "passwd")).toMatchObject({ status: 409, body: { code: "not_a_file", kind: "symlink" } });
    expect(await read("links", "dir/a")).toMatchObject({ status: 409, body: { kind: "symlink" } });
    expect(await read("links", "real")).toMatchObject({ status: 409, body: { kind: "directory" } });
  });
});

describe("a path", () => {
  const NAMES = ["two words", "ünïcödé", "quote\"'`$(x)", "new\nline", "100%25+#?", "-rf"];

  it("may hold any name, also one that is no UTF-8, and is listed as it can be asked for", async () => {
    await aTenant("names");
    for (const name of NAMES) {
      expect((await write("names", encodeURIComponent(name), name)).status, name).toBe(201);
      expect((await read("names", encodeURIComponent(name))).body).toMatchObject({ path: name, content: name });
    }
    expect((await write("names", "%ff%fe", "bytes")).status).toBe(201);
    const items = (await list("names")).body.items as { path: string; href: string }[];
    expect(items).toHaveLength(NAMES.length + 1);
    for (const { href } of items) expect((await read("names", href)).status, href).toBe(200);
    const stray = items.find(({ href }) => href === "%FF%FE")?.path;
    const again = await batch("names", { operations: [{ op: "read", path: stray }] });
    expect(again.body.results[0]).toMatchObject({ success: true, content: "bytes" });
  });

  it("stays in the state and comm volumes, relative or absolute", async () => {
    const volumes = {
      state: { containerPath: "/data" },
      secrets: { containerPath: "/keys" },
      comm: { containerPath: "/comm" },
    };
    const { container } = await aTenant("confined", { volumes });
    containerOf(container).files.makeDirectory("/comm", { uid: 10001, gid: 10001 });
    expect((await write("confined", "/data/a", "state")).status).toBe(201);
    expect((await read("confined", "a")).body).toMatchObject({ content: "state" });
    expect((await write("confined", "%2Fcomm%2Fb", "comm")).status).toBe(201);
    expect((await read("confined", "/comm/b")).body).toMatchObject({ content: "comm", path: "/comm/b" });
    expect((await list("confined", "?path=/comm")).body).toMatchObject({ items: [{ path: "/comm/b" }] });
    for (const path of ["/keys/TOKEN", "/etc/passwd", "/run/secrets/x", "/database/a", "/"]) {
      expect(await read("confined", path), path).toMatchObject({ status: 400, body: { code: "bad_request" } });
      expect((await write("confined", path, "x")).status, path).toBe(400);
    }
    await stop("confined");
    expect(await read("confined", "/comm/b")).toMatchObject({ status: 404, body: { lookedIn: ["vault"] } });
    expect((await read("confined", "/keys/TOKEN")).status).toBe(400);
  });

  it("with tricks in it is refused before anything looks at it", async () => {
    await aTenant("tricks");
    for (const path of [
      "%2e%2e%2fetc",
      "a%2f..%2f..%2fetc",
      "a%00b",
      "%zz",
      "",
      "%2f",
      ".%2f.",
      "x".repeat(256),
      "a/".repeat(600),
    ]) {
      expect(await read("tricks", path), path).toMatchObject({ status: 400, body: { code: "bad_request" } });
    }
    expect((await read("tricks", "a?source=moon")).body).toMatchObject({ status: 400, code: "bad_request" });
    expect((await read("tricks", "a?prefer=moon")).status).toBe(400);
    expect((await list("tricks", "?path=%00")).status).toBe(400);
    expect((await list("tricks", "?limit=0")).status).toBe(422);
    expect((await list("tricks", "?cursor=xx")).status).toBe(422);
  });

  it("behind a symlink is refused in a container too", async () => {
    const { container } = await aTenant("escape");
    const { files } = containerOf(container);
    files.symlink("/data/out", "/");
    files.write("/secret", "secret", { uid: 10001, gid: 10001 });
    files.symlink("/data/direct", "/secret");
    for (const path of ["out/secret", "direct"]) {
      expect(await read("escape", path)).toMatchObject({ status: 409, body: { code: "not_a_file", kind: "symlink" } });
      expect((await write("escape", path, "x")).status).toBe(409);
    }
    expect((await list("escape", "?path=out")).status).toBe(409);
    expect(files.readText("/secret")).toBe("secret");
  });
});

describe("a listing", () => {
  it("goes on by its cursor, also when the tenant was stopped in between", async () => {
    await aTenant("pages");
    for (const name of ["a", "a-b", "a.d/x", "a.d/y", "b"]) await write("pages", name, "x");
    const names: string[] = [];
    let cursor = "";
    for (let page = 0; page < 9; page += 1) {
      const { body } = await list("pages", `?recursive=true&limit=2${cursor && `&cursor=${cursor}`}`);
      names.push(...(body.items as { path: string }[]).map(({ path }) => path));
      if (page === 0) await stop("pages");
      if (body.nextCursor === null) break;
      cursor = body.nextCursor as string;
    }
    expect(names).toEqual(["a", "a-b", "a.d", "a.d/x", "a.d/y", "b"]);
    expect((await list("pages", "?path=a.d")).body.items).toMatchObject([{ path: "a.d/x" }, { path: "a.d/y" }]);
    expect((await list("pages", "?path=nope")).status).toBe(404);
  });
});

describe("who may", () => {
  it("read and write files: admins, and the tenant its own; operators and viewers not", async () => {
    await aTenant("owner");
    await write("owner", "a", "x");
    const keyOf = async (body: object) =>
      `Bearer ${(await call<{ key: string }>("POST", "/api/v1/keys", { name: "files", ...body })).body.key}`;
    const own = await keyOf({ role: "tenant", tenantId: "owner" });
    const other = await keyOf({ role: "tenant", tenantId: "other" });
    expect((await read("owner", "a", { authorization: own })).status).toBe(200);
    expect((await write("owner", "b", "y", { authorization: own })).status).toBe(201);
    expect((await read("owner", "a", { authorization: other })).status).toBe(404);
    expect((await write("owner", "b", "y", { authorization: other })).status).toBe(404);
    for (const role of ["operator", "viewer"]) {
      expect((await read("owner", "a", { authorization: await keyOf({ role }) })).status).toBe(403);
    }
  });
});
