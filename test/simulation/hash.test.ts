import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

const REGISTER = import.meta.resolve("./register.ts");
const SLICE = new URL("./rules/slice.ts", import.meta.url).pathname;

/** The hashes of the traces of some seeds, played one after the other in a process of their own. */
function hashes(...seeds: number[]): Record<string, string> {
  const args = ["--disable-warning=ExperimentalWarning", "--import", REGISTER, SLICE, ...seeds.map(String)];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

describe("a seed", () => {
  it("gives the same trace in every process, whichever seeds were played before it", { timeout: 60_000 }, () => {
    const once = hashes(1, 2, 3);
    const again = hashes(3, 1);
    expect(again).toEqual({ 1: once[1], 3: once[3] });
    expect(new Set(Object.values(once)).size).toBe(3);
  });
});
