import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { epoch, generation } from "../../src/ids.ts";
import { fsckAll, modelOf, readBack, rebuildAll } from "../support/vault-model.ts";
import { aContainer, Container, expectOk, type Node, random } from "./vault-kit.ts";

/** What becomes of a rebuild when whoever asked for it does not ask for its next page, wherever it is by then. */

const stub = (container: Container) => env.VAULT.getByName(container.tenantId);
const alarm = (container: Container) => runDurableObjectAlarm(stub(container));
const refused = (code: string) => ({ ok: false, failure: { code } });
const prefix = (container: Container) => `tenants/${container.tenantId}/`;
const keys = async (container: Container, below = "") =>
  (await env.BUCKET.list({ prefix: `${prefix(container)}${below}` })).objects.map(({ key }) => key);
async function lose(container: Container): Promise<void> {
  await runInDurableObject(stub(container), (_, { storage }) => storage.deleteAll());
  await evictDurableObject(stub(container));
}
const trees: Node[][] = [1, 2, 3].map((i) => [
  { path: "same", content: "same" },
  { path: "small", content: `version ${i}`, mtimeNs: `${1_800_000_000 + i}000000000` },
  { path: "large", content: random(70_000), mtimeNs: `${1_800_000_000 + i}000000000` },
]);
/** Three generations, whose storage is lost. */
async function lost(): Promise<Container> {
  const container = await aContainer();
  for (const tree of trees) await expectOk(container.saveAll(tree));
  await alarm(container);
  await lose(container);
  return container;
}
async function expectWhole(container: Container): Promise<void> {
  expect(await container.vault.describe()).toMatchObject({ epoch: 2, head: { generation: 3 } });
  for (const [i, tree] of trees.entries()) {
    expect(await readBack(container, env.BUCKET, i + 1)).toEqual(modelOf(tree));
  }
  await alarm(container);
  expect(await fsckAll(container)).toEqual([]);
  expect(await new Container(container.tenantId, 3).fence()).toMatchObject({
    ok: true,
    value: { head: { generation: 3 } },
  });
}
const whole = { after: null, discard: false };
type Get = typeof env.BUCKET.get;
/** What is asked of R2 for these keys is answered otherwise. */
function getting(which: (key: string) => boolean, otherwise: (real: () => Promise<unknown>) => Promise<unknown>): void {
  const get = env.BUCKET.get.bind(env.BUCKET) as (key: string, options?: R2GetOptions) => Promise<unknown>;
  vi.spyOn(env.BUCKET, "get").mockImplementation(((key: string, options?: R2GetOptions) => {
    const real = () => get(key, options);
    return which(key) ? otherwise(real) : real();
  }) as Get);
}
const packOf = (n: number) => (key: string) => key.includes(`/packs/${String(n).padStart(12, "0")}-`);
/** Looked at, not told: what goes on in one object's context must not go on in another's. */
const until = async (is: () => boolean): Promise<void> => {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 5));
};
/** Every page of a rebuild is over after one generation. */
function hurriedly(): void {
  let passed = 0;
  const real = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => {
    passed += 11_000;
    return real() + passed;
  });
}

afterEach(() => void vi.restoreAllMocks());

