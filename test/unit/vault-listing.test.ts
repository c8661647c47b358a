import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { listPage } from "../../src/vault/listing.ts";
import type { ListedObject, ListQuery } from "../../src/vault/storage.ts";

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const objectOf = (key: string): ListedObject => ({ key, size: 0, mtimeNs: "0", etag: "" });

/** What the tables answer, done the slow way. */
function scanOf(keys: readonly string[], query: ListQuery) {
  const sorted = [...new Set(keys)].sort(byBytes);
  return ({ key: from, inclusive }: { key: string; inclusive: boolean }) =>
    sorted
      .filter((key) => byBytes(key, query.prefix) >= 0)
      .filter((key) => (inclusive ? byBytes(key, from) >= 0 : byBytes(key, from) > 0))
      .map(objectOf);
}

/** S3's definition, word for word and without pages. */
function naive(
  keys: readonly string[],
  prefix: string,
  delimiter: string,
  after: string,
): { objects: string[]; prefixes: string[] } {
  const objects: string[] = [];
  const prefixes = new Set<string>();
  for (const key of [...new Set(keys)].sort(byBytes)) {
    if (!key.startsWith(prefix) || byBytes(key, after) <= 0) continue;
    const cut = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    if (cut === -1) objects.push(key);
    else prefixes.add(key.slice(0, cut + delimiter.length));
  }
  return { objects, prefixes: [...prefixes] };
}

function allPages(keys: readonly string[], query: ListQuery): { objects: string[]; prefixes: string[]; pages: number } {
  const out = { objects: [] as string[], prefixes: [] as string[], pages: 0 };
  let next: { after: string; afterIsPrefix: boolean } | null = {
    after: query.after,
    afterIsPrefix: query.afterIsPrefix,
  };
  while (next !== null) {
    const asked: ListQuery = { ...query, ...next };
    const page = listPage(asked, scanOf(keys, asked));
    expect(page.objects.length + page.prefixes.length).toBeLessThanOrEqual(query.limit);
    out.objects.push(...page.objects.map((object) => object.key));
    out.prefixes.push(...page.prefixes);
    out.pages += 1;
    next = page.next;
    if (next !== null) expect(page.objects.length + page.prefixes.length).toBe(query.limit);
  }
  return out;
}

const piece = fc.constantFrom("a", "b", "/", "//", "-", "ü", "漢", "\u{1F600}", "\uffff", "z");
const aKey = fc.array(piece, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(""));

describe("listing", () => {
  it("answers in pages exactly what S3 defines for prefix, delimiter and start-after", () => {
    fc.assert(
      fc.property(
        fc.array(aKey, { maxLength: 30 }),
        fc.oneof(fc.constant(""), aKey),
        fc.constantFrom("", "/", "a", "//"),
        fc.oneof(fc.constant(""), aKey),
        fc.integer({ min: 1, max: 7 }),
        (keys, prefix, delimiter, after, limit) => {
          const { objects, prefixes } = allPages(keys, { prefix, delimiter, after, afterIsPrefix: false, limit });
          expect({ objects, prefixes }).toEqual(naive(keys, prefix, delimiter, after));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("reads one row of a directory that it rolls up, not all of them", () => {
    let read = 0;
    const keys = Array.from({ length: 5000 }, (_, i) => `dir/${i}`).concat("z");
    const query: ListQuery = { prefix: "", delimiter: "/", after: "", afterIsPrefix: false, limit: 1000 };
    const scan = scanOf(keys, query);
    const page = listPage(query, function* (from) {
      for (const object of scan(from)) {
        read += 1;
        yield object;
      }
    });
    expect([page.prefixes, page.objects.length, read]).toEqual([["dir/"], 1, 2]);
  });

  it("answers nothing, and no continuation, for max-keys of zero", () => {
    const query: ListQuery = { prefix: "", delimiter: "", after: "", afterIsPrefix: false, limit: 0 };
    expect(listPage(query, scanOf(["a"], query))).toEqual({ objects: [], prefixes: [], next: null });
  });
});
