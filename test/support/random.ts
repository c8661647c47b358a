/** Random choices that a seed decides (mulberry32), so that a failure can be played again. */
export interface Random {
  /** In [0, 1). */
  (): number;
  /** A whole number in [0, below). */
  int(below: number): number;
  pick<T>(from: readonly T[]): T;
}

export function seeded(seed: number): Random {
  let state = seed;
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const int = (below: number): number => Math.floor(random() * below);
  return Object.assign(random, { int, pick: <T>(from: readonly T[]): T => from[int(from.length)] as T });
}
