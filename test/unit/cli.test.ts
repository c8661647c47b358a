import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type OptionName, optionOf } from "../../bin/cli/command.ts";
import { COMMANDS, isRoute, ROUTES } from "../../bin/cli/commands.ts";
import { candidates } from "../../bin/cli/complete.ts";
import type { Io } from "../../bin/cli/io.ts";
import { run } from "../../bin/cli/run.ts";
import { audited, CHAIN_START, type ChainedEntry, chained } from "../../src/audit/entry.ts";
import { SYSTEM } from "../../src/auth/principal.ts";
import type { ErrorCode } from "../../src/errors/codes.ts";
import { problemResponse } from "../../src/errors/problem.ts";

interface Where {
  readonly env?: Record<string, string>;
  readonly files?: Record<string, string>;
  readonly stdin?: string;
  readonly answer?: (request: Request, body: string) => Response | Promise<Response>;
}

/** Runs the command as a shell would, in a place of its own. */
async function cli(
  line: string,
  { env = { BOILERHOUSE_KEY: "k-secret" }, files = {}, stdin = "", answer }: Where = {},
) {
  const said = { stdout: "", stderr: "" };
  const sent: { method: string; url: URL; headers: Headers; body: string }[] = [];
  const io: Io = {
    env,
    stdout: (content) => {
      said.stdout += typeof content === "string" ? content : Buffer.from(content).toString("latin1");
    },
    stderr: (text) => {
      said.stderr += text;
    },
    stdin: async () => stdin,
    readFile: async (path) => {
      const text = files[path];
      if (text === undefined) throw new Error("no such file");
      return text;
    },
    open: async (path) => {
      const text = path === "-" ? stdin : files[path];
      if (text === undefined) throw new Error("no such file");
      return new Blob([text]).stream();
    },
    fetch: async (request) => {
      const body = await request.clone().text();
      sent.push({ method: request.method, url: new URL(request.url), headers: request.headers, body });
      return answer ? answer(request, body) : Response.json({});
    },
    now: () => 1_800_000_000_000,
  };
  const words = line === "" ? [] : line.split(" ");
  const code = await run(words, io);
  return { code, ...said, sent };
}

const refusing = (code: ErrorCode, extra = {}) => ({
  answer: () => problemResponse({ code, detail: "because", extra }, "r-1"),
});

