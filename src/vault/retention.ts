/** What a policy needs to know of a generation. */
export interface Kept {
  generation: number;
  status: "kept" | "quarantined" | "detached";
  /** Of the whole tree; equal for generations in which nothing changed. */
  treeHash: string;
  /** When it was committed, in ms since 1970. */
  at: number;
  pinned: boolean;
}

/** How many generations of the history are kept, and of what was kept beside it. */
export const KEEP = 10;
const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/**
 * The generations that stay: those pinned or `needed` (the head, what the bound container began from, what is being read), and
 * - of the history the last ten, the last ten that differ from the one before them (so that ten saves of an unchanged tree do not
 *   push out everything older), the newest of each hour for a day, and the newest of each day for a week;
 * - of what was kept beside it the last ten.
 */
export function retained(generations: readonly Kept[], needed: readonly number[], now: number): Set<number> {
  const newestFirst = [...generations].sort((a, b) => b.generation - a.generation);
  const history = newestFirst.filter((one) => one.status === "kept");
  const beside = newestFirst.filter((one) => one.status !== "kept");
  const differing = history.filter((one, i) => history[i + 1]?.treeHash !== one.treeHash);
  return new Set(
    [
      ...generations.filter((one) => one.pinned || needed.includes(one.generation)),
      ...history.slice(0, KEEP),
      ...differing.slice(0, KEEP),
      ...newestOfEach(history, HOUR_MS, now - DAY_MS),
      ...newestOfEach(history, DAY_MS, now - 7 * DAY_MS),
      ...beside.slice(0, KEEP),
    ].map((one) => one.generation),
  );
}

/** Of those since `since`, the first of every span of `ms`; in UTC, so that what stays does not depend on when it is asked. */
function newestOfEach(newestFirst: readonly Kept[], ms: number, since: number): Kept[] {
  const spans = new Set<number>();
  return newestFirst.filter((one) => {
    const span = Math.floor(one.at / ms);
    if (one.at < since || spans.has(span)) return false;
    spans.add(span);
    return true;
  });
}

/** Whether an entry that is valid in [from, to) belongs to one of the generations that stay. */
export const needed = (from: number, to: number, stay: Iterable<number>): boolean => {
  for (const generation of stay) if (from <= generation && generation < to) return true;
  return false;
};
