import { AsyncLocalStorage } from "node:async_hooks";

/**
 * On whose behalf code runs: an object in memory, an invocation of the Worker, a container. Every effect on the platform
 * asks for it; what a dead owner still does reaches nobody, as on the platform.
 */
export interface Owner {
  /** As faults and the trace name it. */
  readonly label: string;
  readonly alive: boolean;
  /** The output gate: what leaves the owner waits for its unconfirmed writes. Never called back when it dies before. */
  leave(send: () => void): void;
  /** The input gate: what comes in waits until nothing blocks it. `section` as it was when the call was made. */
  receive(handle: () => void, section: number): void;
  /** The sockets that it accepted; they end with it. Absent: they outlive it. */
  readonly sockets?: Set<{ breakOff(): void }>;
}

export interface Running {
  readonly owner: Owner;
  /** The `blockConcurrencyWhile` that the running code is part of; 0: none. */
  readonly section: number;
}

const running = new AsyncLocalStorage<Running>();

/** @throws outside every owner: only code under test reaches the platform */
export function current(): Running {
  const found = running.getStore();
  if (!found) throw new Error("The platform was reached from outside the simulated world: use world.worker().");
  return found;
}

export const currentOrNull = (): Running | null => running.getStore() ?? null;

export const runAs = <T>(owner: Owner, section: number, run: () => T): T => running.run({ owner, section }, run);

/** A promise for code that goes no further: its object is gone. */
export const never = <T>(): Promise<T> => new Promise<T>(() => {});
