import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { generation } from "../../src/ids.ts";
import { aContainer, aManifest, bytesOf, type Container, expectOk, type Node, put, random } from "./vault-kit.ts";

// Before the configuration is read for the first time: as little as there may be, so that everything that is packed moves out.
(env as unknown as Record<string, string>).VAULT_INLINE_BYTES = "65536";

const stub = (container: Container) => env.VAULT.getByName(container.tenantId);
const alarm = (container: Container) => runDurableObjectAlarm(stub(container));
const bodies = (container: Container) =>
  runInDurableObject(
    stub(container),
    (_, { storage }) => storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM bodies").one().n,
  );
const first: Node[] = Array.from({ length: 60 }, (_, i) => ({
  path: `d${i % 3}/f${String(i).padStart(3, "0")}`,
  content: random(2000 + i),
}));
const second: Node[] = first.map((node, i) =>
  i % 4 === 0 ? { ...node, content: random(3000), mtimeNs: `${1_800_000_000 + i}000000000` } : node,
);

async function moved(): Promise<Container> {
  const container = await aContainer();
  await expectOk(container.saveAll(first));
  await alarm(container);
  await expectOk(container.saveAll(second));
  expect(await bodies(container)).toBeGreaterThan(0);
  await alarm(container);
  expect(await bodies(container)).toBe(0);
  return container;
}

afterEach(() => void vi.restoreAllMocks());

describe("small contents beyond the budget", () => {
  it("are in R2 only, once they are there, and every reader finds them", async () => {
    const container = await moved();
    await evictDurableObject(stub(container));
    for (const [of, nodes] of [
      [1, first],
      [2, second],
    ] as const) {
      const tar = Buffer.from(await (await container.fetch(`/.bundle/${of}.tar`)).bytes());
      for (const node of nodes) expect(tar.includes(Buffer.from(bytesOf(node))), `${of} ${node.path}`).toBe(true);
    }
    const [node] = second;
    if (node === undefined) throw new Error("no node");
    const looked = await expectOk(container.vault.readFile(node.path, null));
    expect(looked.found?.body).toEqual(bytesOf(node));
    expect((await expectOk(container.vault.readFile(node.path, generation(1)))).found?.body).toEqual(
      bytesOf(first[0] as Node),
    );
    const object = await container.fetch(`/state/${node.path}`);
    expect(await object.bytes()).toEqual(bytesOf(node));
    const some = await container.fetch(`/state/${node.path}`, { headers: { range: "bytes=5-9" } });
    expect([some.status, await some.bytes()]).toEqual([206, bytesOf(node).subarray(5, 10)]);
  });

  it("are asked for by the range, not one by one", async () => {
    const container = await moved();
    const get = vi.spyOn(env.BUCKET, "get");
    await (await container.fetch("/.bundle/1.tar")).bytes();
    expect(get.mock.calls.length).toBeLessThanOrEqual(3);
  });

  it("stay what they are in later saves: nothing of them is stored again, and copies share them", async () => {
    const container = await moved();
    const third: Node[] = [...second, { path: "copy", content: bytesOf(second[1] as Node) }];
    const save = container.save();
    await expectOk(container.vault.open(save, aManifest(third)));
    const source = `state/${second[1]?.path}`;
    const copied = await container.fetch("/state/copy", {
      method: "PUT",
      headers: { "x-amz-copy-source": source, "x-amz-metadata-directive": "COPY" },
    });
    expect(copied.status).toBe(200);
    expect(await container.vault.commit(save, { force: false })).toMatchObject({ ok: true, value: { changed: 1 } });
    expect(await bodies(container)).toBe(0);
    await alarm(container);
    expect((await expectOk(container.vault.readFile("copy", null))).found?.body).toEqual(bytesOf(second[1] as Node));
  });

  it("never move before their pack is in R2", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(first));
    vi.spyOn(env.BUCKET, "put").mockRejectedValue(new Error("R2 is away"));
    await alarm(container);
    expect(await bodies(container)).toBe(first.length);
    expect((await container.fetch("/.bundle/1.tar")).status).toBe(200);
  });

  it("that R2 cannot give now make a read fail, never succeed with something else", async () => {
    const container = await moved();
    const get = env.BUCKET.get.bind(env.BUCKET);
    vi.spyOn(env.BUCKET, "get").mockImplementation((async (key: string, options: R2GetOptions) => {
      if (key.includes("/packs/")) throw new Error("R2 is away");
      return get(key, options);
    }) as typeof env.BUCKET.get);
    const response = await container.fetch(`/state/${second[0]?.path}`);
    expect(response.status).toBeGreaterThanOrEqual(500);
    expect(await container.vault.exported(generation(1), null)).toMatchObject({
      ok: false,
      failure: { code: "storage_unavailable" },
    });
    vi.restoreAllMocks();
    expect((await expectOk(container.vault.exported(generation(1), null))).entries.length).toBeGreaterThan(60);
  });

  it("new ones get numbers of their own, though those before are gone from here", async () => {
    const container = await moved();
    const save = container.save();
    const third: Node[] = [...second, { path: "new", content: "brand new" }];
    await expectOk(container.vault.open(save, aManifest(third)));
    await put(container, "new", "brand new", { "x-amz-meta-mtime": "1767225600.123456789" });
    await expectOk(container.vault.commit(save, { force: false }));
    await evictDurableObject(stub(container));
    for (const node of third) {
      expect((await expectOk(container.vault.readFile(node.path, null))).found?.body, node.path).toEqual(bytesOf(node));
    }
  });
});
