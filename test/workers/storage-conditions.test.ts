import { describe, expect, it } from "vitest";
import { type Container, errorOf, keysOf, md5, put, r2Keys, random, saving } from "./vault-kit.ts";

const FAILED = [412, "PreconditionFailed"];
const text = async (container: Container, key: string) => (await container.fetch(`/state/${key}`)).text();

describe("a conditional write", () => {
  it("replaces nothing that it was told to spare, and only what it was told to replace", async () => {
    const container = await saving();
    const [one, two] = ["one", "two"];
    expect((await put(container, "x", one, { "if-none-match": "*" })).status).toBe(200);
    expect(await errorOf(await put(container, "x", two, { "if-none-match": "*" }))).toEqual(FAILED);
    expect(await errorOf(await put(container, "x", two, { "if-match": `"${md5(two)}"` }))).toEqual(FAILED);
    expect(await errorOf(await put(container, "none", two, { "if-match": `"${md5(two)}"` }))).toEqual([
      404,
      "NoSuchKey",
    ]);
    expect(await text(container, "x")).toBe(one);
    expect((await put(container, "x", two, { "if-match": `"${md5(one)}"` })).status).toBe(200);
    expect((await put(container, "x", one, { "if-match": "*" })).status).toBe(200);
    expect([await text(container, "x"), await keysOf(container)]).toEqual([one, ["x"]]);
  });

  it("of a large object is refused before its bytes are stored", async () => {
    const container = await saving();
    const body = random(100_000);
    await put(container, "x", body);
    expect(await errorOf(await put(container, "x", random(100_000), { "if-none-match": "*" }))).toEqual(FAILED);
    expect(Buffer.from(await (await container.fetch("/state/x")).bytes()).equals(body)).toBe(true);
    expect(await r2Keys(container)).toHaveLength(1);
  });

  it("is decided once among many at the same time", async () => {
    const container = await saving();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => put(container, "x", `writer ${i}`, { "if-none-match": "*" })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, ...Array(19).fill(412)]);
    const winner = answers.findIndex((answer) => answer.status === 200);
    expect(await text(container, "x")).toBe(`writer ${winner}`);
  });

  it("removes only what it names", async () => {
    const container = await saving();
    await put(container, "x", "x");
    const remove = (headers: Record<string, string>, key = "x") =>
      container.fetch(`/state/${key}`, { method: "DELETE", headers });
    expect(await errorOf(await remove({ "if-match": '"other"' }))).toEqual(FAILED);
    expect(await errorOf(await remove({ "if-match": "*" }, "none"))).toEqual([404, "NoSuchKey"]);
    expect(await keysOf(container)).toEqual(["x"]);
    expect((await remove({ "if-match": `"${md5("x")}"` })).status).toBe(204);
    expect(await keysOf(container)).toEqual([]);
  });

  it("that S3 does not know is refused, not done without its condition", async () => {
    const container = await saving();
    await put(container, "x", "x");
    const unknown: Record<string, string>[] = [
      { "if-none-match": `"${md5("x")}"` },
      { "if-none-match": "*", "if-match": "*" },
      { "if-modified-since": "Thu, 01 Jan 2026 00:00:00 GMT" },
      { "if-unmodified-since": "Thu, 01 Jan 2026 00:00:00 GMT" },
    ];
    for (const headers of unknown) {
      expect(await errorOf(await put(container, "x", "y", headers)), JSON.stringify(headers)).toEqual([
        501,
        "NotImplemented",
      ]);
    }
    const remove = await container.fetch("/state/x", { method: "DELETE", headers: { "if-none-match": "*" } });
    expect(await errorOf(remove)).toEqual([501, "NotImplemented"]);
    expect(await text(container, "x")).toBe("x");
  });
});
