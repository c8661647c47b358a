import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { ByteSource } from "../../src/gateway/storage/source.ts";
import type { TarEntry } from "../../src/gateway/storage/tar/header.ts";
import { readTar } from "../../src/gateway/storage/tar/read.ts";
import { aContainer, aManifest, aTar, bytesOf, expectOk, MTIME, type Node, random } from "./vault-kit.ts";

async function unpack(response: Response): Promise<Map<string, TarEntry & { content: Uint8Array }>> {
  const out = new Map<string, TarEntry & { content: Uint8Array }>();
  let bytes: Uint8Array | null = await response.bytes();
  const source = new ByteSource(async () => {
    const all = bytes;
    bytes = null;
    return all;
  });
  await readTar(source, async (entry, content) => {
    out.set(entry.path, { ...entry, content: (await content.take(entry.size)).slice() });
  });
  return out;
}

const tree: Node[] = [
  { path: "a.txt", content: "hello", mode: 0o640, uid: 1000, gid: 1001 },
  { path: "empty", kind: "directory", mode: 0o700 },
  { path: "dir", kind: "directory" },
  { path: "dir/ünï 漢字.txt", content: "utf-8" },
  { path: `dir/${"long".repeat(60)}`, content: "long name" },
  { path: "link", kind: "symlink", target: "dir/ünï 漢字.txt" },
  { path: "nothing", content: "" },
  { path: "large.bin", content: random(300_000) },
];

describe("bundles", () => {
  it("restores the same bytes, modes, owners, nanoseconds, symlinks and empty directories", async () => {
    const container = await aContainer();
    const saved = await expectOk(container.saveAll(tree));
    expect(saved).toMatchObject({ generation: 1, files: 6, changed: 6 });
    const response = await container.fetch("/.bundle/1.tar");
    expect(response.status).toBe(200);
    const restored = await unpack(response);
    for (const entry of aManifest(tree)) {
      const got = restored.get(entry.path === "" ? "tree" : `tree/${entry.path}`);
      expect(got, entry.path).toMatchObject({
        kind: entry.kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtimeNs: MTIME,
        target: entry.target ?? "",
      });
      const node = tree.find((one) => one.path === entry.path);
      if (node && entry.kind === "file")
        expect(Buffer.from(got?.content ?? []).equals(bytesOf(node)), entry.path).toBe(true);
    }
    expect([...restored.keys()].slice(-2)).toEqual(["sums", "parts"]);
    const sums = new TextDecoder().decode(restored.get("sums")?.content).trimEnd().split("\n");
    expect(sums).toContain("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  a.txt");
    expect(sums).toHaveLength(5);
  });

  it("gives small and large files the entity tags that S3 clients compare, the MD5 of their content", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    for (const path of ["a.txt", "nothing", "large.bin"]) {
      const node = tree.find((one) => one.path === path) as Node;
      const { headers } = await container.fetch(`/state/${path}`, { method: "HEAD" });
      expect(headers.get("etag"), path).toBe(`"${createHash("md5").update(bytesOf(node)).digest("hex")}"`);
    }
  });
});

describe("a tar that no honest container sends", () => {
  const hostile: [string, Node[]][] = [
    ["leaves the directory", [{ path: "../../etc/passwd", content: "x" }]],
    [
      "names a path twice",
      [
        { path: "a", content: "x" },
        { path: "./a", content: "y" },
      ],
    ],
  ];
  it.each(hostile)("is refused when it %s, and nothing of it is visible", async (_, nodes) => {
    const container = await aContainer();
    const save = container.save();
    await expectOk(container.vault.open(save, aManifest(nodes)));
    const response = await container.putBundle(aTar(nodes));
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining("InvalidRequest")]);
    expect(await container.vault.commit(save, { force: true })).toMatchObject({
      ok: false,
      failure: { code: "save_failed" },
    });
    expect((await container.vault.describe()).generations).toEqual([]);
  });

  it("is refused when it is no tar at all, or breaks off inside a large file", async () => {
    const container = await aContainer();
    const nodes: Node[] = [{ path: "large", content: random(400_000) }];
    await expectOk(container.vault.open(container.save(), aManifest(nodes)));
    expect((await container.putBundle(random(5000))).status).toBe(400);
    const cut = await container.putBundle(aTar(nodes).subarray(0, 200_000));
    expect([cut.status, await cut.text()]).toEqual([400, expect.stringContaining("IncompleteBody")]);
    expect((await env.BUCKET.list({ prefix: `tenants/${container.tenantId}/` })).objects).toEqual([]);
  });
});

it("many large files and many small ones arrive whole in one tar", async () => {
  const container = await aContainer();
  const nodes: Node[] = Array.from({ length: 260 }, (_, i) => ({
    path: `d/${i}`,
    content: random(i % 10 === 0 ? 100_000 : 20_000),
  }));
  expect(await container.saveAll(nodes)).toMatchObject({ ok: true, value: { files: 260 } });
  const restored = await unpack(await container.fetch("/.bundle/1.tar"));
  for (const node of nodes)
    expect(Buffer.from(restored.get(`tree/${node.path}`)?.content ?? []).equals(bytesOf(node)), node.path).toBe(true);
});
