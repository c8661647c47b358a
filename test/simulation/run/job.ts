import type { Census } from "../census/kinds.ts";

/** What one process asks of another: to play one seed. */
export interface Job {
  seed: number;
  steps: number;
  /** What happened in it is counted. */
  census: boolean;
}

/** How a seed ended; `violations` is empty when every promise was kept. */
export interface Verdict {
  seed: number;
  /** Of the trace: the same seed and steps give the same. */
  hash: string;
  events: number;
  /** Real time. */
  ms: number;
  violations: string[];
  /** Where that was asked for. */
  census?: Census;
  /** Why the simulation itself failed, which says nothing of the code that it plays. */
  broken?: string;
}