describe("a command", () => {
  it.each(ROUTES)("is a route of the contract: $words", (command) => {
    const { words, method, path, query, flags, fixed = {}, args = [], columns, cursor = "cursor", waits } = command;
    const { paths } = JSON.parse(readFileSync("docs/openapi.json", "utf8"));
    const route = paths[path]?.[method.toLowerCase()];
    expect(route, `${method} ${path}`).toBeDefined();
    const known = (route.parameters ?? []).map(({ name }: { name?: string }) => name);
    const others = Object.values(command.argumentQuery ?? {});
    for (const name of [...Object.values({ ...query, ...flags }), ...Object.keys(fixed), ...others])
      expect(known, `?${name} of ${path}`).toContain(name);
    if (columns && cursor) expect(known).toEqual(expect.arrayContaining(["limit", cursor]));
    expect(known.includes("wait"), `?wait of ${path}`).toBe(waits === true || words === "sync-specs trigger");
    for (const [, name] of path.matchAll(/\{(\w+)\}/g)) expect(args.map((one) => one.name)).toContain(name);
  });

  it("prints its answer as JSON and nothing else where a program asked", async () => {
    const answer = () => Response.json({ id: "demo", warm: 2 });
    const { code, stdout, stderr, sent } = await cli("pools get demo --json", { answer });
    expect([code, JSON.parse(stdout), stderr]).toEqual([0, { id: "demo", warm: 2 }, ""]);
    expect([sent[0]?.method, sent[0]?.url.href]).toEqual(["GET", "http://127.0.0.1:8787/api/v1/pools/demo"]);
  });

  it("shows people a table, and where a list goes on", async () => {
    const items = [
      { id: "demo", workloadId: "sandbox", status: "healthy", warm: 2, paused: false },
      { id: "a-longer-id" },
    ];
    const { stdout, stderr } = await cli("pools list", { answer: () => Response.json({ items, nextCursor: "abc" }) });
    const [head, first, second] = stdout.split("\n");
    expect(head?.split(/ +/).slice(0, 4)).toEqual(["ID", "WORKLOAD", "STATUS", "WARM"]);
    expect(first?.split(/ +/).slice(0, 4)).toEqual(["demo", "sandbox", "healthy", "2"]);
    expect(second).toMatch(/^a-longer-id {2}- /);
    expect(stderr).toContain("--cursor abc");
  });

  it("reads every page with --all, as one list", async () => {
    const answer = (request: Request) => {
      const last = new URL(request.url).searchParams.get("cursor") === "next";
      return Response.json({ items: [{ id: last ? "b" : "a" }], nextCursor: last ? null : "next" });
    };
    const { stdout, sent } = await cli("workloads list --all --limit 1 --json", { answer });
    expect(JSON.parse(stdout)).toEqual({ items: [{ id: "a" }, { id: "b" }], nextCursor: null });
    expect(sent.map(({ url }) => url.search)).toEqual(["?limit=1", "?limit=1&cursor=next"]);
  });

  it("shows control characters of an answer instead of sending them to the terminal", async () => {
    const { stdout } = await cli("pools get demo", { answer: () => Response.json({ id: "\u001b[2Jx\r\ny" }) });
    expect(stdout).toBe("id  \\u001b[2Jx\\u000d\\u000ay\n");
  });

  it("sends a file, or standard input for -", async () => {
    const files = { "pool.json": '{"id":"p"}' };
    expect((await cli("pools create -f pool.json", { files })).sent[0]?.body).toBe('{"id":"p"}');
    expect((await cli("pools create -f -", { stdin: '{"id":"q"}' })).sent[0]?.body).toBe('{"id":"q"}');
  });

  it("reads, writes, lists and removes files of a tenant, byte for byte", async () => {
    const read = await cli("files get alice notes/a.txt --source vault --generation 3", {
      answer: () =>
        new Response(Uint8Array.of(0xff, 0x00), { headers: { "content-type": "application/octet-stream" } }),
    });
    expect([read.code, read.stdout]).toEqual([0, "\u00ff\u0000"]);
    expect(read.sent[0]?.url.pathname).toBe("/api/v1/tenants/alice/files/notes%2Fa.txt");
    expect(read.sent[0]?.url.search).toBe("?raw=true&source=vault&generation=3");

    const files = { "a.txt": "content" };
    const written = await cli("files put alice notes/a.txt --file a.txt --wake --if-match abc", { files });
    const [put] = written.sent;
    expect([put?.method, put?.body, put?.url.search]).toEqual(["PUT", "content", "?wake=true"]);
    expect([put?.headers.get("content-type"), put?.headers.get("if-match")]).toEqual([
      "application/octet-stream",
      '"abc"',
    ]);
    expect((await cli("files put alice a", { stdin: "from stdin" })).sent[0]?.body).toBe("from stdin");

    const item = { kind: "file", mode: "0644", size: 7, lastModified: "2027-01-31T00:00:00Z", path: "notes/a.txt" };
    const answer = () => Response.json({ items: [item], nextCursor: null });
    const listed = await cli("files ls alice notes --recursive", { answer });
    expect(listed.sent[0]?.url.search).toBe("?path=notes&recursive=true");
    expect(listed.stdout).toContain("notes/a.txt");

    const removed = await cli("files rm alice notes/a.txt", { answer: () => new Response(null, { status: 204 }) });
    expect([removed.code, removed.sent[0]?.method]).toEqual([0, "DELETE"]);
  });

  it("updates only the version that it is told", async () => {
    const files = { f: "{}" };
    const { sent } = await cli("workloads update demo -f f --if-match 3", { files });
    expect([sent[0]?.method, sent[0]?.headers.get("if-match")]).toEqual(["PUT", '"3"']);
  });

  it("makes a claim of its options, and escapes ids", async () => {
    const files = { "c.json": '{"a":1}', "s.json": '{"K":"v"}' };
    const { sent } = await cli("claim a/b --pool demo --config c.json --secrets s.json --allow-fresh", { files });
    expect(sent[0]?.url.pathname).toBe("/api/v1/tenants/a%2Fb/claim");
    const body = { poolId: "demo", config: { a: 1 }, secrets: { K: "v" }, allowFresh: true };
    expect(JSON.parse(sent[0]?.body ?? "")).toEqual(body);
  });
});

