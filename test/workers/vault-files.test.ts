import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { generation } from "../../src/ids.ts";
import type { PageCursor } from "../../src/vault/storage.ts";
import type { FilePage, Looked } from "../../src/vault/types.ts";
import { aContainer, bytesOf, Container, expectOk, MTIME, type Node, random, unique } from "./vault-kit.ts";

const sha = (content: Uint8Array | string) => createHash("sha256").update(content).digest("hex");
const big = random(100_000);
const tree: Node[] = [
  { path: "dir", kind: "directory", mode: 0o700 },
  { path: "dir/deep", kind: "directory" },
  { path: "dir/deep/x", content: "deep" },
  { path: "dir/big", content: big },
  { path: "dir/note.txt", content: "note", mode: 0o600, uid: 7, gid: 8 },
  { path: "dir-beside", content: "beside" },
  { path: "empty", content: "" },
  { path: "hollow", kind: "directory" },
  { path: "link", kind: "symlink", target: "dir/note.txt" },
  { path: "ünï\u{1F600}", content: "u" },
];

async function saved(): Promise<Container> {
  const container = await aContainer();
  await expectOk(container.saveAll(tree));
  return container;
}

describe("looking into a generation without a container", () => {
  it("says what a path is, and gives its content or the R2 key where it is", async () => {
    const { vault } = await saved();
    const looked = await expectOk(vault.readFile("dir/note.txt", null));
    expect(looked).toEqual({
      generation: 1,
      at: expect.any(Number),
      found: {
        info: {
          path: "dir/note.txt",
          kind: "file",
          size: 4,
          mode: 0o600,
          uid: 7,
          gid: 8,
          mtimeNs: MTIME,
          target: "",
          sha256: sha("note"),
          partSize: null,
        },
        body: new TextEncoder().encode("note"),
        object: null,
      },
    });
    expect((await expectOk(vault.stat("dir/note.txt", null))).found).toEqual(looked.found?.info);
    const large = (await expectOk(vault.readFile("dir/big", generation(1)))).found;
    expect(large).toMatchObject({ info: { size: 100_000, sha256: sha(big) }, body: null });
    const object = await env.BUCKET.get(large?.object ?? "");
    expect(new Uint8Array((await object?.arrayBuffer()) ?? [])).toEqual(big);
    expect((await expectOk(vault.readFile("empty", null))).found?.body).toEqual(new Uint8Array(0));
    expect((await expectOk(vault.readFile("ünï\u{1F600}", null))).found?.body).toEqual(
      bytesOf({ path: "", content: "u" }),
    );
    expect((await expectOk(vault.readFile("link", null))).found).toMatchObject({
      info: { kind: "symlink", target: "dir/note.txt", sha256: null },
      body: null,
      object: null,
    });
    expect((await expectOk(vault.stat("dir", null))).found).toMatchObject({ kind: "directory", mode: 0o700 });
    expect((await expectOk(vault.stat("", null))).found).toMatchObject({ kind: "directory", mode: 0o750 });
    for (const path of ["nothing", "dir/", "link.rclonelink", "dir/note.txt/x", "hollo", "/dir"])
      expect((await expectOk(vault.stat(path, null))).found, path).toBeNull();
  });

  it("sees each generation as it was, also one beside the history", async () => {
    const container = await saved();
    await expectOk(container.saveAll([...tree.slice(0, 9), { path: "link2", content: "now a file" }]));
    await container.saveAll([{ path: "dir", content: "a file by now" }]);
    const kindOf = async (path: string, of: number) =>
      (await expectOk(container.vault.stat(path, generation(of)))).found?.kind ?? null;
    expect(await Promise.all([1, 2, 3].map((of) => kindOf("dir", of)))).toEqual(["directory", "directory", "file"]);
    expect(await Promise.all([1, 2, 3].map((of) => kindOf("link2", of)))).toEqual([null, "file", null]);
    expect((await expectOk(container.vault.readFile("dir", generation(3)))).found?.body).toEqual(
      new TextEncoder().encode("a file by now"),
    );
  });

  it("lists a directory, or all below it, in key order and page by page", async () => {
    const { vault } = await saved();
    const list = async (directory: string, recursive: boolean, limit: number) => {
      const paths: string[] = [];
      for (let after: PageCursor | null = null; ; ) {
        const { found }: Looked<FilePage | null> = await expectOk(
          vault.listFiles(directory, { recursive, after, limit }, null),
        );
        if (found === null) return null;
        expect(found.entries.length).toBeLessThanOrEqual(limit);
        paths.push(...found.entries.map(({ path, kind }) => (kind === "directory" ? `${path}/` : path)));
        if (found.next === null) return paths;
        after = found.next;
      }
    };
    for (const limit of [1, 2, 100]) {
      expect(await list("", false, limit)).toEqual(["dir-beside", "dir/", "empty", "hollow/", "link", "ünï\u{1F600}"]);
      expect(await list("dir", false, limit)).toEqual(["dir/big", "dir/deep/", "dir/note.txt"]);
      expect(await list("dir", true, limit)).toEqual(["dir/big", "dir/deep/", "dir/deep/x", "dir/note.txt"]);
      expect(await list("hollow", true, limit)).toEqual([]);
      expect((await list("", true, limit))?.length).toBe(tree.length);
      expect(await list("empty", false, limit)).toBeNull();
      expect(await list("nowhere", false, limit)).toBeNull();
    }
  });

  it("says so when there is no such generation, or nothing at all, and creates nothing by asking", async () => {
    const { vault } = await saved();
    const missing = { ok: false, failure: { code: "not_found" } };
    expect(await vault.stat("dir", generation(9))).toMatchObject(missing);
    expect(await vault.readFile("dir", generation(9))).toMatchObject(missing);
    expect(await vault.listFiles("", { recursive: false, after: null, limit: 1 }, generation(9))).toMatchObject(
      missing,
    );
    const unused = new Container(unique("tenant")).vault;
    expect(await unused.stat("a", null)).toMatchObject(missing);
    expect(await unused.describe()).toEqual({ epoch: 0, head: null, generations: [] });
    const fenced = await aContainer();
    expect(await fenced.vault.readFile("a", null)).toMatchObject(missing);
  });
});
