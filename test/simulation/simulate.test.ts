import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PLANTED, type Planted } from "./planted.ts";
import { optionsOf } from "./run/options.ts";
import { commandFor, playSeeds } from "./run/seeds.ts";

describe("npm run simulate", () => {
  it("takes whole numbers, and a trace of one seed only", () => {
    expect(optionsOf(["--seed", "7", "--seeds", "2", "--steps", "10"])).toEqual({
      seed: 7,
      seeds: 2,
      steps: 10,
      workers: undefined,
      trace: false,
      shrink: false,
    });
    expect(optionsOf(["--help"])).toBe("help");
    for (const wrong of [
      ["--seed", "-1"],
      ["--seeds", "0"],
      ["--steps", "many"],
      ["--trace"],
      ["--shrink"],
      ["--sed", "1"],
    ]) {
      expect(() => optionsOf(wrong), wrong.join(" ")).toThrow();
    }
  });

  it("plays each seed once, in processes of their own, and its command names it", async () => {
    const verdicts = await playSeeds({ seeds: [3, 1, 2], steps: 3, workers: 2 });
    expect(verdicts.map(({ seed }) => seed)).toEqual([1, 2, 3]);
    expect(new Set(verdicts.map(({ hash }) => hash)).size).toBe(3);
    expect(commandFor(3, 20)).toBe("npm run simulate -- --seed 3 --seeds 1 --steps 20 --trace");
  }, 60_000);

  it("a planted bug that fits nowhere lets nothing begin; it is not taken for one that was found", async () => {
    const bugs: Planted[] = [{ file: "src/ids.ts", text: "this is nowhere", replacement: "" }];
    const file = join(mkdtempSync(join(tmpdir(), "planted-")), "bugs.json");
    writeFileSync(file, JSON.stringify(bugs));
    const played = playSeeds({ seeds: [1, 2, 3], steps: 1, workers: 1, env: { [PLANTED]: file } });
    await expect(played).rejects.toThrow("fits 0 times");
  }, 60_000);

  it("a seed that takes too long has failed, and its process ends", async () => {
    const [verdict] = await playSeeds({ seeds: [1], steps: 100_000, workers: 1, timeoutMs: 1_500 });
    expect(verdict?.violations).toEqual(["took longer than 1500 ms"]);
  }, 60_000);
});
