import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { audited, brokenAt, CHAIN_START, type ChainedEntry, chained } from "../../src/audit/entry.ts";
import { recordView } from "../../src/audit/export.ts";
import { ChainFollower } from "../../src/audit/follow.ts";
import { verifyChain } from "../../src/audit/verify.ts";

const by = { actor: "key:ops", requestId: "r-1" };

/** A chain as its owner writes it and D1 gives it back. */
function aChain(length: number): ChainedEntry[] {
  const entries: ChainedEntry[] = [];
  for (let seq = 1; seq <= length; seq += 1) {
    const entry = audited(by, 1_000 + seq, "tenant.claim", "tenant:alice", {
      detail: { epoch: seq, deep: { b: [1], a: null } },
    });
    entries.push(JSON.parse(JSON.stringify(chained(entry, seq, entries.at(-1)?.hash ?? CHAIN_START))));
  }
  return entries;
}

const pagesOf = (entries: readonly ChainedEntry[], size = 3) => {
  const asked: number[] = [];
  const next = async (after: number) => {
    asked.push(after);
    return entries.filter((entry) => entry.seq > after).slice(0, size);
  };
  return { asked, next };
};
const headOf = (entries: readonly ChainedEntry[]) => {
  const { seq, hash } = entries.at(-1) ?? { seq: 0, hash: CHAIN_START };
  return { seq, hash };
};

describe("a chain", () => {
  test("that nobody touched holds, page by page, and is its owner's", async () => {
    const chain = aChain(7);
    const { asked, next } = pagesOf(chain);
    const owner = { ...headOf(chain), delivered: 7 };
    expect(await verifyChain(next, owner)).toEqual({ valid: true, head: headOf(chain) });
    expect(asked).toEqual([0, 3, 6, 7]);
    expect(await verifyChain(pagesOf([]).next, null)).toEqual({ valid: true, head: null });
  });

  test("breaks where any member of any entry was changed", async () => {
    const change = fc.constantFrom<(entry: ChainedEntry) => object>(
      () => ({ at: 1 }),
      () => ({ actor: "nobody" }),
      () => ({ action: "tenant.release" }),
      () => ({ requestId: null }),
      () => ({ result: "failed" }),
      () => ({ before: "0" }),
      () => ({ detail: {} }),
      ({ detail }) => ({ detail: { ...detail, more: 1 } }),
      () => ({ prev: "f".repeat(64) }),
      () => ({ hash: "f".repeat(64) }),
      (entry) => chained({ ...withoutLinks(entry), actor: "nobody" }, entry.seq, entry.prev), // with a hash that fits
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), change, async (seq, changed) => {
        const chain = aChain(8);
        const forged = chain.map((entry) => (entry.seq === seq ? { ...entry, ...changed(entry) } : entry));
        const owner = { ...headOf(chain), delivered: 8 };
        const verdict = await verifyChain(pagesOf(forged).next, owner);
        expect(verdict.valid).toBe(false);
        expect([seq, seq + 1]).toContain(verdict.brokenAt);
        expect(verdict.head?.seq ?? 0).toBe((verdict.reason === "not the owner's" ? 9 : (verdict.brokenAt ?? 0)) - 1);
      }),
    );
  });

  test("breaks at the place of an entry that is missing, or of two that changed places", () => {
    const chain = aChain(6);
    expect(brokenAt(chain.filter(({ seq }) => seq !== 4))).toBe(4);
    expect(brokenAt(chain.slice(1))).toBe(1);
    const [a, b, ...rest] = chain as [ChainedEntry, ChainedEntry];
    expect(brokenAt([{ ...b, seq: 1 }, { ...a, seq: 2 }, ...rest])).toBe(1);
    expect(brokenAt(chain)).toBeNull();
  });

  test("that was shortened or written anew is not its owner's, but may lack what is still on its way", async () => {
    const chain = aChain(6);
    const owner = { ...headOf(chain), delivered: 5 };
    expect(await verifyChain(pagesOf(chain.slice(0, 5)).next, owner)).toMatchObject({ valid: true, head: { seq: 5 } });
    expect(await verifyChain(pagesOf(chain.slice(0, 4)).next, owner)).toMatchObject({
      valid: false,
      brokenAt: 5,
      reason: "missing at the end",
    });
    const other = aChain(6).map(withoutLinks);
    const rewritten: ChainedEntry[] = [];
    for (const [index, entry] of other.entries()) {
      rewritten.push(chained({ ...entry, actor: "nobody" }, index + 1, rewritten.at(-1)?.hash ?? CHAIN_START));
    }
    expect(brokenAt(rewritten)).toBeNull();
    expect(await verifyChain(pagesOf(rewritten).next, owner)).toMatchObject({
      valid: false,
      reason: "not the owner's",
    });
    expect(await verifyChain(pagesOf(aChain(7)).next, owner)).toMatchObject({ valid: false, brokenAt: 7 });
  });
});

describe("an exported file", () => {
  const rowsOf = (entries: readonly ChainedEntry[], subject: string) => {
    const rows: ChainedEntry[] = [];
    for (const entry of entries.map(withoutLinks)) {
      rows.push(chained({ ...entry, subject }, rows.length + 1, rows.at(-1)?.hash ?? CHAIN_START));
    }
    return rows.map((entry, id) => JSON.stringify(recordView({ ...entry, id })));
  };
  const followed = (lines: readonly string[]) => {
    const follower = new ChainFollower();
    for (const line of lines) follower.take(line);
    return follower.result();
  };

  test("is followed chain by chain, whatever lies between their records", () => {
    const [ann, bob] = [rowsOf(aChain(4), "tenant:ann"), rowsOf(aChain(3), "tenant:bob")];
    const key = JSON.stringify({ ...JSON.parse(ann[0] ?? ""), subject: "key:k", seq: null, prev: null, hash: null });
    const mixed = [ann[0], bob[0], key, ann[1], bob[1], bob[2], ann[2], ann[3]] as string[];
    expect(followed(mixed)).toEqual({ chains: 2, unchained: 1, broken: [] });
    const forged = mixed.map((line) => (line === bob[1] ? line.replace("key:ops", "key:else") : line));
    expect(followed(forged).broken).toEqual([{ subject: "tenant:bob", brokenAt: 2 }]);
    expect(followed(mixed.filter((line) => line !== ann[0])).broken).toEqual([{ subject: "tenant:ann", brokenAt: 1 }]);
  });

  test("that is none is not taken for one", () => {
    expect(() => followed(["{"])).toThrow();
    expect(() => followed(["{}"])).toThrow("no record");
  });
});

test("an entry holds no secret", () => {
  const entry = audited(by, 1, "tenant.exec", "tenant:alice", {
    detail: { command: "curl -H 'Authorization: Bearer planted' x", apiKey: "planted", names: ["A"] },
  });
  expect(JSON.stringify(entry)).not.toContain("planted");
  expect(entry.detail.names).toEqual(["A"]);
});

function withoutLinks({ seq: _, prev: __, hash: ___, ...entry }: ChainedEntry) {
  return entry;
}
