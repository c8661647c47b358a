import { describe, expect, it } from "vitest";
import { FAULTS, KINDS, type Kind } from "./census/kinds.ts";
import { drawHistory } from "./history/draw.ts";
import { isFault } from "./history/events.ts";
import { commandFor, playSeeds } from "./run/seeds.ts";

const STEPS = 300;
const SEEDS = 50;
const BLOCKS = [51, 101, 151, 201, 251];
const LONG = { timeout: 900_000 };

const seedsFrom = (first: number) => Array.from({ length: SEEDS }, (_, index) => first + index);

type Verdicts = Awaited<ReturnType<typeof playSeeds>>;
function expectKept(verdicts: Verdicts, seeds: number[]): void {
  const failures = verdicts.flatMap(({ seed, violations, broken }) => {
    const wrong = broken === undefined ? violations : [broken];
    return wrong.length === 0 ? [] : [`${commandFor(seed, STEPS)}\n  ${wrong.join("\n  ")}`];
  });
  expect(failures.join("\n")).toBe("");
  expect(verdicts.map(({ seed }) => seed)).toEqual(seeds);
}

const isCalm = (seed: number): boolean =>
  drawHistory(seed, STEPS).steps.every(({ event }) => !isFault(event) && event.do !== "workload");

/** What `npm run simulate` plays, so that whatever fails here is seen again by the command that is printed. */
describe(`every promise is kept in ${STEPS} steps of`, () => {
  it.each(BLOCKS)(`${SEEDS} seeds from %i on`, LONG, async (first) => {
    const seeds = seedsFrom(first);
    expectKept(await playSeeds({ seeds, steps: STEPS }), seeds);
  });

  it(`${SEEDS} seeds from 1 on, in which all happens that can`, LONG, async () => {
    const seeds = seedsFrom(1);
    const verdicts = await playSeeds({ seeds, steps: STEPS, census: true });
    expectKept(verdicts, seeds);
    const without = (kinds: object, among: Verdicts) =>
      (Object.keys(kinds) as Kind[]).filter((kind) => !among.some(({ census }) => (census?.[kind] ?? 0) > 0));
    expect(without(KINDS, verdicts)).toEqual([]);
    // What counts as a fault is none that happens by itself.
    const calm = verdicts.filter(({ seed }) => isCalm(seed));
    expect(calm.length).toBeGreaterThan(0);
    expect(without(FAULTS, calm)).toEqual(Object.keys(FAULTS));
  });
});
