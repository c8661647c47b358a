import { vi } from "vitest";

/** Calls that fail, or whose answer gets lost. All of it ends with `vi.restoreAllMocks()`. */

/** The next call of an object's method happens or not, and throws in either case. One that is to fail already is left alone. */
export function loseOneAnswer(of: object, method: string, when: "before" | "after"): void {
  // biome-ignore lint/suspicious/noExplicitAny: any method of any object
  const prototype = of as any;
  const original = prototype[method];
  if (vi.isMockFunction(original)) return;
  const spy = vi.spyOn(prototype, method);
  spy.mockImplementation(async function (this: unknown, ...args: unknown[]) {
    spy.mockRestore();
    if (when === "after") await original.apply(this, args);
    throw new Error(`planned: ${method} was lost ${when} its effect`);
  });
}

/** From the `nth` call on, `times` calls of a method fail before they do anything. */
export function failCalls(of: object, method: string, nth: number, times: number): void {
  // biome-ignore lint/suspicious/noExplicitAny: any method of any object
  const prototype = of as any;
  const original = prototype[method];
  if (vi.isMockFunction(original)) return;
  let call = 0;
  const spy = vi.spyOn(prototype, method);
  spy.mockImplementation(function (this: unknown, ...args: unknown[]) {
    call += 1;
    if (call < nth) return original.apply(this, args);
    if (call >= nth + times - 1) spy.mockRestore();
    return Promise.reject(new Error(`planned: ${method} is unavailable`));
  });
}

/** The next call of a method, after its effect or before it, is never answered. `reached`: it came so far. */
export const stopAt = (of: object, method: string, when: "before" | "after"): { readonly reached: boolean } =>
  atCall(of, method, when, () => new Promise(() => {}));

/** Something happens at the next call of a method, after its effect or before it; `self` is the object that was called. */
export function atCall(
  of: object,
  method: string,
  when: "before" | "after",
  happens: (self: object) => Promise<void> | void,
): { readonly reached: boolean } {
  // biome-ignore lint/suspicious/noExplicitAny: any method of any object
  const prototype = of as any;
  const original = prototype[method];
  const call = { reached: false };
  const spy = vi.spyOn(prototype, method);
  spy.mockImplementation(async function (this: object, ...args: unknown[]) {
    spy.mockRestore();
    const answer = when === "after" ? await original.apply(this, args) : null;
    call.reached = true;
    await happens(this);
    return when === "after" ? answer : original.apply(this, args);
  });
  return call;
}