describe("saved state", () => {
  it("is imported from a file or standard input as it comes, under the options that were given", async () => {
    const files = { "a.tar": "TAR" };
    const { code, sent } = await cli("import a/b -f a.tar --dry-run --as plain --owner 7:8", { files });
    expect(code).toBe(0);
    expect(sent[0]).toMatchObject({ method: "POST", body: "TAR" });
    expect(sent[0]?.url.pathname).toBe("/api/v1/tenants/a%2Fb/import");
    expect(Object.fromEntries(sent[0]?.url.searchParams ?? [])).toEqual({
      dryRun: "true",
      format: "plain",
      owner: "7:8",
    });
    expect(sent[0]?.headers.get("content-type")).toBe("application/x-tar");
    expect((await cli("import alice -f -", { stdin: "piped" })).sent[0]?.body).toBe("piped");
    expect((await cli("import alice -f none.tar")).code).toBe(2);
    expect((await cli("import alice -f a.tar", { files, ...refusing("guard_blocked") })).code).toBe(5);
  });

  it("is restored, copied, pinned and compared by numbers of saves", async () => {
    const body = async (line: string) => JSON.parse((await cli(line)).sent[0]?.body ?? "null");
    expect(await body("restore alice 3 --force")).toEqual({ generation: 3, force: true });
    expect(await body("clone alice bob --generation 2")).toEqual({ to: "bob", generation: 2 });
    expect((await cli("restore alice latest")).code).toBe(2);
    const [pinned] = (await cli("unpin alice 4")).sent;
    expect([pinned?.method, pinned?.url.pathname]).toEqual(["DELETE", "/api/v1/tenants/alice/generations/4/pin"]);
    const items = [{ change: "added", kind: "file", path: "a", before: null, after: 3 }];
    const { stdout, sent } = await cli("diff alice 1 --with 2", {
      answer: () => Response.json({ items, nextCursor: null }),
    });
    expect(sent[0]?.url.search).toBe("?to=2");
    expect(stdout.split("\n")[1]?.split(/ +/)).toEqual(["added", "file", "-", "3", "a"]);
  });
});

describe("fsck", () => {
  const page = (more: object) => ({
    tenantId: "alice",
    checked: { generations: 1, contents: 2, objects: 3, packs: 4, listed: 5 },
    problems: [],
    nextCursor: null,
    ...more,
  });
  const lost = { what: "object_missing", detail: "x is gone", repaired: false };

  it("goes on page by page, adds them up, and ends with 1 where something is wrong", async () => {
    const answer = (_: Request, body: string) =>
      Response.json(body.includes("cursor") ? page({ problems: [lost] }) : page({ nextCursor: "c" }));
    const { code, stdout, sent } = await cli("fsck alice --json", { answer });
    expect([code, sent.map(({ body }) => JSON.parse(body))]).toEqual([1, [{}, { cursor: "c" }]]);
    expect(JSON.parse(stdout)).toMatchObject({ checked: { objects: 6, listed: 10 }, problems: [lost] });
  });

  it("mends and rebuilds where it is told to, and gives nothing up without --yes", async () => {
    const mended = { answer: () => Response.json(page({ problems: [{ ...lost, repaired: true }] })) };
    const repaired = await cli("fsck alice --repair --spec models", mended);
    expect([repaired.code, repaired.sent[0]?.body]).toEqual([0, '{"repair":true,"spec":"models"}']);
    expect((await cli("fsck alice --rebuild --discard")).code).toBe(2);
    const anew = await cli("fsck alice --rebuild --discard --yes", { answer: () => Response.json(page({})) });
    expect(anew.sent[0]?.body).toBe('{"rebuild":true,"discard":true}');
  });
});

