import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { epoch, generation } from "../../src/ids.ts";
import { aContainer, aManifest, aTar, Container, expectOk, type Node, put, unique } from "./vault-kit.ts";

const refused = (code: string) => ({ ok: false, failure: { code } });
const first: Node[] = [
  { path: "a", content: "one" },
  { path: "b", content: "bbb" },
];
const second: Node[] = [
  { path: "a", content: "second" },
  { path: "b", content: "bbb" },
  { path: "c", content: "c" },
];
/** What the Tenant asks for under a fresh epoch. */
const asked = (number: number, saveId = unique("restore")) => ({
  epoch: epoch(number),
  incarnation: `restore:${saveId}`,
  saveId,
});

async function twoGenerations(): Promise<Container> {
  const container = await aContainer();
  await expectOk(container.saveAll(first));
  await expectOk(container.saveAll(second));
  return container;
}

describe("a restore to an earlier generation", () => {
  it("is a new generation with its tree, and the history goes on", async () => {
    const container = await twoGenerations();
    const { vault } = container;
    const restored = { generation: 3, files: 2, bytes: 6, changed: 2 };
    expect(await vault.restoreTo(asked(2), generation(1))).toEqual({ ok: true, value: restored });
    expect(await vault.describe()).toMatchObject({
      epoch: 2,
      head: { generation: 3, files: 2 },
      generations: [{ status: "kept" }, { status: "kept", files: 3 }, { status: "head", files: 2, epoch: 2 }],
    });
    expect((await expectOk(vault.diff(generation(1), generation(3), { after: null, limit: 10 }))).entries).toEqual([]);
    const next = new Container(container.tenantId, 3);
    expect(await next.fence()).toMatchObject({ value: { head: { generation: 3 } } });
    const tar = new TextDecoder().decode(await (await next.fetch("/.bundle/3.tar")).bytes());
    expect(tar.includes("one") && !tar.includes("second")).toBe(true);
    expect(await next.saveAll(second)).toMatchObject({ ok: true, value: { generation: 4, changed: 2 } });
  });

  it("happens once, however often it is asked for by the same id", async () => {
    const { vault } = await twoGenerations();
    const ref = asked(2);
    const once = await vault.restoreTo(ref, generation(1));
    expect(await vault.restoreTo(ref, generation(1))).toEqual(once);
    expect(await vault.restoreTo({ ...ref, epoch: epoch(1) }, generation(1))).toEqual(once);
    expect((await vault.describe()).generations).toHaveLength(3);
  });

  it("is refused under an old epoch, of what is not kept, of a vault never used, and by the id of another save", async () => {
    const container = await twoGenerations();
    const { vault } = container;
    const open = container.save();
    await expectOk(vault.open(open, aManifest(first)));
    expect(await vault.restoreTo({ ...asked(2), saveId: open.saveId }, generation(1))).toMatchObject(
      refused("save_failed"),
    );
    expect(await vault.restoreTo(asked(2), generation(7))).toMatchObject(refused("not_found"));
    expect(await vault.restoreTo(asked(0), generation(1))).toMatchObject(refused("stale_epoch"));
    const unused = new Container(unique("tenant"));
    expect(await unused.vault.restoreTo(asked(2), generation(1))).toMatchObject(refused("not_found"));
    expect((await vault.describe()).head).toMatchObject({ generation: 2 });
  });

  it("works for a quarantined and for a detached generation", async () => {
    const container = await twoGenerations();
    const { vault } = container;
    expect(await container.saveAll([{ path: "q", content: "q" }])).toMatchObject(refused("guard_blocked"));
    expect(await vault.restoreTo(asked(1), generation(3))).toMatchObject({
      ok: true,
      value: { generation: 4, files: 1 },
    });
    // The container that is still bound began from 2: its next save conflicts, and is kept beside.
    expect(await container.saveAll(first)).toMatchObject(refused("conflict"));
    expect(await vault.restoreTo(asked(2), generation(5))).toMatchObject({
      ok: true,
      value: { generation: 6, files: 2, bytes: 6 },
    });
    expect((await vault.describe()).generations.map(({ status }) => status)).toEqual([
      "kept",
      "kept",
      "quarantined",
      "kept",
      "detached",
      "head",
    ]);
  });

  it("under a higher epoch ends a save under way, and shuts its container out", async () => {
    const container = await twoGenerations();
    const save = container.save();
    await expectOk(container.vault.open(save, aManifest(second)));
    await container.putBundle(aTar(second));
    await expectOk(container.vault.restoreTo(asked(2), generation(1)));
    expect((await put(container, "late", "late")).status).toBe(403);
    expect(await container.vault.commit(save, { force: true })).toMatchObject(refused("stale_epoch"));
  });
});

