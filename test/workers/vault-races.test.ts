import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { epoch } from "../../src/ids.ts";
import { writeLedger } from "../../src/vault/packs/ledger.ts";
import { Packs } from "../../src/vault/packs/store.ts";
import { writePack } from "../../src/vault/packs/write.ts";
import type { VaultParts } from "../../src/vault/parts.ts";
import { fsckAll, modelOf, readBack, rebuildAll } from "../support/vault-model.ts";
import { withParts } from "../support/vault-parts.ts";
import { aContainer, type Container, expectOk, type Node, random } from "./vault-kit.ts";

/** What is on its way to R2 while something else happens to the same vault: nothing that is needed may go, in R2 or in the index. */

const stub = (container: Container) => env.VAULT.getByName(container.tenantId);
const alarm = (container: Container) => runDurableObjectAlarm(stub(container));
const prefix = (container: Container) => `tenants/${container.tenantId}/`;
const keys = async (container: Container, below = "") =>
  (await env.BUCKET.list({ prefix: `${prefix(container)}${below}` })).objects.map(({ key }) => key);
const tree = (i: number): Node[] => [
  { path: "same", content: "same" },
  { path: "small", content: `version ${i}`, mtimeNs: `${1_800_000_000 + i}000000000` },
];
/** Looked at, not told: what goes on in one object's context must not go on in another's. */
const until = async (is: () => boolean): Promise<void> => {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 5));
};
/** Done by the real bucket, and answered when `go` was called; `reached` is when the first of them was done. */
function heldUp(method: "put" | "delete", which: (key: string) => boolean) {
  const real = (env.BUCKET[method] as (...args: unknown[]) => Promise<unknown>).bind(env.BUCKET);
  let [done, open] = [false, false];
  vi.spyOn(env.BUCKET, method).mockImplementation((async (...args: unknown[]) => {
    const answer = await real(...args);
    if (!which(String(args[0]))) return answer;
    done = true;
    await until(() => open);
    return answer;
  }) as never);
  const go = () => {
    open = true;
  };
  return { reached: () => until(() => done), go };
}

afterEach(() => void vi.restoreAllMocks());

/** The parts that deliver, twice at once. */
const twice = ({ tenantId }: Container, work: (parts: VaultParts) => Promise<unknown>) =>
  withParts(tenantId, (parts) => Promise.all([work(parts), work(parts)]));

describe("what two alarms deliver at once, the one before having taken too long,", () => {
  it("is in R2: the pack", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree(1)));
    const task = await runInDurableObject(stub(container), (_, { storage }) => new Packs(storage.sql).next());
    if (task === null) throw new Error("there is nothing to pack");
    await twice(container, (parts) => writePack(parts, task));
    expect(await keys(container, "packs/")).toHaveLength(1);
    await alarm(container);
    expect(await fsckAll(container)).toEqual([]);
  });

  it("is in R2: the ledger", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree(1)));
    await alarm(container);
    await runInDurableObject(stub(container), (_, { storage }) => new Packs(storage.sql).enqueue(0));
    const task = await runInDurableObject(stub(container), (_, { storage }) => new Packs(storage.sql).next());
    if (task === null) throw new Error("there is no ledger to write");
    await twice(container, (parts) => writeLedger(parts, task));
    expect(await keys(container, "ledger.json")).toHaveLength(1);
  });
});

it("a pack that was suspected before it was known stays", async () => {
  const container = await aContainer();
  await expectOk(container.saveAll(tree(1)));
  await alarm(container);
  const [pack] = await keys(container, "packs/");
  await runInDurableObject(stub(container), (_, { storage }) => {
    storage.sql.exec("INSERT INTO garbage (object) VALUES (?)", pack);
    return storage.setAlarm(Date.now() + 60_000);
  });
  await alarm(container);
  expect(await keys(container, "packs/")).toEqual([pack]);
  expect(await fsckAll(container)).toEqual([]);
});

describe("a rebuild that gives the index up", () => {
  it("keeps the pack, and the ledger, whose writing it overtook", async () => {
    for (const [what, which] of [
      ["pack", (key: string) => key.includes("/packs/000000000002")],
      ["ledger", (key: string) => key.endsWith("ledger.json")],
    ] as const) {
      const container = await aContainer();
      await expectOk(container.saveAll(tree(1)));
      await alarm(container);
      await expectOk(container.saveAll(tree(2)));
      const { reached, go } = heldUp("put", which);
      const ringing = alarm(container);
      await reached();
      expect(await rebuildAll(container, epoch(2), true), what).toMatchObject({ restored: [1, 2], head: 2 });
      go();
      await ringing;
      vi.restoreAllMocks();
      await alarm(container);
      expect(await fsckAll(container), what).toEqual([]);
      expect(await keys(container, "ledger.json")).toHaveLength(1);
      expect(await readBack(container, env.BUCKET, 2)).toEqual(modelOf(tree(2)));
    }
  });

  it("knows all of its packs, whichever the index before was about to forget", async () => {
    const container = await aContainer();
    const saved = (i: number): Node[] => [
      { path: "small", content: random(300), mtimeNs: `${1_800_000_000 + i}000000000` },
    ];
    for (let i = 0; i < 12; i += 1) {
      await expectOk(container.saveAll(saved(i)));
      // So that each has its pack before the first of them goes.
      if (i < 9) await alarm(container);
    }
    const { reached, go } = heldUp("delete", (key) => key.includes("/packs/"));
    const ringing = alarm(container);
    await reached();
    expect(await rebuildAll(container, epoch(2), true)).toMatchObject({ problems: [], head: 12 });
    go();
    await ringing;
    vi.restoreAllMocks();
    const { generations } = await container.vault.describe();
    for (const { generation } of generations) await readBack(container, env.BUCKET, generation);
    await alarm(container);
    expect(await fsckAll(container)).toEqual([]);
  });

  it("makes no check that began before take all of R2 for nobody's", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll([...tree(1), { path: "large", content: random(70_000) }]));
    await alarm(container);
    vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + 2 * 86_400_000);
    const list = env.BUCKET.list.bind(env.BUCKET);
    let open = false;
    vi.spyOn(env.BUCKET, "list").mockImplementationOnce(async (options) => {
      const page = await list(options);
      await until(() => open);
      return page;
    });
    const checking = container.vault.fsck("listing:", { repair: true });
    const get = env.BUCKET.get.bind(env.BUCKET) as (...args: unknown[]) => Promise<unknown>;
    vi.spyOn(env.BUCKET, "get").mockImplementation((async (key: string, ...more: unknown[]) => {
      if (key.includes("/packs/")) throw new Error("R2 is away");
      return get(key, ...more);
    }) as never);
    expect(await container.vault.rebuild(epoch(2), { after: null, discard: true })).toMatchObject({ ok: false });
    open = true;
    const checked = await checking;
    if (checked.ok) expect(checked.value.problems.filter(({ repaired }) => repaired)).toEqual([]);
    vi.restoreAllMocks();
    await alarm(container);
    await alarm(container);
    expect(await container.vault.describe()).toMatchObject({ head: { generation: 1 } });
    expect(await fsckAll(container)).toEqual([]);
  });
});
