import { describe, expect, test } from "vitest";
import { aPool, call, claim, env, eventually, release, request } from "../support/fleet.ts";

interface Item {
  id: number;
  at: string;
  subject: string;
  action: string;
  actor: string;
  requestId: string | null;
  result: string;
  before: string | null;
  after: string | null;
  seq: number | null;
  detail: Record<string, unknown>;
}
interface Page {
  items: Item[];
  nextCursor: string | null;
}

const audit = async (query: string) => (await call<Page>("GET", `/api/v1/audit?${query}`)).body;
const verify = async (subject: string) => (await call("GET", `/api/v1/audit/verify?subject=${subject}`)).body;

/** NDJSON is no text to workerd, which warns. */
const textOf = async (response: Response) => new TextDecoder().decode(await response.arrayBuffer());

/** Waits until D1 has the record of the tenant's last change. */
const delivered = (tenant: string, action: string) =>
  eventually(async () => expect((await audit(`tenantId=${tenant}&limit=1`)).items[0]).toMatchObject({ action }));

describe("the audit", () => {
  test("lists what happened to a tenant, the newest first, by every filter, in pages that miss nothing", async () => {
    const pool = await aPool("audit-list");
    await claim("ann", pool);
    await release("ann");
    await delivered("ann", "tenant.released");
    const all = (await audit("subject=tenant:ann&limit=1000")).items;
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, index) => all.length - index));
    expect(all.at(-1)).toMatchObject({
      action: "tenant.claim",
      actor: "admin-key",
      subject: "tenant:ann",
      result: "ok",
    });

    const seen: Item[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: Page = await audit(`tenantId=ann&limit=1${cursor && `&cursor=${cursor}`}`);
      expect(page.items.length).toBeLessThanOrEqual(1);
      seen.push(...page.items);
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(all);

    const first = all.at(-1) as Item;
    const only = async (query: string) => (await audit(`tenantId=ann&limit=1000&${query}`)).items;
    expect(await only("action=tenant.rel")).toEqual(all.filter(({ action }) => action.startsWith("tenant.rel")));
    expect(await only(`requestId=${first.requestId}`)).toEqual([first]);
    expect(await only("actor=nobody")).toEqual([]);
    expect((await only("actor=system")).length).toBeGreaterThan(0);
    expect(await only("result=ok")).toEqual(all.filter(({ result }) => result === "ok"));
    expect(await only(`to=${first.at}`)).toEqual([]);
    expect(await only(`from=${first.at}`)).toEqual(all);
    expect(await only("subject=tenant:bob")).toEqual([]);
  });

  test("refuses what is no filter, no place and no time", async () => {
    for (const query of ["limit=0", "limit=1001", "cursor=!", "from=yesterday", "colour=red", "tenantId=%20"]) {
      expect([query, (await call("GET", `/api/v1/audit?${query}`)).status]).toEqual([query, 422]);
    }
  });

  test("is exported as a file, the oldest first, as it was when it began", async () => {
    const pool = await aPool("audit-export");
    await claim("eve", pool);
    await delivered("eve", "tenant.assigned");
    const response = await request("GET", "/api/v1/audit/export?tenantId=eve");
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(response.headers.get("content-disposition")).toContain("audit.ndjson");
    const lines = (await textOf(response))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Item);
    expect(lines).toEqual((await audit("tenantId=eve&limit=1000")).items.toReversed());
    const csv = await textOf(await request("GET", "/api/v1/audit/export?tenantId=eve&format=csv"));
    expect(csv.trimEnd().split("\r\n")).toHaveLength(lines.length + 1);
    expect((await call("GET", "/api/v1/audit/export?format=xml")).status).toBe(422);
  });

  test("of more records than one page holds is exported whole", async () => {
    const insert = env.DB.prepare(
      "INSERT INTO audit (subject, at, action, actor, result, detail) VALUES ('thing:many', ?, 'thing.done', 'x', 'ok', '{}')",
    );
    await env.DB.batch(Array.from({ length: 1_203 }, (_, at) => insert.bind(at)));
    const text = await textOf(await request("GET", "/api/v1/audit/export?subject=thing:many"));
    const times = text
      .trimEnd()
      .split("\n")
      .map((line) => Date.parse((JSON.parse(line) as Item).at));
    expect(times).toEqual(Array.from({ length: 1_203 }, (_, at) => at));
  });
});

describe("a tenant's chain", () => {
  test("holds from its first record to its owner's last", async () => {
    const pool = await aPool("audit-chain");
    await claim("carl", pool);
    await release("carl");
    await claim("carl", pool);
    await delivered("carl", "tenant.assigned");
    const verdict = await verify("tenant:carl");
    const { entries, head, owner } = verdict as { entries: number; head: { seq: number }; owner: { seq: number } };
    expect(verdict).toMatchObject({ subject: "tenant:carl", valid: true, unchained: 0 });
    expect(entries).toBeGreaterThanOrEqual(6);
    expect([head.seq, owner.seq]).toEqual([entries, entries]);
    expect(verdict).not.toHaveProperty("brokenAt");
  });

  test.each([
    ["an actor was changed", "UPDATE audit SET actor = 'nobody' WHERE subject = ? AND seq = 2", 2],
    ["a detail was changed", "UPDATE audit SET detail = '{}' WHERE subject = ? AND seq = 1", 1],
    ["a record is missing", "DELETE FROM audit WHERE subject = ? AND seq = 2", 2],
    ["the last records are missing", "DELETE FROM audit WHERE subject = ? AND seq >= 3", 3],
    ["everything is missing", "DELETE FROM audit WHERE subject = ?", 1],
  ])("is found broken when %s", async (what, sql, brokenAt) => {
    const tenant = `t.${what.replaceAll(" ", "-")}`;
    await claim(tenant, await aPool(`audit-${what.replaceAll(" ", "-")}`));
    await release(tenant);
    await delivered(tenant, "tenant.released");
    expect(await verify(`tenant:${tenant}`)).toMatchObject({ valid: true });
    expect((await env.DB.prepare(sql).bind(`tenant:${tenant}`).run()).meta.changes).toBeGreaterThan(0);
    expect(await verify(`tenant:${tenant}`)).toMatchObject({ valid: false, brokenAt });
  });

  test("of nobody is 404", async () => {
    expect((await call("GET", "/api/v1/audit/verify?subject=tenant:never")).status).toBe(404);
    expect((await call("GET", "/api/v1/audit/verify?subject=nonsense")).status).toBe(404);
    expect((await call("GET", "/api/v1/audit/verify")).status).toBe(422);
  });
});
