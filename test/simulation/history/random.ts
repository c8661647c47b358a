import type { Random } from "../../support/random.ts";

/** A choice among weighted things; a weight of 0 is never chosen. */
export type Weights<T extends string> = Readonly<Record<T, number>>;

export function weighted<T extends string>(random: Random, weights: Weights<T>): T {
  const entries = Object.entries(weights) as [T, number][];
  let left = random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [name, weight] of entries) {
    left -= weight;
    if (left < 0) return name;
  }
  throw new Error("nothing has a weight");
}

/**
 * Some of the weights at zero, some at three times as much: one history in which everything happens a little misses what
 * needs much of one thing. At least one is left.
 */
export function swarmed<T extends string>(random: Random, weights: Weights<T>): Weights<T> {
  const entries = (Object.entries(weights) as [T, number][]).map(([name, weight]) => [
    name,
    weight * random.pick([0, 0.5, 1, 1, 1, 1, 3]),
  ]);
  const changed = Object.fromEntries(entries) as Record<T, number>;
  return Object.values<number>(changed).some((weight) => weight > 0) ? changed : weights;
}

/** Between `least` and `most`, each order of magnitude as likely as any other. */
export const logarithmic = (random: Random, least: number, most: number): number =>
  Math.round(least * (most / least) ** random());
