import { describe, expect, it } from "vitest";
import { commandFor, playSeeds } from "./run/seeds.ts";

const STEPS = 300;
const SEEDS = 50;
const BLOCKS = [1, 51, 101, 151, 201, 251];

/** What `npm run simulate` plays, so that whatever fails here is seen again by the command that is printed. */
describe(`every promise is kept in ${STEPS} steps of`, () => {
  it.each(BLOCKS)(`${SEEDS} seeds from %i on`, { timeout: 900_000 }, async (first) => {
    const seeds = Array.from({ length: SEEDS }, (_, index) => first + index);
    const verdicts = await playSeeds({ seeds, steps: STEPS });
    const failures = verdicts.flatMap(({ seed, violations, broken }) => {
      const wrong = broken === undefined ? violations : [broken];
      return wrong.length === 0 ? [] : [`${commandFor(seed, STEPS)}\n  ${wrong.join("\n  ")}`];
    });
    expect(failures.join("\n")).toBe("");
    expect(verdicts.map(({ seed }) => seed)).toEqual(seeds);
  });
});
