import type { RuleName } from "../audit/violation.ts";
import { drawHistory, type History } from "../history/draw.ts";
import { playHistory, type SeedResult } from "../play/seed.ts";
import { minimal, simplified } from "./minimal.ts";
import { simpler } from "./simpler.ts";

/** A history of which nothing can be left out any more, as far as that was tried. */
export interface Shrunk {
  history: History;
  rule: RuleName;
  result: SeedResult;
  /** How many histories were played for it. */
  played: number;
}

/** The fewest steps of a failing seed that break the same rule; null when it breaks none. `most`: how many histories may be played. */
export async function shrunk(seed: number, steps: number, most = 400): Promise<Shrunk | null> {
  const whole = drawHistory(seed, steps);
  let played = 1;
  let result = await playHistory(whole);
  const rule = result.violations[0]?.rule;
  if (rule === undefined) return null;
  const fails = async (part: History["steps"]): Promise<boolean> => {
    played += 1;
    const outcome = await playHistory({ ...whole, steps: part });
    const isSame = outcome.violations.some((one) => one.rule === rule);
    if (isSame) result = outcome;
    return isSame;
  };
  // What came after the violation had no part in it.
  const few = await minimal(whole.steps.slice(0, result.steps), fails, most);
  const simple = await simplified(few, simpler, fails, most / 4);
  return { history: { ...whole, steps: simple }, rule, result, played };
}