describe("sweep", () => {
  const found = { kind: "domains", id: "a.example.com", detail: "its tenant does not exist" };
  const page = (more: object) => ({
    dryRun: false,
    checked: 2,
    found: [],
    removed: [],
    skipped: [],
    failed: [],
    cursor: null,
    done: true,
    ...more,
  });

  it("goes on page by page, and ends with 1 where something that was found is still there", async () => {
    const answer = (request: Request) =>
      Response.json(
        request.url.includes("cursor=c")
          ? page({ found: [found], skipped: [{ ...found, reason: "it may come back" }] })
          : page({ found: [found], removed: [found], cursor: "c", done: false }),
      );
    const { code, stdout, sent } = await cli("sweep", { answer });
    expect([code, sent.map(({ url }) => url.search)]).toEqual([1, ["", "?cursor=c"]]);
    expect(stdout).toContain("✓ domains a.example.com: its tenant does not exist");
    expect(stdout).toContain("left alone: it may come back");
    const clean = await cli("sweep --json", {
      answer: () => Response.json(page({ found: [found], removed: [found] })),
    });
    expect([clean.code, JSON.parse(clean.stdout).removed]).toEqual([0, [found]]);
  });

  it("changes nothing where it is only to look", async () => {
    const answer = () => Response.json(page({ dryRun: true, found: [found] }));
    const { code, stdout, sent } = await cli("sweep --dry-run", { answer });
    expect([code, sent[0]?.body]).toEqual([1, '{"dryRun":true}']);
    expect(stdout).toContain("? domains a.example.com");
  });
});

describe("--wait", () => {
  const operation = { id: "op-1", status: "running", step: "save", kind: "release" };

  it("follows what the API did not wait for to its end", async () => {
    const answer = (request: Request) =>
      request.url.includes("/operations/")
        ? Response.json({ ...operation, status: "succeeded", result: { state: "idle" } })
        : Response.json({ operation }, { status: 202, headers: { location: "/api/v1/operations/op-1" } });
    const { code, stdout, sent } = await cli("release alice --wait --timeout 10m --json", { answer });
    expect([code, JSON.parse(stdout)]).toEqual([0, { state: "idle" }]);
    expect(sent[0]?.url.search).toBe("?wait=300000ms");
  });

  it("left out, answers at once and says where it goes on", async () => {
    const answer = () =>
      Response.json({ operation }, { status: 202, headers: { location: "/api/v1/operations/op-1" } });
    const { code, stderr, sent } = await cli("release alice", { answer });
    expect([code, sent.length, sent[0]?.url.search]).toEqual([0, 1, ""]);
    expect(stderr).toContain("/api/v1/operations/op-1");
  });

  it("in vain ends with 6", async () => {
    const answer = (request: Request) =>
      Response.json(request.url.includes("/operations/") ? operation : { operation }, {
        status: request.url.includes("/operations/") ? 200 : 202,
      });
    const { code, stderr } = await cli("release alice --wait --timeout 50ms", { answer });
    expect([code, stderr]).toEqual([6, expect.stringContaining("timed_out")]);
  });
});

describe("the exit code", () => {
  it.each([
    ["invalid", 1],
    ["internal", 1],
    ["not_found", 3],
    ["unauthenticated", 4],
    ["forbidden", 4],
    ["already_exists", 5],
    ["version_mismatch", 5],
    ["operation_interrupted", 5],
    ["deadline_exceeded", 6],
    ["not_configured", 6],
  ] as const)("of %s is %i, with the suggestion and the request id on standard error", async (code, exit) => {
    const ended = await cli("status alice", refusing(code, { errors: [{ pointer: "/x", detail: "is wrong" }] }));
    expect([ended.code, ended.stdout]).toEqual([exit, ""]);
    for (const text of [code, "because", "/x: is wrong", "Request r-1"]) expect(ended.stderr).toContain(text);
  });

  it("with --json comes with the problem document on standard error, and nothing on standard output", async () => {
    const { stdout, stderr } = await cli("status alice --json", refusing("not_found"));
    expect([stdout, JSON.parse(stderr)]).toMatchObject(["", { code: "not_found", status: 404, requestId: "r-1" }]);
  });

  it("of no connection is 7", async () => {
    const answer = () => Promise.reject(new TypeError("fetch failed"));
    expect(await cli("status alice", { answer })).toMatchObject({ code: 7, stdout: "" });
  });

  it.each([
    "pools nonsense",
    "pools get",
    "pools get a b",
    "pools get a --role admin",
    "pools get a --nonsense",
    "pools create",
    "pools create -f missing.json",
    "pools create -f bad.json",
    "pools scale a many",
    "tenants restart a --scope all",
    "tenants sync a sideways",
    "tenants list --limit 1001",
    "release a --wait --timeout soon",
    "status a --url not-a-url",
    "completion fish",
  ])("of what cannot be done is 2, and nothing is sent: %s", async (line) => {
    const { code, stdout, stderr, sent } = await cli(line, { files: { "bad.json": "{" } });
    expect([code, stdout, sent.length]).toEqual([2, "", 0]);
    expect(stderr.length).toBeGreaterThan(20);
  });
});

