import { inTurns } from "../admin/pages.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { type Finding, type Kind, nothingFound, type Part, type Sweep } from "./types.ts";

/** What is thought of one thing that was looked at. Null: it is as it should be. */
export type Verdict =
  /** Every check says that it is nobody's. */
  | { orphan: string }
  /** It looks like one, and something speaks against it. */
  | { orphan: string; but: string }
  | null;

/** At most so many requests go into looking at one thing, and into setting it right. */
const LOOKED = 5;
const MENDED = 10;
/** How long anything that is asked may take. */
const ASK_MS = 15_000;

/**
 * Looks at each thing by itself, and sets right what is wrong: `judge` asks whoever should know, `mend` does it and says
 * whether it is done. What does not answer is left as it is, and named.
 */
export async function examine<T>(
  sweep: Sweep,
  kind: Kind,
  things: readonly { id: string; thing: T }[],
  judge: (thing: T) => Promise<Verdict>,
  mend: (thing: T) => Promise<boolean>,
): Promise<Part> {
  const part = nothingFound();
  await inTurns(things, async ({ id, thing }) => {
    part.checked += 1;
    part.calls += LOOKED;
    try {
      const verdict = await within(ASK_MS, `the check of ${id}`, judge(thing));
      if (!verdict) return;
      const finding: Finding = { kind, id, detail: verdict.orphan };
      part.found.push(finding);
      if ("but" in verdict) part.skipped.push({ ...finding, reason: verdict.but });
      else if (sweep.mode === "mend") {
        part.calls += MENDED;
        if (await within(ASK_MS, `the removal of ${id}`, mend(thing))) part.removed.push(finding);
        else part.skipped.push({ ...finding, reason: "it could not be removed; the next sweep tries again" });
      }
    } catch (error) {
      part.failed.push({ id, detail: messageOf(error) });
    }
  });
  return part;
}
