/**
 * The smallest part of a list that still fails, as far as removing pieces finds one (delta debugging, Zeller 2002): pieces
 * of half the list, then of a quarter, and so on down to single elements. `fails` must say the same of the same list.
 * `most`: how often it may be asked.
 */
export async function minimal<T>(
  list: readonly T[],
  fails: (part: T[]) => Promise<boolean>,
  most: number,
): Promise<T[]> {
  let left = most;
  const ask = async (part: T[]): Promise<boolean> => {
    left -= 1;
    return fails(part);
  };
  let current = [...list];
  let size = Math.ceil(current.length / 2);
  while (size >= 1 && left > 0) {
    let removed = false;
    for (let at = 0; at < current.length && left > 0; ) {
      const without = [...current.slice(0, at), ...current.slice(at + size)];
      if (await ask(without)) {
        current = without;
        removed = true;
      } else at += size;
    }
    if (size > 1) size = Math.ceil(size / 2);
    else if (!removed) break;
  }
  return current;
}

/** The same list with each element as simple as it may be; `simpler` gives candidates, the simplest first. */
export async function simplified<T>(
  list: readonly T[],
  simpler: (element: T) => T[],
  fails: (list: T[]) => Promise<boolean>,
  most: number,
): Promise<T[]> {
  const current = [...list];
  let left = most;
  for (const [index, element] of list.entries()) {
    for (const candidate of simpler(element)) {
      if (left <= 0) return current;
      left -= 1;
      if (!(await fails(current.with(index, candidate)))) continue;
      current[index] = candidate;
      break;
    }
  }
  return current;
}