describe("audit verify", () => {
  const at = Date.parse("2026-11-01T00:00:00Z");
  const first = chained(
    audited({ actor: "key:k", requestId: "r" }, at, "tenant.claim", "tenant:alice"),
    1,
    CHAIN_START,
  );
  const second = chained(audited(SYSTEM, at + 1, "tenant.active", "tenant:alice"), 2, first.hash);
  const exported = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  const view = (entry: ChainedEntry, id: number) => ({ id, ...entry, at: new Date(entry.at).toISOString() });
  const whole = [view(first, 1), { ...view(first, 2), seq: null, prev: null, hash: null }, view(second, 3)];
  const verdict = { subject: "tenant:alice", entries: 2, valid: true, head: { seq: 2, hash: second.hash } };
  const answering = (rows: object[], over: object = {}) => ({
    answer: (request: Request) =>
      request.url.includes("/verify") ? Response.json({ ...verdict, ...over }) : new Response(exported(rows)),
  });

  it("is content with a chain that holds, and names its end", async () => {
    const { code, stdout, sent } = await cli("audit verify alice", answering(whole));
    expect([code, stdout]).toEqual([0, expect.stringContaining(second.hash)]);
    expect(sent.map(({ url }) => url.searchParams.get("subject"))).toEqual(["tenant:alice", "tenant:alice"]);
  });

  it.each([
    ["was altered", [{ ...whole[0], actor: "someone else" }, whole[2] ?? {}]],
    ["lacks one", [whole[2] ?? {}]],
    ["is shorter than the API says", [whole[0] ?? {}]],
  ])("ends with 1 for a chain that %s, also when the API calls it valid", async (_, rows) => {
    expect((await cli("audit verify alice --json", answering(rows))).code).toBe(1);
  });

  it("ends with 1 when the API itself says so", async () => {
    const broken = { valid: false, brokenAt: 3, reason: "missing at the end" };
    const { code, stdout } = await cli("audit verify pool:p", answering(whole, broken));
    expect([code, stdout]).toEqual([1, expect.stringContaining("missing at the end")]);
  });
});

describe("a walk over everyone", () => {
  const pages = (failed: object[]) => (request: Request) =>
    new URL(request.url).searchParams.get("cursor") === "next"
      ? Response.json({ tenants: 2, rewrapped: 1, failed, cursor: null, done: true })
      : Response.json({ tenants: 3, rewrapped: 3, failed: [], cursor: "next", done: false });

  it("goes to its end, and adds up", async () => {
    const { code, stdout, sent } = await cli("admin rotate-secrets --json", { answer: pages([]) });
    expect([code, JSON.parse(stdout), sent.length]).toEqual([0, { tenants: 5, rewrapped: 4, failed: [] }, 2]);
  });

  it("ends with 1 when somebody was left out", async () => {
    const { code, stderr } = await cli("admin rebuild", { answer: pages([{ tenantId: "bob" }]) });
    expect([code, stderr]).toEqual([1, expect.stringContaining("bob")]);
  });
});

describe("a file", () => {
  it("is passed on byte by byte as it comes", async () => {
    const bytes = Buffer.from([0x00, 0xff, 0xfe, 0x0a, 0xc3]);
    const { code, stdout } = await cli("audit export --format csv", { answer: () => new Response(bytes) });
    expect([code, Buffer.from(stdout, "latin1")]).toEqual([0, bytes]);
  });
});

describe("what cannot be taken back", () => {
  it("needs --yes, and nothing is sent without it", async () => {
    const without = await cli("tenants destroy alice");
    expect([without.code, without.sent.length, without.stderr]).toEqual([2, 0, expect.stringContaining("--yes")]);
    const { sent } = await cli("tenants destroy alice --yes --delete-data");
    expect([sent[0]?.url.pathname, sent[0]?.body]).toEqual(["/api/v1/tenants/alice/destroy", '{"deleteData":true}']);
  });
});

