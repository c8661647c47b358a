import { median } from "./statistics.ts";

/** Where the time of some answers went: the median of every step that they name. */
export function laps(answers: readonly { readonly timings: Readonly<Record<string, number>> }[]): string {
  const names = new Set(answers.flatMap(({ timings }) => Object.keys(timings)));
  return [...names]
    .map((name) => `${name} ${median(answers.map(({ timings }) => timings[name] ?? 0)).toFixed(0)}`)
    .join(" · ");
}
