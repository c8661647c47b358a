import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { epoch } from "../../src/ids.ts";
import { fsckAll, modelOf, readBack, rebuildAll } from "../support/vault-model.ts";
import { aContainer, aManifest, aTar, type Container, expectOk, type Node, random } from "./vault-kit.ts";

const stub = (container: Container) => env.VAULT.getByName(container.tenantId);
/** What was put off comes now. */
async function alarm(container: Container): Promise<void> {
  await runInDurableObject(stub(container), (_, { storage }) => {
    storage.sql.exec("UPDATE outbox SET due = 0");
    return storage.setAlarm(Date.now() + 60_000);
  });
  await runDurableObjectAlarm(stub(container));
}
const stored = async (container: Container) =>
  (await env.BUCKET.list({ prefix: `tenants/${container.tenantId}/` })).objects.length;
const later = (i: number): string => `${1_800_000_000 + i}000000000`;

const METHODS = ["put", "delete", "get", "list", "head"] as const;
type Fault = "has no effect" | "has its effect and no answer";
/** The n-th call of R2 fails, counted from 0 over all of its methods; later ones go through. Answers with how many there were. */
function breakCall(n: number, fault: Fault): { calls: () => number } {
  let calls = 0;
  for (const method of METHODS) {
    const real = (env.BUCKET[method] as (...args: unknown[]) => Promise<unknown>).bind(env.BUCKET);
    vi.spyOn(env.BUCKET, method).mockImplementation((async (...args: unknown[]) => {
      if (calls++ !== n) return real(...args);
      if (fault === "has its effect and no answer") await real(...args);
      throw new Error(`${method} is broken`);
    }) as never);
  }
  return { calls: () => calls };
}

/** Twelve generations of which two are not retained, one beside them, and a save that was sent and aborted. */
async function aBusyVault(): Promise<{ container: Container; models: Map<number, string[]> }> {
  const container = await aContainer();
  const models = new Map<number, string[]>();
  for (let i = 0; i < 12; i++) {
    const nodes: Node[] = [
      { path: "stays", content: "stays" },
      { path: "small", content: random(300), mtimeNs: later(i) },
      { path: "large", content: random(66_000), mtimeNs: later(i) },
    ];
    const { generation } = await expectOk(container.saveAll(nodes));
    models.set(generation, modelOf(nodes));
    if (i === 3) await alarm(container);
  }
  await container.saveAll([{ path: "small", content: "guarded" }]);
  models.set(13, modelOf([{ path: "small", content: "guarded" }]));
  const aborted: Node[] = [{ path: "large", content: random(70_000), mtimeNs: later(99) }];
  const save = container.save();
  await expectOk(container.vault.open(save, aManifest(aborted)));
  await container.putBundle(aTar(aborted));
  await expectOk(container.vault.abort(save));
  return { container, models };
}

async function expectWhole(container: Container, models: ReadonlyMap<number, string[]>): Promise<void> {
  const { head, generations } = await container.vault.describe();
  expect(head).toMatchObject({ generation: 12 });
  expect(generations).toHaveLength(11);
  for (const { generation } of generations)
    expect(await readBack(container, env.BUCKET, generation), `generation ${generation}`).toEqual(
      models.get(generation),
    );
}

/** 10 large files, 11 manifests and one pack kept for what is in it, and the ledger. */
const WHOLE = 23;

afterEach(() => void vi.restoreAllMocks());

describe("whichever call of R2 fails while a vault tends itself", () => {
  it.each(["has no effect", "has its effect and no answer"] as const)(
    "and %s, every generation stays readable, and all is in R2 in the end",
    { timeout: 180_000 },
    async (fault) => {
      for (let n = 0; ; n++) {
        const { container, models } = await aBusyVault();
        const broken = breakCall(n, fault);
        await alarm(container);
        const calls = broken.calls();
        vi.restoreAllMocks();
        await evictDurableObject(stub(container));
        await expectWhole(container, models);
        await alarm(container);
        await alarm(container);
        await expectWhole(container, models);
        expect(await fsckAll(container), `call ${n}`).toEqual([]);
        expect(await stored(container), `call ${n}`).toBe(WHOLE);
        if (n >= calls) return;
      }
    },
  );

  it("it is all the same when nothing fails and the alarm comes twice", async () => {
    const { container, models } = await aBusyVault();
    await Promise.all([alarm(container), alarm(container)]);
    await alarm(container);
    await expectWhole(container, models);
    expect(await fsckAll(container)).toEqual([]);
    expect(await stored(container)).toBe(WHOLE);
  });
});

it("whichever call of R2 fails during a rebuild, asking again ends it whole", { timeout: 180_000 }, async () => {
  const { container, models } = await aBusyVault();
  await alarm(container);
  for (let n = 0; ; n += 3) {
    await runInDurableObject(stub(container), (_, { storage }) => storage.deleteAll());
    await evictDurableObject(stub(container));
    const broken = breakCall(n, "has no effect");
    const failed = await rebuildAll(container, epoch(2)).then(
      () => false,
      () => true,
    );
    const calls = broken.calls();
    vi.restoreAllMocks();
    expect(failed).toBe(n < calls);
    await evictDurableObject(stub(container));
    if (failed) expect(await rebuildAll(container, epoch(2))).toMatchObject({ problems: [], head: 12 });
    await expectWhole(container, models);
    if (!failed) return;
  }
});

it("whichever call of R2 fails during an erasure, asking again leaves nothing", { timeout: 180_000 }, async () => {
  for (let n = 0; ; n++) {
    const { container } = await aBusyVault();
    const broken = breakCall(n, "has its effect and no answer");
    const failed = await container.vault.erase(epoch(2)).then(
      ({ ok }) => !ok,
      () => true,
    );
    const calls = broken.calls();
    vi.restoreAllMocks();
    expect(failed).toBe(n < calls);
    await evictDurableObject(stub(container));
    await expectOk(container.vault.erase(epoch(2)));
    await alarm(container);
    expect(await stored(container)).toBe(0);
    expect(await container.vault.describe()).toMatchObject({ head: null, generations: [] });
    if (!failed) return;
  }
});
