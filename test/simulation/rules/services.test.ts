import { describe, expect, it } from "vitest";
import type { Point, Verdict } from "../world/faults.ts";
import type { World } from "../world/types.ts";
import { aWorld } from "./support.ts";

function faultAt(world: World, at: Point["at"], verdict: Verdict): void {
  world.faults = { verdict: (point) => (point.at === at ? verdict : { do: "ok" }) };
}
const run = <T>(world: World, act: (env: Env) => Promise<T>): Promise<T> => world.finish(world.worker("test", act));
const PART = 5 * 1024 * 1024;

describe("R2", () => {
  it("gives ranges, and refuses one behind the end", async () => {
    const world = await aWorld();
    const read = (offset: number, length: number) =>
      run(world, async ({ BUCKET }) => (await BUCKET.get("k", { range: { offset, length } }))?.text());
    await run(world, ({ BUCKET }) => BUCKET.put("k", "0123456789"));
    expect(await read(2, 3)).toBe("234");
    expect(await read(8, 100)).toBe("89");
    await expect(read(10, 1)).rejects.toThrow("(10039)");
  });

  it("takes a stream only with a known length, and the whole of it", async () => {
    const world = await aWorld();
    const streamed = (length: number, bytes: number) =>
      run(world, async ({ BUCKET }) => {
        const { readable, writable } = new FixedLengthStream(length);
        const stored = BUCKET.put("k", readable);
        const writer = writable.getWriter();
        await Promise.all([writer.write(new Uint8Array(bytes)), writer.close()]).catch(() => {});
        return (await stored)?.size;
      });
    expect(await streamed(5, 5)).toBe(5);
    await expect(streamed(5, 3)).rejects.toThrow("FixedLengthStream");
    const unknown = run(world, ({ BUCKET }) => BUCKET.put("u", new ReadableStream()));
    await expect(unknown).rejects.toThrow("known length");
    expect(world.r2.keys).toEqual(["k"]);
  });

  it("compares a hash that it is given, and a condition", async () => {
    const world = await aWorld();
    const wrong = run(world, ({ BUCKET }) => BUCKET.put("k", "a", { sha256: "00".repeat(32) }));
    await expect(wrong).rejects.toThrow("(10037)");
    await run(world, ({ BUCKET }) => BUCKET.put("k", "a"));
    expect(await run(world, ({ BUCKET }) => BUCKET.put("k", "b", { onlyIf: { etagDoesNotMatch: "*" } }))).toBeNull();
    expect(Buffer.from(world.r2.bytes("k") ?? []).toString()).toBe("a");
  });

  it("puts parts together only when all but the last are of one size, and large enough", async () => {
    const world = await aWorld();
    const assembled = (...sizes: number[]) =>
      run(world, async ({ BUCKET }) => {
        const upload = await BUCKET.createMultipartUpload("k");
        const parts = [];
        for (const [index, size] of sizes.entries())
          parts.push(await upload.uploadPart(index + 1, new Uint8Array(size)));
        return (await upload.complete(parts)).size;
      });
    expect(await assembled(PART, PART, 3)).toBe(2 * PART + 3);
    await expect(assembled(100, 100)).rejects.toThrow("(10011)");
    await expect(assembled(PART, PART + 1, 3)).rejects.toThrow("(10048)");
    const unknown = run(world, ({ BUCKET }) => BUCKET.resumeMultipartUpload("k", "none").abort());
    await expect(unknown).rejects.toThrow("(10024)");
  });

  it("lists page by page", async () => {
    const world = await aWorld();
    const keys = await run(world, async ({ BUCKET }) => {
      for (const key of ["a/1", "a/2", "a/3", "b/1"]) await BUCKET.put(key, key);
      const first = await BUCKET.list({ prefix: "a/", limit: 2 });
      const second = await BUCKET.list({ prefix: "a/", limit: 2, ...(first.truncated && { cursor: first.cursor }) });
      return [...first.objects, ...second.objects].map(({ key }) => key);
    });
    expect(keys).toEqual(["a/1", "a/2", "a/3"]);
  });

  it("lists folders in the place of what is in them", async () => {
    const world = await aWorld();
    const listed = await run(world, async ({ BUCKET }) => {
      for (const key of ["t/a/1", "t/a/2", "t/b/1", "t/c"]) await BUCKET.put(key, key);
      const all = await BUCKET.list({ prefix: "t/", delimiter: "/" });
      const first = await BUCKET.list({ prefix: "t/", delimiter: "/", limit: 1 });
      const next = await BUCKET.list({
        prefix: "t/",
        delimiter: "/",
        ...(first.truncated && { cursor: first.cursor }),
      });
      return [all.delimitedPrefixes, all.objects.map(({ key }) => key), next.delimitedPrefixes];
    });
    expect(listed).toEqual([["t/a/", "t/b/"], ["t/c"], ["t/b/"]]);
  });

  it("a refused put stores nothing, one whose answer is lost does", async () => {
    const world = await aWorld();
    faultAt(world, "r2", { do: "fail" });
    await expect(run(world, ({ BUCKET }) => BUCKET.put("a", "a"))).rejects.toThrow("(10001)");
    faultAt(world, "r2-reply", { do: "fail" });
    await expect(run(world, ({ BUCKET }) => BUCKET.put("b", "b"))).rejects.toThrow("(10001)");
    expect(world.r2.keys).toEqual(["b"]);
  });

  it("a body that breaks off fails in the reader's hands", async () => {
    const world = await aWorld();
    await run(world, ({ BUCKET }) => BUCKET.put("k", "x".repeat(1_000)));
    faultAt(world, "body", { do: "truncate", after: 10 });
    const read = run(world, async ({ BUCKET }) => (await BUCKET.get("k"))?.text());
    await expect(read).rejects.toThrow("Network connection lost.");
  });
});

describe("D1", () => {
  const insert = (db: D1Database, id: string) =>
    db.prepare("INSERT INTO tenant_hosts (label, tenant_id) VALUES (?, ?)").bind(id, id);
  const labels = (world: World) =>
    world.d1.rows<{ label: string }>("SELECT label FROM tenant_hosts").map(({ label }) => label);

  it("a batch happens whole or not at all", async () => {
    const world = await aWorld();
    const failing = run(world, ({ DB }) => DB.batch([insert(DB, "a"), insert(DB, "a")]));
    await expect(failing).rejects.toThrow("D1_ERROR");
    expect(labels(world)).toEqual([]);
    const [answer] = await run(world, ({ DB }) => DB.batch([insert(DB, "a"), insert(DB, "b")]));
    expect(answer).toMatchObject({ success: true, meta: { changes: 1 } });
    expect(labels(world)).toEqual(["a", "b"]);
  });

  it("a refused operation has no effect, one whose answer is lost has", async () => {
    const world = await aWorld();
    faultAt(world, "d1", { do: "fail" });
    await expect(run(world, ({ DB }) => insert(DB, "a").run())).rejects.toThrow("D1_ERROR");
    faultAt(world, "d1-reply", { do: "fail" });
    await expect(run(world, ({ DB }) => insert(DB, "b").run())).rejects.toThrow("D1_ERROR");
    expect(labels(world)).toEqual(["b"]);
  });
});
