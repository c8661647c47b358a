import type { Failure } from "../outcome.ts";
import type { Destruction, TenantRecord } from "./record.ts";

/**
 * What a destruction has to delete. Each part is stored before anything is deleted, and says whether it is confirmed gone;
 * not found is gone. Pure.
 */
export const PARTS = ["container", "specs", "state", "domains", "keys", "pool"] as const;
export type Part = (typeof PARTS)[number];

export interface PartState {
  done: boolean;
  attempts: number;
  lastError?: Failure & { at: number };
}
export type Parts = Partial<Record<Part, PartState>>;

/** As operations show them. */
export interface PartView extends PartState {
  part: Part;
}

/** What only a deletion of the data deletes: what is saved, and that a pool remembers whom it served. */
const OF_DATA: readonly Part[] = ["specs", "state", "pool"];
const NEW: PartState = { done: false, attempts: 0 };

export const newParts = (data: Destruction["data"]): Parts =>
  Object.fromEntries(PARTS.filter((part) => data === "delete" || !OF_DATA.includes(part)).map((part) => [part, NEW]));

/** Of a record that is older than parts are: everything is to be looked at. */
export const partsOf = ({ data, parts }: Destruction): Parts => parts ?? newParts(data);

/** What is not confirmed gone. A container is as long as one is held or retiring, and until its pool says that it has none. */
export function missingParts(record: TenantRecord): Part[] {
  const { destruction } = record;
  if (!destruction) return [];
  const parts = partsOf(destruction);
  return PARTS.filter((part) => parts[part] && !isDone(record, part, parts));
}

const isDone = ({ held, retiring }: TenantRecord, part: Part, parts: Parts): boolean =>
  parts[part]?.done === true && (part !== "container" || (held === null && retiring.length === 0));

/** What became of one; the same destruction for a part that it does not have. */
export function withPart(destruction: Destruction, part: Part, came: Failure | "done", now: number): Destruction {
  const parts = partsOf(destruction);
  const before = parts[part];
  if (!before || before.done) return destruction;
  const { lastError: _, ...rest } = before;
  const after = came === "done" ? { ...rest, done: true } : { ...before, lastError: { ...came, at: now } };
  return { ...destruction, parts: { ...parts, [part]: after } };
}

/** Another attempt at what is left. */
export function attempted(record: TenantRecord, destruction: Destruction): Destruction {
  const parts = { ...partsOf(destruction) };
  for (const part of missingParts({ ...record, destruction })) {
    const before = parts[part] ?? NEW;
    parts[part] = { ...before, attempts: before.attempts + 1 };
  }
  return { ...destruction, parts };
}

/** When what is left of the data is deleted again; null when nothing is left. */
export function erasureDue({ state, destruction }: TenantRecord): number | null {
  if (state !== "destroyed" || !destruction) return null;
  const parts = destruction.parts ?? {};
  const left = destruction.data === "delete" || parts.specs?.done === false || parts.pool?.done === false;
  return left ? (destruction.retryAt ?? 0) : null;
}

export function partViews(record: TenantRecord): PartView[] {
  const { destruction } = record;
  if (!destruction?.parts) return [];
  const { parts } = destruction;
  return PARTS.flatMap((part) => {
    const state = parts[part];
    return state ? [{ part, ...state, done: isDone(record, part, parts) }] : [];
  });
}
