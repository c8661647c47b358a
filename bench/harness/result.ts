import { type Group, isKept, PROMISES, type PromiseId, type Unit } from "../promises.ts";
import { median } from "./statistics.ts";

/** One measured number. With a `promise` its text, unit and limit are the promise's. */
export interface Result {
  readonly group: Group;
  readonly promise: PromiseId | null;
  readonly text: string;
  readonly unit: Unit;
  readonly value: number;
  readonly samples: number;
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
  return { ...of(group, text, unit, value, samples.length, extra), promise: id };
}

/** A number that nobody promised, for orientation. */
export const observed = (
  group: Group,
  text: string,
  unit: Unit,
  samples: readonly number[],
  extra: Extra = {},
): Result => of(group, text, unit, median(samples), samples.length, extra);

const of = (group: Group, text: string, unit: Unit, value: number, samples: number, extra: Extra): Result => ({
  group,
  promise: null,
  text,
  unit,
  value,
  samples,
  compared: extra.compared ?? null,
  note: extra.note ?? "",
});

/** Whether a result keeps its promise: the number is met, by enough samples. */
export function keeps(result: Result): boolean {
  if (!result.promise) return true;
  const promise = PROMISES[result.promise];
  return result.samples >= promise.samples && isKept(promise, result.value);
}
