import { describe, expect, test } from "vitest";
import { csvField, exported } from "../../src/audit/export.ts";
import type { AuditRow } from "../../src/audit/read.ts";

const aRow = (id: number, more: Partial<AuditRow> = {}): AuditRow => ({
  id,
  subject: "tenant:alice",
  seq: id,
  at: id * 1_000,
  action: "tenant.claim",
  actor: "key:ops",
  requestId: "r-1",
  result: "ok",
  before: null,
  after: "ab",
  detail: { poolId: "demo" },
  prev: "0",
  hash: "1",
  ...more,
});

const source = (rows: readonly AuditRow[], size: number) => {
  const asked: number[] = [];
  const next = async (after: number) => {
    asked.push(after);
    return rows.filter((row) => row.id > after).slice(0, size);
  };
  return { asked, next };
};

describe("an export", () => {
  test("as NDJSON has every record once, as the API shows it", async () => {
    const rows = Array.from({ length: 7 }, (_, index) => aRow(index + 1));
    const text = await new Response(exported("ndjson", source(rows, 3).next)).text();
    const records = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(records).toHaveLength(7);
    expect(records[6]).toEqual({ ...aRow(7), at: "1970-01-01T00:00:07.000Z" });
  });

  test("reads on only as fast as it is read", async () => {
    const { asked, next } = source(
      Array.from({ length: 100 }, (_, index) => aRow(index + 1)),
      10,
    );
    const reader = exported("ndjson", next).getReader();
    await reader.read();
    await reader.read();
    expect(asked.length).toBeLessThanOrEqual(4);
    await reader.cancel();
    const before = asked.length;
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toHaveLength(before);
  });

  test("ends in an error, not early, when a page cannot be had", async () => {
    const failing = exported("ndjson", async (after) => {
      if (after > 0) throw new Error("gone");
      return [aRow(1)];
    });
    await expect(new Response(failing).text()).rejects.toThrow("gone");
  });

  test("as CSV quotes what needs it, and no spreadsheet takes a field for a formula", async () => {
    const row = aRow(1, {
      actor: '=HYPERLINK("http://x")',
      requestId: "-1+1",
      result: 'a "b", c\nd',
      detail: { a: "@x" },
    });
    const text = await new Response(exported("csv", source([row], 5).next)).text();
    const [head, ...lines] = text.split("\r\n");
    expect(head).toBe("id,at,subject,action,actor,requestId,result,before,after,detail,seq,prev,hash");
    expect(lines.join("\r\n")).toBe(
      `1,1970-01-01T00:00:01.000Z,tenant:alice,tenant.claim,"'=HYPERLINK(""http://x"")","'-1+1","a ""b"", c\nd",,ab,"{""a"":""@x""}",1,0,1\r\n`,
    );
  });

  test.each(["=1", "+1", "-1", "@a", "\ta", "\ra", " =1"])("guards %j", (text) => {
    expect(csvField(text)).toMatch(/^"?'/);
  });
});