describe("a rebuild that nobody goes on with", () => {
  it.each([1, 2, 3])("is ended whole by the vault's alarm, where it broke off at generation %i", async (n) => {
    const container = await lost();
    getting(packOf(n), () => Promise.reject(new Error("R2 is away")));
    expect(await container.vault.rebuild(epoch(2), whole)).toMatchObject(refused("storage_unavailable"));
    await evictDurableObject(stub(container));
    vi.restoreAllMocks();
    expect(await alarm(container)).toBe(true);
    await expectWhole(container);
  });

  it("is ended so too after the object died in the middle of a page", async () => {
    const container = await lost();
    let asked = false;
    getting(packOf(2), () => {
      asked = true;
      return new Promise(() => {});
    });
    const page = container.vault.rebuild(epoch(2), whole).catch((error: unknown) => String(error));
    await until(() => asked);
    await abortAllDurableObjects();
    expect(await page).toEqual(expect.any(String));
    vi.restoreAllMocks();
    expect(await container.vault.fsck(null, { repair: false })).toMatchObject(refused("operation_in_progress"));
    expect(await alarm(container)).toBe(true);
    await expectWhole(container);
  });

  it("is ended by an alarm that any request sets again, where that was lost", async () => {
    const container = await lost();
    getting(packOf(2), () => Promise.reject(new Error("R2 is away")));
    await container.vault.rebuild(epoch(2), whole);
    vi.restoreAllMocks();
    await runInDurableObject(stub(container), (_, { storage }) => storage.deleteAlarm());
    await evictDurableObject(stub(container));
    expect(await new Container(container.tenantId, 3).fence()).toMatchObject(refused("operation_in_progress"));
    expect(await alarm(container)).toBe(true);
    await expectWhole(container);
  });

  it("is tried again while R2 does not answer, and stays shut until it does", async () => {
    const container = await lost();
    getting(packOf(2), () => Promise.reject(new Error("R2 is away")));
    await container.vault.rebuild(epoch(2), whole);
    for (let i = 0; i < 2; i += 1) expect(await alarm(container)).toBe(true);
    expect(await new Container(container.tenantId, 3).fence()).toMatchObject(refused("operation_in_progress"));
    const again = await runInDurableObject(stub(container), (_, { storage }) => storage.getAlarm());
    expect(again).toBeGreaterThan(Date.now());
    vi.restoreAllMocks();
    await alarm(container);
    await expectWhole(container);
  });

  it("answers whoever comes back with what was done meanwhile, and takes nothing back", async () => {
    const container = await lost();
    hurriedly();
    const first = await expectOk(container.vault.rebuild(epoch(2), whole));
    expect(first).toMatchObject({ restored: [1], next: 1, head: null });
    await alarm(container);
    vi.restoreAllMocks();
    const next = { after: first.next, discard: false };
    expect(await container.vault.rebuild(epoch(2), next)).toEqual({
      ok: true,
      value: { restored: [2, 3], problems: [], next: null, head: 3 },
    });
    expect(await container.vault.rebuild(epoch(1), next)).toMatchObject(refused("stale_epoch"));
    expect(await container.vault.rebuild(epoch(3), next)).toMatchObject(refused("invalid_transition"));
    await expectWhole(container);
  });

  it("and the alarm may bring back the same at once", async () => {
    const container = await lost();
    hurriedly();
    const { next } = await expectOk(container.vault.rebuild(epoch(2), whole));
    vi.restoreAllMocks();
    const [page] = await Promise.all([
      container.vault.rebuild(epoch(2), { after: next, discard: false }),
      alarm(container),
    ]);
    expect(page).toMatchObject({ ok: true, value: { restored: [2, 3], next: null, head: 3 } });
    await expectWhole(container);
  });
});

describe("while a generation is being brought back", () => {
  /** The second generation comes when it is told to. */
  async function held(container: Container) {
    let [asked, open] = [false, false];
    getting(packOf(2), async (real) => {
      asked = true;
      await until(() => open);
      return real();
    });
    const page = container.vault.rebuild(epoch(2), whole);
    await until(() => asked);
    const go = () => {
      open = true;
    };
    return { go, page };
  }

  it("an erasure leaves nothing, also of what R2 had answered already", async () => {
    const container = await lost();
    const { go, page } = await held(container);
    await expectOk(container.vault.erase(epoch(3)));
    go();
    expect(await page).toMatchObject({ ok: false });
    expect(await container.vault.describe()).toMatchObject({ head: null, generations: [] });
    await alarm(container);
    expect(await keys(container)).toEqual([]);
  });

  it("another that begins anew is not written into by the one before", async () => {
    const container = await lost();
    const { go, page } = await held(container);
    vi.restoreAllMocks();
    expect(await rebuildAll(container, epoch(3))).toMatchObject({ restored: [1, 2, 3], problems: [], head: 3 });
    go();
    expect(await page).toMatchObject({ ok: false });
    expect(await container.vault.describe()).toMatchObject({ epoch: 3, head: { generation: 3 } });
    await alarm(container);
    expect(await fsckAll(container)).toEqual([]);
  });

  it("a container that had asked before it began is not bound to what is not all there", async () => {
    const container = await lost();
    let answered = false;
    // As if R2 had nothing yet: the fence goes on to bind its container.
    vi.spyOn(env.BUCKET, "list").mockImplementationOnce(async () => {
      await until(() => answered);
      return { objects: [], truncated: false, delimitedPrefixes: [] };
    });
    const fencing = new Container(container.tenantId, 3).fence();
    const { go, page } = await held(container);
    answered = true;
    expect(await fencing).toMatchObject(refused("operation_in_progress"));
    go();
    expect(await page).toMatchObject({ ok: true, value: { head: 3 } });
    vi.restoreAllMocks();
    await expectWhole(container);
  });
});

