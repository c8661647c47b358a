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

  it("measures", async () => {
    const container = await aContainer();
    const nodes: Node[] = Array.from({ length: 1000 }, (_, i) => ({
      path: `d${i % 20}/f${i}`,
      content: random(10_240),
    }));
    const tar = aTar(nodes);
    const save = container.save();
    const t: number[] = [performance.now()];
    await expectOk(container.vault.open(save, aManifest(nodes)));
    t.push(performance.now());
    const sent = await container.putBundle(tar);
    expect(sent.status).toBe(200);
    t.push(performance.now());
    await expectOk(container.vault.commit(save, { force: false }));
    t.push(performance.now());
    const restored = await (await container.fetch("/.bundle/1.tar")).bytes();
    t.push(performance.now());
    console.log(
      "open, bundle, commit, restore",
      t.slice(1).map((x, i) => x - (t[i] ?? 0)),
      restored.length,
    );
  });
});
