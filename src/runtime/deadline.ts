import { RuntimeError } from "./port.ts";

/**
 * Runs a call against a deadline. The signal ends what can be ended; the answer `timeout` does not wait for it.
 * @throws RuntimeError `timeout`, or whatever the call throws
 */
export async function withDeadline<T>(timeoutMs: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new RuntimeError("timeout", `No answer within ${timeoutMs} ms.`));
      controller.abort();
    }, timeoutMs);
  });
  try {
    return await Promise.race([call(controller.signal), expired]);
  } finally {
    clearTimeout(timer);
  }
}
