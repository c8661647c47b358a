/** How often things are measured. The contract asks for 50, and 30 of claims. */
export interface Counts {
  readonly claims: number;
  readonly releases: number;
  readonly requests: number;
  /** Rounds of a refill by five. */
  readonly refills: number;
  /** Claims of the control plane: one after the other, and by 32 callers on each of 16 pools. */
  readonly alone: number;
  readonly perPool: number;
  /** Runs of what we are compared with, where it takes seconds. */
  readonly compared: number;
  readonly memory: number;
  /** Lives of a tenant with 2,000 files, near and far, and of one with objects of 1 GiB. */
  readonly large: number;
  readonly objects: number;
  /** Runs of plain rclone with 2,000 files. */
  readonly comparedLarge: number;
  /** Rounds of every caller of the API, and requests of every list. */
  readonly rounds: number;
  readonly lists: number;
  /** Claims at once, and warm slots that they find. */
  readonly burst: { readonly claims: number; readonly warm: number };
  /** Hours of an idle tenant. */
  readonly hours: number;
  /** Rounds of a pool with 1,000 slots of which none, some or all changed. */
  readonly pools: { readonly quiet: number; readonly changed: number };
  /** Containers that exit, and that hang. */
  readonly exits: number;
  readonly hangs: number;
}

export const FULL: Counts = {
  claims: 30,
  releases: 50,
  requests: 300,
  refills: 10,
  alone: 60,
  perPool: 50,
  compared: 5,
  memory: 5,
  large: 10,
  objects: 2,
  comparedLarge: 3,
  rounds: 50,
  lists: 100,
  burst: { claims: 1_000, warm: 300 },
  hours: 24,
  pools: { quiet: 20, changed: 5 },
  exits: 5,
  hangs: 3,
};

export const QUICK: Counts = {
  claims: 5,
  releases: 5,
  requests: 50,
  refills: 2,
  alone: 20,
  perPool: 10,
  compared: 2,
  memory: 1,
  large: 2,
  objects: 1,
  comparedLarge: 1,
  rounds: 5,
  lists: 10,
  burst: { claims: 200, warm: 60 },
  hours: 6,
  pools: { quiet: 5, changed: 1 },
  exits: 1,
  hangs: 1,
};