describe("where R2 has nothing that could be brought back", () => {
  it("the index is missing as before: nobody gets a fresh start, no check deletes what there is, and it may be tried again", async () => {
    const container = await lost();
    const packs = await keys(container, "packs/");
    const kept = new Map<string, ArrayBuffer>();
    for (const key of packs) {
      kept.set(key, (await (await env.BUCKET.get(key))?.arrayBuffer()) ?? new ArrayBuffer(0));
      await env.BUCKET.put(key, "rubbish");
    }
    const before = await keys(container);
    expect(await rebuildAll(container, epoch(2))).toMatchObject({ restored: [], head: null });
    await alarm(container);
    expect(await new Container(container.tenantId, 3).fence()).toMatchObject(refused("restore_failed"));
    vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + 3 * 86_400_000);
    expect((await fsckAll(container, { repair: true })).map(({ what }) => what)).toEqual(["index_missing"]);
    await alarm(container);
    vi.restoreAllMocks();
    expect(await keys(container)).toEqual(before);
    for (const [key, bytes] of kept) await env.BUCKET.put(key, bytes);
    expect(await rebuildAll(container, epoch(2))).toMatchObject({ restored: [1, 2, 3], problems: [], head: 3 });
    await expectWhole(container);
  });

  it("the alarm ends it in the same way, and so where the epoch is too old", async () => {
    const container = await lost();
    const newer = new Container(container.tenantId, 5);
    getting(packOf(1), () => Promise.reject(new Error("R2 is away")));
    await container.vault.rebuild(epoch(2), whole);
    vi.restoreAllMocks();
    // As if a fence after the last ledger had been at epoch 5, under which a later generation was packed.
    const other = await aContainer();
    const later = new Container(other.tenantId, 5);
    await expectOk(later.fence());
    await expectOk(later.saveAll([{ path: "x", content: "x" }]));
    await alarm(other);
    const [pack] = await keys(other, "packs/");
    const bytes = (await (await env.BUCKET.get(pack ?? ""))?.arrayBuffer()) ?? new ArrayBuffer(0);
    await env.BUCKET.put(`${prefix(container)}packs/000000000009-00000000-0-manifest`, bytes);
    await alarm(container);
    expect(await newer.fence()).toMatchObject(refused("restore_failed"));
    expect(await container.vault.describe()).toMatchObject({ head: null, generations: [] });
    expect(await rebuildAll(container, epoch(6))).toMatchObject({ restored: [1, 2, 3], head: 3 });
  });
});

describe("a rebuild gives nothing up", () => {
  it("for what R2 sent cut short once", async () => {
    const container = await lost();
    let cut = 0;
    getting(packOf(2), async (real) => {
      const found = (await real()) as R2ObjectBody;
      cut += 1;
      return cut > 1 ? found : { ...found, bytes: async () => new Uint8Array(3) };
    });
    expect(await rebuildAll(container, epoch(2))).toMatchObject({ restored: [1, 2, 3], problems: [], head: 3 });
  });

  it("for a ledger that is not whole: it says so, and brings back whatever has a manifest", async () => {
    const container = await lost();
    await env.BUCKET.put(`${prefix(container)}ledger.json`, '{"format":"boilerhouse-led');
    expect(await rebuildAll(container, epoch(2))).toMatchObject({
      restored: [1, 2, 3],
      problems: [expect.stringContaining("ledger.json is not whole")],
      head: 3,
    });
    await alarm(container);
    expect(await fsckAll(container)).toEqual([]);
    expect(await container.vault.stat("small", generation(1))).toMatchObject({ ok: true });
  });
});
