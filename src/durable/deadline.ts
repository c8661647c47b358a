import { redactText } from "../secrets/redact.ts";

/** The end of a wait that took too long. What was waited for may still happen. */
export class DeadlineError extends Error {
  constructor(what: string, ms: number) {
    super(`${what} took longer than ${ms} ms`);
    this.name = "DeadlineError";
  }
}

/** Waits for `promise`, at most `ms`. The promise goes on; its late result or failure is left to nobody. @throws DeadlineError */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  promise.catch(() => {}); // a late failure has no listener left
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(what, ms)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a caught value says, for logs and details; without secrets. */
export const messageOf = (error: unknown): string => redactText(error instanceof Error ? error.message : String(error));
