import { expect, it } from "vitest";
import { epoch } from "../../src/ids.ts";
import { erase } from "../../src/vault/erase.ts";
import type { VaultParts } from "../../src/vault/parts.ts";

it("an erasure that is still under way when its tenant has a new life deletes nothing of that", async () => {
  const records = [null, { epoch: epoch(3) }]; // before the listing, and after it: fenced for the next claim meanwhile
  const deleted: string[][] = [];
  const bucket = {
    list: async () => ({ objects: deleted.length === 0 ? [{ key: "tenants/alice/new" }] : [] }),
    delete: async (keys: string[]) => void deleted.push(keys),
  };
  const parts = {
    store: { record: () => records.shift() ?? null },
    prefix: () => "tenants/alice/",
    settled: async () => {},
    bucket: () => bucket,
  };
  const outcome = await erase(parts as unknown as VaultParts, epoch(2));
  expect(outcome).toMatchObject({ ok: false, failure: { code: "stale_epoch" } });
  expect(deleted).toEqual([]);
});
