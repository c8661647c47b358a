import { describe, expect, test } from "vitest";
import { Kept } from "../../src/registry/kept.ts";

/** Looks that end when the test says so. */
function looks() {
  const open: { resolve(value: string | null): void; reject(error: Error): void }[] = [];
  const look = () => new Promise<string | null>((resolve, reject) => open.push({ resolve, reject }));
  return { open, look };
}

const found = (value: string | null) => async () => value;
const fails = async (): Promise<string> => {
  throw new Error("no answer");
};

describe("what an isolate remembers of the registry", () => {
  const fresh = () => new Kept<string>({ freshMs: 100, besideMs: 1_000, failingMs: 5_000, most: 3 });

  test("nobody waits for a look of somebody else", async () => {
    const kept = fresh();
    const { open, look } = looks();
    const first = kept.get("a", 0, look);
    const second = kept.get("a", 0, look);
    expect(open).toHaveLength(2);
    open[1]?.resolve("seen");
    expect(await second).toBe("seen"); // though the first has no answer yet
    open[0]?.resolve("seen too");
    expect(await first).toBe("seen too");
  });

  test("is taken from memory while it is fresh", async () => {
    const kept = fresh();
    await kept.get("a", 0, found("old"));
    expect(await kept.get("a", 100, fails)).toBe("old");
  });

  test("is looked at again by one caller beside its work, and taken from memory by all meanwhile", async () => {
    const kept = fresh();
    await kept.get("a", 0, found("old"));
    const { open, look } = looks();
    const beside: Promise<unknown>[] = [];
    for (const now of [101, 101, 150]) {
      expect(await kept.get("a", now, look, (work) => beside.push(work))).toBe("old");
    }
    expect(open).toHaveLength(1);
    open[0]?.resolve("new");
    await Promise.all(beside);
    expect(await kept.get("a", 160, fails)).toBe("new");
  });

  test("that a look beside failed is looked at again", async () => {
    const kept = fresh();
    await kept.get("a", 0, found("old"));
    expect(await kept.get("a", 101, fails)).toBe("old");
    const beside: Promise<unknown>[] = [];
    await kept.get("a", 202, found("new"), (work) => beside.push(work));
    await Promise.all(beside);
    expect(await kept.get("a", 203, fails)).toBe("new");
  });

  test("is waited for when it is old, and stands in for a look that fails", async () => {
    const kept = fresh();
    await kept.get("a", 0, found("old"));
    expect(await kept.get("a", 1_001, fails)).toBe("old");
    const { open, look } = looks();
    expect(await kept.get("a", 1_101, look)).toBe("old"); // one that failed is not waited for again at once
    expect(open).toHaveLength(0);
    expect(await kept.get("a", 1_102, found("new"))).toBe("new");
  });

  test("is not believed for ever", async () => {
    const kept = fresh();
    await kept.get("a", 0, found("old"));
    await expect(kept.get("a", 5_001, fails)).rejects.toThrow("no answer");
  });

  test("is not brought back by a look that began before it was forgotten", async () => {
    const kept = fresh();
    const { open, look } = looks();
    const before = kept.get("a", 0, look);
    kept.forget("a");
    open[0]?.resolve("old");
    expect(await before).toBe("old");
    expect(await kept.get("a", 0, found("new"))).toBe("new");
  });

  test("is forgotten where it says so", async () => {
    const kept = fresh();
    await kept.get("a", 0, found("x"));
    await kept.get("b", 0, found("y"));
    kept.forgetAll((value) => value === "x");
    expect(await kept.get("a", 0, found("new"))).toBe("new");
    expect(await kept.get("b", 0, found("new"))).toBe("y");
  });

  test("never remembers that something is not there", async () => {
    const kept = fresh();
    expect(await kept.get("a", 0, found(null))).toBeNull();
    expect(await kept.get("a", 0, found("there"))).toBe("there");
    await kept.get("a", 1_001, found(null));
    await expect(kept.get("a", 1_001, fails)).rejects.toThrow();
  });

  test("never holds more than it may", async () => {
    const kept = fresh();
    for (const key of ["a", "b", "c", "d"]) await kept.get(key, 0, found(key));
    expect(await kept.get("d", 0, fails)).toBe("d");
    await expect(kept.get("a", 0, fails)).rejects.toThrow();
  });
});
