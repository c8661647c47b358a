/** How many durable commits this isolate made; the promise of at most four per claim is tested against it. */
export const commits = { count: 0 };

/**
 * One durable commit: everything that `write` does, or nothing. The type forbids a Promise, because an async closure of
 * `transactionSync` is not rolled back after its first `await`. `setAlarm` inside it is (both tried, design §3).
 */
export function commit<T>(storage: DurableObjectStorage, write: () => T extends Promise<unknown> ? never : T): T {
  commits.count += 1;
  return storage.transactionSync(write as () => T);
}
