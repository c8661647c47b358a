import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { SignJWT } from "jose";
import { afterEach, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import { log } from "../../src/log.ts";
import {
  type Answer,
  aPool,
  call,
  claim,
  env,
  eventually,
  put,
  release,
  request,
  simulation,
  status,
} from "../support/fleet.ts";
import { dumpStores, formsOf } from "../support/stores.ts";

/** Distinctive, long enough that nothing has it by chance, and with characters that encodings change. */
const plant = (what: string) => `planted/${what.replaceAll(/\W/g, "_")}+${"Zq7~Xk".repeat(3)}=`;
const TENANT = "safe";

afterEach(() => vi.restoreAllMocks());

test("no secret that anyone gives or gets lies readable in any store", async () => {
  const planted = new Map<string, string>();
  const secret = (what: string, value = plant(what)): string => {
    planted.set(what, value);
    return value;
  };
  const pool = await aPool("at-rest", { minSize: 1 });
  await claim(TENANT, pool, { config: { note: "marker-config" }, secrets: { A: secret("secret of a claim") } });
  await put(TENANT, "small.txt", "marker-small-file");
  await put(TENANT, "large.bin", `marker-large-file${"x".repeat(100_000)}`);
  await request("GET", `/t/${TENANT}/files/small.txt`, undefined, { cookie: `own=${secret("workload's cookie")}` });
  ok(
    200,
    await call("PUT", `/api/v1/tenants/${TENANT}/secrets`, { A: secret("set of secrets"), B: secret("its second") }),
  );
  ok(200, await call("PUT", `/api/v1/tenants/${TENANT}/secrets/C`, { value: secret("single secret") }));
  await release(TENANT);
  await claim(TENANT, pool, { secrets: { D: secret("secret of a second claim") } });
  await refusedSecrets(secret);
  await sinkSecrets(pool, secret);
  await apiKeys(secret);
  await admissions(secret);
  await tokens(secret);
  await eventually(async () => {
    const { body } = await call<{ items: { seq: number }[] }>("GET", `/api/v1/audit?tenantId=${TENANT}&limit=1`);
    const { body: chain } = await call<{ owner: { seq: number } }>(
      "GET",
      `/api/v1/audit/verify?subject=tenant:${TENANT}`,
    );
    expect(body.items[0]?.seq).toBe(chain.owner.seq);
  });

  const dump = await dumpStores();
  const places = (text: string) => [...dump].filter(([, content]) => content.includes(text)).map(([store]) => store);
  // The dump reaches every kind of store: what is not secret is found where it belongs.
  expect(places("marker-config")).toContain("TENANT configs");
  expect(places("marker-small-file")).toContain("VAULT bodies");
  expect(places("marker-large-file")).toEqual(["R2"]);
  expect(places("at-rest")).toEqual(expect.arrayContaining(["D1 pools", "POOL pool"]));
  expect(places("marker-key")).toEqual(expect.arrayContaining(["D1 api_keys"]));
  expect(new Set([...dump.keys()].map((store) => store.split(" ")[0]))).toEqual(
    new Set(["D1", "R2", "TENANT", "POOL", "INSTANCE", "VAULT", "FLEET", "LIMITER"]),
  );

  for (const before of ["", "x", "xy"]) {
    const text = Buffer.from(`${before}${plant("any")}, behind it`).toString("base64");
    expect(formsOf(plant("any")).some((form) => text.includes(form))).toBe(true);
  }
  expect(planted.size).toBeGreaterThanOrEqual(18);
  for (const [what, value] of planted) {
    expect(value.length, what).toBeGreaterThanOrEqual(20);
    for (const form of formsOf(value)) expect([what, form, places(form)]).toEqual([what, form, []]);
  }
});

test("a failure whose text repeats a secret is stored, answered and logged without it", async () => {
  const lines: string[] = [];
  for (const level of ["info", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((...args) => lines.push(args.join(" ")));
  }
  const pool = await aPool("telling", { minSize: 0 });
  const detail = `init: DATABASE_URL=postgres://ann:${SPOKEN}@db.example refused; password=${SPOKEN} ${PLATFORM_KEY}`;
  simulation.every.fail("start", { times: 100, detail });
  const failed = await claim("teller", pool);
  simulation.every.faults.clear();
  expect(failed.status, JSON.stringify(failed.body)).toBeGreaterThanOrEqual(500);
  const told = [failed.body, (await call("GET", `/api/v1/pools/${pool}`)).body, (await status("teller")).body];
  expect(JSON.stringify(told)).toContain("db.example refused");
  const dump = await dumpStores();
  expect([...dump].filter(([, content]) => content.includes("db.example refused")).length).toBeGreaterThan(0);
  log.error("as it was thrown", { error: new Error(detail) });
  expect(lines.join()).toContain("db.example refused");
  for (const secret of [SPOKEN, PLATFORM_KEY]) {
    expect(JSON.stringify(told)).not.toContain(secret);
    expect(lines.join()).not.toContain(secret);
    expect([...dump].filter(([, content]) => content.includes(secret))).toEqual([]);
  }
});

const PLATFORM_KEY = (env as unknown as { SECRETS_KEY: string }).SECRETS_KEY;
const SPOKEN = "planted0spoken0secret";

type Plant = (what: string, value?: string) => string;

/** What a schema refuses was read all the same, and lies in no problem and no kept answer. */
async function refusedSecrets(secret: Plant): Promise<void> {
  const body = { secrets: { "not a name": secret("refused secret") } };
  const headers = { "content-type": "application/json", "idempotency-key": "refused" };
  const response = await request("POST", `/api/v1/tenants/${TENANT}/claim`, JSON.stringify(body), headers);
  expect(response.status).toBe(422);
  expect(await response.text()).not.toContain("planted");
}

async function sinkSecrets(poolId: string, secret: Plant): Promise<void> {
  const spec = (secretAccessKey: string) => ({
    id: "at-rest",
    poolId,
    mappings: [{ containerPath: "/data", sinkPath: "\u0024{tenantId}/", direction: "upload", mode: "copy" }],
    sink: { type: "s3", bucket: "bucket", region: "auto", prefix: "p/", accessKeyId: "marker-id", secretAccessKey },
  });
  const created = await call("POST", "/api/v1/sync-specs", spec(secret("sink's secret")));
  ok(201, created);
  expect(JSON.stringify(created.body)).not.toContain("planted");
  const changed = JSON.stringify(spec(secret("sink's next secret")));
  const headers = { "content-type": "application/json", "if-match": created.headers.get("etag") ?? "*" };
  expect((await request("PUT", "/api/v1/sync-specs/at-rest", changed, headers)).status).toBe(200);
}

async function apiKeys(secret: Plant): Promise<void> {
  const headers = { "content-type": "application/json", "idempotency-key": secret("idempotency key") };
  const create = async () => {
    const body = JSON.stringify({ name: "marker-key", role: "operator" });
    const response = await request("POST", "/api/v1/keys", body, headers);
    expect(response.status).toBe(201);
    return { id: "", key: "", ...((await response.json()) as object) };
  };
  const { id, key } = await create();
  secret("created key", key);
  expect((await create()).key).toBe(key); // replayed: so the answer was kept
  expect((await request("GET", "/api/v1/pools", undefined, { authorization: `Bearer ${key}` })).status).toBe(200);
  const rotated = await call<{ key: string }>("POST", `/api/v1/keys/${id}/rotate`, { overlapMs: 60_000 });
  ok(200, rotated);
  secret("rotated key", rotated.body.key);
}

/** One-time codes and tickets, and the session that a code becomes. */
async function admissions(secret: Plant): Promise<void> {
  const code = await call<{ code: string; url: string }>("POST", `/api/v1/tenants/${TENANT}/access-codes`, {});
  ok(201, code);
  secret("one-time code", code.body.code);
  const unused = await call<{ code: string }>("POST", `/api/v1/tenants/${TENANT}/access-codes`, {});
  secret("code that nobody uses", unused.body.code);
  const ticket = await call<{ ticket: string }>("POST", `/api/v1/tenants/${TENANT}/tickets`, {});
  ok(201, ticket);
  secret("ticket", ticket.body.ticket);
  const worker = (exports as unknown as { default: Fetcher }).default;
  const entered = await worker.fetch(new Request(code.body.url, { redirect: "manual" }));
  await entered.body?.cancel();
  const cookie = /^__Host-[^=]+=([^;]+)/.exec(entered.headers.get("set-cookie") ?? "")?.[1];
  expect(cookie, `${entered.status}`).toBeDefined();
  secret("session's cookie", cookie);
}

/** Tokens that are let in, and credentials that are not. */
async function tokens(secret: Plant): Promise<void> {
  const JWT_SECRET = secret("secret of tokens");
  const settings = { JWT_SECRET, JWT_ISSUER: "https://issuer.example", JWT_AUDIENCE: "boilerhouse" };
  const token = await new SignJWT({ sub: "user", tid: TENANT, ver: 1 })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(settings.JWT_ISSUER)
    .setAudience(settings.JWT_AUDIENCE)
    .setIssuedAt()
    .setExpirationTime("5m")
    .sign(new TextEncoder().encode(JWT_SECRET));
  secret("token", token);
  const context = createExecutionContext();
  const headers = { authorization: `Bearer ${token}` };
  const path = `http://localhost:8787/api/v1/tenants/${TENANT}/status`;
  const answer = await app.fetch(new Request(path, { headers }), { ...env, ...settings }, context);
  expect(answer.status, await answer.text()).toBe(200);
  await waitOnExecutionContext(context);
  for (const [what, credential] of [
    ["unknown key", `bh_${plant("unknown").replaceAll(/[^\w-]/g, "")}`],
    ["foreign token", `${token.slice(0, -8)}AAAAAAAA`],
    ["unknown word", plant("word").replaceAll("/", "")],
  ] as const) {
    secret(what, credential);
    expect((await request("GET", "/api/v1/pools", undefined, { authorization: `Bearer ${credential}` })).status).toBe(
      401,
    );
  }
}

const ok = (status: number, answer: Answer<unknown>) => expect(answer.status, JSON.stringify(answer.body)).toBe(status);
