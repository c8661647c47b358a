/** What a policy needs to know of a generation. */
export interface Kept {
  generation: number;
  status: "kept" | "quarantined" | "detached";
  /** Of the whole tree; equal for generations in which nothing changed. */
  treeHash: string;
}

/** How many generations of the history are kept, and of what was kept beside it. */
export const KEEP = 10;

/**
 * The generations that stay. Of the history: the head, what the bound incarnation began from, the last ten, and the last ten that differ from the
 * one before them, so that ten saves of an unchanged tree do not push out everything older. Beside it: the last ten that were kept aside.
 */
export function retained(generations: readonly Kept[], pinned: readonly number[]): Set<number> {
  const stay = new Set<number>();
  const newestFirst = [...generations].sort((a, b) => b.generation - a.generation);
  const history = newestFirst.filter((one) => one.status === "kept");
  const aside = newestFirst.filter((one) => one.status !== "kept");
  let distinct = 0;
  history.forEach((one, i) => {
    const differs = history[i + 1]?.treeHash !== one.treeHash;
    if (i < KEEP || (differs && distinct < KEEP) || pinned.includes(one.generation)) stay.add(one.generation);
    if (differs) distinct += 1;
  });
  for (const one of aside.slice(0, KEEP)) stay.add(one.generation);
  return stay;
}

/** Whether an entry that is valid in [from, to) belongs to one of the generations that stay. */
export const needed = (from: number, to: number, stay: Iterable<number>): boolean => {
  for (const generation of stay) if (from <= generation && generation < to) return true;
  return false;
};