describe("a secret", () => {
  it("comes from standard input or a file, without its last newline", async () => {
    const piped = await cli("tenants secrets put alice API_KEY", { stdin: "s3cret\n" });
    const filed = await cli("tenants secrets put alice API_KEY --value-file f", { files: { f: "a\nb\r\n" } });
    expect([piped.sent[0]?.body, filed.sent[0]?.body]).toEqual(['{"value":"s3cret"}', '{"value":"a\\nb"}']);
    expect(piped.sent[0]?.url.pathname).toBe("/api/v1/tenants/alice/secrets/API_KEY");
  });

  it("is no argument: neither a value nor a key can be typed", async () => {
    const value = await cli("tenants secrets put alice API_KEY s3cret");
    const key = await cli("pools list --key abc");
    expect([value.code, value.sent.length, key.code, key.sent.length]).toEqual([2, 0, 2, 0]);
    expect(value.stderr).not.toContain("abc");
    for (const name of COMMANDS.flatMap((command) => (isRoute(command) ? (command.options ?? []) : []))) {
      expect(optionOf(name as OptionName).about).not.toMatch(/^the (?:key|secret|value)$/);
    }
  });
});

describe("the key", () => {
  const bearer = async (line: string, where: Where) => {
    const { code, sent } = await cli(line, where);
    return sent[0]?.headers.get("authorization") ?? code;
  };
  const files = { ".dev.vars": "# local\nSECRETS_KEY=x\nADMIN_KEY=local-key\n", k: "file-key\n" };
  const remote = "https://api.example.com";

  it("comes from --key-file, else BOILERHOUSE_KEY, else on localhost from the checkout", async () => {
    const env = { BOILERHOUSE_KEY: "env-key" };
    expect(await bearer("pools list --key-file k", { env, files })).toBe("Bearer file-key");
    expect(await bearer("pools list", { env, files })).toBe("Bearer env-key");
    expect(await bearer("pools list", { env: {}, files })).toBe("Bearer local-key");
  });

  it("of a checkout goes to no other machine", async () => {
    expect(await bearer("pools list", { env: { BOILERHOUSE_URL: remote }, files })).toBe(2);
    expect(await bearer(`pools list --url ${remote} --key-file k`, { env: {}, files })).toBe("Bearer file-key");
  });

  it("does not travel in the clear, nor in the URL", async () => {
    expect(await bearer("pools list --url http://api.example.com --key-file k", { files })).toBe(2);
    expect(await bearer("pools list --url https://admin:key@api.example.com", { files })).toBe(2);
  });
});

