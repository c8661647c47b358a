import { type Group, isKept, PROMISES, type PromiseId, type Unit } from "../promises.ts";
import { median, percentile } from "./statistics.ts";

/** One measured number. With a `promise` its text, unit and limit are the promise's. */
export interface Result {
  readonly group: Group;
  readonly promise: PromiseId | null;
  readonly text: string;
  readonly unit: Unit;
  readonly value: number;
  readonly samples: number;
  /** How far the samples lie apart. */
  readonly spread: { readonly least: number; readonly p90: number; readonly most: number };
  /** The same thing done in another way, in the same run and unit. */
  readonly compared: { readonly with: string; readonly value: number } | null;
  /** Where the time goes, or what else a reader should know. */
  readonly note: string;
}

interface Extra {
  readonly compared?: { readonly with: string; readonly value: number };
  readonly note?: string;
}

/** The median of the samples, unless `value` says otherwise (a p99, a most, a ratio). */
export function promised(id: PromiseId, samples: readonly number[], extra: Extra & { value?: number } = {}): Result {
  const { text, unit, group } = PROMISES[id];
  const value = extra.value ?? median(samples);
  return { ...of(group, text, unit, value, samples, extra), promise: id };
}

/** A number that nobody promised, for orientation. */
export const observed = (
  group: Group,
  text: string,
  unit: Unit,
  samples: readonly number[],
  extra: Extra = {},
): Result => of(group, text, unit, median(samples), samples, extra);

const of = (
  group: Group,
  text: string,
  unit: Unit,
  value: number,
  samples: readonly number[],
  extra: Extra,
): Result => ({
  group,
  promise: null,
  text,
  unit,
  value,
  samples: samples.length,
  spread: { least: Math.min(...samples), p90: percentile(samples, 0.9), most: Math.max(...samples) },
  compared: extra.compared ?? null,
  note: extra.note ?? "",
});

/** What became of a promise: kept, broken, or looked at too seldom to say. */
export type Verdict = "kept" | "broken" | "too few samples";

/** Null for a number that nobody promised. */
export function verdictOf(result: Result): Verdict | null {
  if (!result.promise) return null;
  const promise = PROMISES[result.promise];
  if (!isKept(promise, result.value)) return "broken";
  return result.samples >= promise.samples ? "kept" : "too few samples";
}
