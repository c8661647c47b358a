import { env } from "cloudflare:workers";
import { hash } from "node:crypto";
import { expect, it } from "vitest";
import { aContainer, aManifest, Container, expectOk, type Node, put, r2Keys, random, unique } from "./vault-kit.ts";

const big = random(200_000);
const old: Node[] = [
  { path: "a", content: "old" },
  { path: "big", content: random(100_000) },
];
const imported: Node[] = [
  { path: "big", content: big },
  { path: "new", content: "imported" },
  { path: "s", kind: "symlink", target: "new" },
];
const refused = (code: string) => ({ ok: false, failure: { code } });
const contentOf = (content: Uint8Array, object: string | null) => ({
  size: content.length,
  sha256: hash("sha256", content, "hex"),
  partSize: null,
  etag: hash("md5", content, "hex"),
  object,
});

it("an admin imports by the same calls as a container saves, under an epoch of their own", async () => {
  const container = await aContainer();
  await expectOk(container.saveAll(old));
  const admin = new Container(container.tenantId, 2, `import:${unique("operation")}`);
  expect(await admin.fence()).toMatchObject({ ok: true, value: { head: { generation: 1 } } });
  const save = admin.save();
  expect(await expectOk(admin.vault.open(save, aManifest(imported)))).toEqual({ how: "bundle" });
  const { attempt } = await expectOk(admin.vault.beginBundle(admin.actor));
  const { objects } = await expectOk(admin.vault.reserve(admin.actor, 1));
  const object = objects[0] ?? "";
  await env.BUCKET.put(object, big);
  const text = new TextEncoder().encode("imported");
  const common = { mtimeNs: aManifest(imported)[1]?.mtimeNs ?? "", target: "" };
  await expectOk(
    admin.vault.stageBundle(admin.actor, {
      attempt,
      entries: [
        { ...common, path: "big", kind: "file", content: contentOf(big, object) },
        { ...common, path: "new", kind: "file", content: contentOf(text, null) },
        { ...common, path: "s", kind: "symlink", target: "new", content: null },
      ],
      packed: text,
      last: true,
    }),
  );
  expect(await admin.vault.commit(save, { force: false })).toMatchObject({
    ok: true,
    value: { generation: 2, files: 3, bytes: 200_008 },
  });
  expect(await admin.vault.commit(save, { force: false }), "asked again").toMatchObject({ value: { generation: 2 } });
  expect((await expectOk(admin.vault.readFile("new", null))).found?.body).toEqual(text);
  // The container that was there is superseded; the next one begins from what was imported.
  expect(await container.saveAll(old)).toMatchObject(refused("stale_epoch"));
  const next = new Container(container.tenantId, 3);
  expect(await next.fence()).toMatchObject({ value: { head: { generation: 2, files: 3 } } });
});

it("an import into a tenant that never saved is its first generation, and a guard holds for imports as for saves", async () => {
  const admin = new Container(unique("tenant"), 1, "import:first");
  expect(await admin.fence()).toMatchObject({ ok: true, value: { head: null } });
  expect(await admin.saveAll(imported)).toMatchObject({ ok: true, value: { generation: 1 } });
  expect(await admin.saveAll([{ path: "new", content: "imported" }])).toMatchObject(refused("guard_blocked"));
});

it("a file that is moved by its client is stored once: copy and delete change the index only", async () => {
  const container = await aContainer();
  const nodes: Node[] = [
    { path: "from/big", content: big },
    { path: "from/small", content: "small" },
    ...Array.from({ length: 4 }, (_, i) => ({ path: `stay${i}`, content: random(60_000) })),
  ];
  await expectOk(container.saveAll(nodes));
  const before = await r2Keys(container);
  const move = async (from: string, to: string) => {
    const headers = { "x-amz-copy-source": `state/${from}` };
    expect((await container.fetch(`/state/${to}`, { method: "PUT", headers })).status).toBe(200);
    expect((await container.fetch(`/state/${from}`, { method: "DELETE" })).status).toBe(204);
  };
  const save = container.save();
  const moved = nodes.map((node) => ({ ...node, path: node.path.replace("from/", "to/") }));
  await expectOk(container.vault.open(save, aManifest(moved)));
  await move("from/big", "to/big");
  await move("from/small", "to/small");
  expect(await container.vault.commit(save, { force: false })).toMatchObject({
    ok: true,
    value: { files: 6, changed: 4 },
  });
  expect(await r2Keys(container)).toEqual(before);
  expect((await expectOk(container.vault.readFile("to/big", null))).found?.object).toBe(before[0]);
  expect((await expectOk(container.vault.readFile("to/small", null))).found?.body).toEqual(
    new TextEncoder().encode("small"),
  );
  expect((await put(container, "late", "x")).status).toBe(409);
});