describe("doctor", () => {
  const everyRoute: Record<string, Record<string, object>> = {};
  for (const { path, method } of ROUTES) everyRoute[path] = { ...everyRoute[path], [method.toLowerCase()]: {} };
  const well =
    (over: Record<string, () => Response> = {}) =>
    (request: Request) => {
      const { pathname } = new URL(request.url);
      const date = { date: new Date(1_800_000_000_000).toUTCString() };
      const answers: Record<string, () => Response> = {
        "/health": () => Response.json({ status: "ok" }, { headers: date }),
        "/ready": () => Response.json({ ready: true, runtime: "platform", missing: [] }),
        "/openapi.json": () => Response.json({ info: { version: "1" }, paths: everyRoute }),
        "/api/v1/whoami": () => Response.json({ role: "operator", actor: "key:k-1", expiresAt: null }),
        "/api/v1/pools": () => Response.json({ items: [{ id: "p", warm: 1, minSize: 1, status: "healthy" }] }),
        ...over,
      };
      return answers[pathname]?.() ?? new Response(null, { status: 404 });
    };
  const states = (stdout: string) =>
    Object.fromEntries(
      JSON.parse(stdout).findings.map((one: { check: string; state: string }) => [one.check, one.state]),
    );

  it("finds nothing wrong where nothing is", async () => {
    const { code, stdout } = await cli("doctor --json", { answer: well() });
    expect([code, states(stdout)]).toEqual([
      0,
      { reachable: "ok", clock: "ok", ready: "ok", version: "ok", key: "ok", pools: "ok" },
    ]);
    expect(stdout).toContain("role operator");
  });

  it.each([
    [
      "ready",
      6,
      { "/ready": () => Response.json({ ready: false, missing: ["ADMIN_KEY"] }, { status: 503 }) },
      "failed",
    ],
    ["key", 4, { "/api/v1/whoami": () => problemResponse({ code: "unauthenticated", detail: "no" }, "r") }, "failed"],
    [
      "clock",
      1,
      { "/health": () => Response.json({}, { headers: { date: "Thu, 01 Jan 2026 00:00:00 GMT" } }) },
      "failed",
    ],
    ["clock", 0, { "/health": () => Response.json({}) }, "unknown"],
    ["version", 0, { "/openapi.json": () => Response.json({ paths: {} }) }, "warning"],
    ["pools", 0, { "/api/v1/pools": () => Response.json({ items: [] }) }, "warning"],
    ["pools", 0, { "/api/v1/pools": () => problemResponse({ code: "forbidden", detail: "no" }, "r") }, "unknown"],
  ])("names what is wrong with %s, and ends with %i", async (check, exit, over, state) => {
    const { code, stdout } = await cli("doctor --json", { answer: well(over) });
    expect([code, states(stdout)[check]]).toEqual([exit, state]);
  });

  it("without a connection ends with 7 and asks nothing else", async () => {
    const answer = () => Promise.reject(new TypeError("fetch failed"));
    const { code, stdout, sent } = await cli("doctor", { answer });
    expect([code, sent.length]).toEqual([7, 1]);
    expect(stdout).toContain("✗ reachable");
  });
});

describe("completion", () => {
  it("offers the words that lead to a command, then its options and the values that they may have", () => {
    const words = (...line: string[]) => {
      const found = candidates(line);
      return found.kind === "words" ? found.words : found;
    };
    expect(words("")).toEqual(expect.arrayContaining(["pools", "tenants", "claim", "doctor"]));
    expect(words("tenants", "config", "")).toEqual(["get", "set", "versions", "rollback"]);
    expect(words("tenants", "restart", "alice", "--scope", "")).toEqual(["process", "container", "image"]);
    expect(words("tenants", "sync", "alice", "")).toEqual(["outward", "inward", "both"]);
    expect(words("release", "alice", "--")).toEqual(expect.arrayContaining(["--wait", "--no-sync"]));
    expect(words("pools", "get", "")).toEqual({ kind: "ids", of: "pool" });
    expect(words("claim", "alice", "--pool", "")).toEqual({ kind: "ids", of: "pool" });
    expect(words("pools", "create", "-f", "")).toEqual({ kind: "unknown" });
  });

  it("asks the API for ids, and offers those that begin like the word", async () => {
    const answer = () => Response.json({ items: [{ tenantId: "alice" }, { tenantId: "bob" }], nextCursor: null });
    const { code, stdout, sent } = await cli("__complete status a", { answer });
    expect([code, stdout]).toEqual([0, "alice\n"]);
    expect(sent[0]?.url.pathname + (sent[0]?.url.search ?? "")).toBe("/api/v1/tenants?limit=200&q=a");
  });

  it("is silent where there is nothing to offer: no key, no connection, no right", async () => {
    const silent = { code: 0, stdout: "", stderr: "" };
    expect(await cli("__complete pools get x", { env: {} })).toMatchObject(silent);
    expect(await cli("__complete pools get x", { answer: () => Promise.reject(new Error("gone")) })).toMatchObject(
      silent,
    );
    expect(await cli("__complete pools get x", refusing("forbidden"))).toMatchObject(silent);
  });

  it.each(["bash", "zsh"])("prints a script for %s that asks the command itself", async (shell) => {
    const { code, stdout } = await cli(`completion ${shell}`);
    expect([code, stdout]).toEqual([0, expect.stringContaining("__complete")]);
  });
});

it("explains itself: every command has a help with its options", async () => {
  expect((await cli("")).stdout).toContain("Exit:");
  for (const { words } of COMMANDS) {
    const { code, stdout } = await cli(`${words} --help`);
    expect([code, stdout]).toEqual([0, expect.stringContaining(words)]);
  }
});