describe("a pinned generation", () => {
  it("is shown as pinned and survives any number of later saves, until it is unpinned", async () => {
    const container = await twoGenerations();
    const { vault } = container;
    expect(await vault.pin(generation(1), { pinned: true })).toEqual({ ok: true, value: null });
    expect(await vault.pin(generation(1), { pinned: true })).toEqual({ ok: true, value: null });
    for (let i = 0; i < 12; i++)
      await expectOk(container.saveAll([...second, { path: "n", content: `${i}`, mtimeNs: `${1000 + i}000000000` }]));
    const kept = async () => {
      await runDurableObjectAlarm(env.VAULT.getByName(container.tenantId));
      return (await vault.describe()).generations;
    };
    expect(await kept()).toMatchObject([
      { generation: 1, pinned: true, files: 2 },
      { generation: 5, pinned: false },
      {},
      {},
      {},
      {},
      {},
      {},
      {},
      {},
      {},
    ]);
    expect((await expectOk(vault.readFile("a", generation(1)))).found?.body).toEqual(new TextEncoder().encode("one"));
    await expectOk(vault.pin(generation(1), { pinned: false }));
    expect((await kept())[0]).toMatchObject({ generation: 5 });
  });

  it("has to exist", async () => {
    const { vault } = await twoGenerations();
    expect(await vault.pin(generation(9), { pinned: true })).toMatchObject(refused("not_found"));
    expect(await new Container(unique("tenant")).vault.pin(generation(1), { pinned: true })).toMatchObject(
      refused("not_found"),
    );
  });
});

describe("the difference of two generations", () => {
  it("says what changed, in either direction, beside the history too, and page by page", async () => {
    const container = await twoGenerations();
    const { vault } = container;
    await container.saveAll([{ path: "b", content: "bbb", mode: 0o600 }]);
    const page = { after: null, limit: 10 };
    expect(await expectOk(vault.diff(generation(1), generation(2), page))).toEqual({
      entries: [
        { path: "a", kind: "file", change: "content", before: 3, after: 6 },
        { path: "c", kind: "file", change: "added", before: null, after: 1 },
      ],
      next: null,
    });
    const back = await expectOk(vault.diff(generation(2), generation(1), { after: null, limit: 1 }));
    expect(back.entries).toEqual([{ path: "a", kind: "file", change: "content", before: 6, after: 3 }]);
    expect(await expectOk(vault.diff(generation(2), generation(1), { after: back.next, limit: 1 }))).toEqual({
      entries: [{ path: "c", kind: "file", change: "removed", before: 1, after: null }],
      next: null,
    });
    expect((await expectOk(vault.diff(generation(2), generation(3), page))).entries).toEqual([
      { path: "a", kind: "file", change: "removed", before: 6, after: null },
      { path: "b", kind: "file", change: "attributes", before: 3, after: 3 },
      { path: "c", kind: "file", change: "removed", before: 1, after: null },
    ]);
    expect(await vault.diff(generation(1), generation(8), page)).toMatchObject(refused("not_found"));
    expect(await vault.diff(generation(8), generation(1), page)).toMatchObject(refused("not_found"));
  });
});
