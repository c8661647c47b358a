import { messageOf } from "../durable/deadline.ts";
import { sweepDue } from "./due.ts";
import { sweepLeases } from "./leases.ts";
import { sweepPools } from "./pools.ts";
import { sweepPrefixes } from "./prefixes.ts";
import { sweepDomains, sweepKeys, sweepRows } from "./registered.ts";
import { KINDS, type Kind, nothingFound, type Part, type Sweep } from "./types.ts";
import { sweepVaults } from "./vaults.ts";

/** Where a sweep is. */
export interface Place {
  of: Kind;
  after: string;
}

export type Swept = Omit<Part, "after"> & { next: Place | null };

const PARTS: { readonly [K in Kind]: (sweep: Sweep, after: string) => Promise<Part> } = {
  due: sweepDue,
  pools: sweepPools,
  leases: sweepLeases,
  vaults: sweepVaults,
  prefixes: sweepPrefixes,
  domains: sweepDomains,
  keys: sweepKeys,
  rows: sweepRows,
};

/** The next page of what is asked for. A part that cannot go on is named, and the next one is begun. */
export async function sweepPage(sweep: Sweep, { of, after }: Place, what: readonly Kind[] = KINDS): Promise<Swept> {
  const failed = (error: unknown) => ({ ...nothingFound(), failed: [{ id: of, detail: messageOf(error) }] });
  const { after: next, ...part } = await PARTS[of](sweep, after).catch(failed);
  return { ...part, next: next === null ? following(of, what) : { of, after: next } };
}

export const first = (what: readonly Kind[] = KINDS): Place => ({
  of: KINDS.find((kind) => what.includes(kind)) ?? KINDS[0],
  after: "",
});

function following(kind: Kind, what: readonly Kind[]): Place | null {
  const of = KINDS.slice(KINDS.indexOf(kind) + 1).find((one) => what.includes(one));
  return of === undefined ? null : { of, after: "" };
}

export const isPlace = (value: unknown): value is Place =>
  typeof value === "object" &&
  value !== null &&
  "of" in value &&
  KINDS.some((kind) => kind === value.of) &&
  "after" in value &&
  typeof value.after === "string";
