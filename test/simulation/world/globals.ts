import type { Random } from "../../support/random.ts";
import { simulatedCrypto } from "./crypto.ts";
import { WorldRequest, WorldResponse } from "./http.ts";
import { currentOrNull } from "./owner.ts";
import type { Scheduler } from "./scheduler.ts";
import { socketPairs } from "./sockets.ts";
import {
  FixedLengthStream,
  GunzipStream,
  GzipStream,
  getReader,
  IdentityTransformStream,
  MemoryBlob,
} from "./streams.ts";
import { Timers } from "./timers.ts";

const RealDate = Date;

interface Settings {
  scheduler: Scheduler;
  start: number;
  random: Random;
  complain: (error: unknown) => void;
  log: (level: string, line: string) => void;
}

/** Puts a world's clock, timers, randomness and platform into the global object. Returns what takes them out again. */
export function installGlobals({ scheduler, start, random, complain, log }: Settings): () => void {
  const timers = new Timers(scheduler, complain);
  class WorldDate extends RealDate {
    constructor(...args: unknown[]) {
      if (args.length === 0) super(scheduler.now);
      else super(...(args as [number]));
    }
    static override now(): number {
      return Math.floor(scheduler.now);
    }
  }
  const timeout = (ms: number): AbortSignal => {
    const controller = new AbortController();
    timers.setTimeout(
      () => controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError")),
      ms,
    );
    return controller.signal;
  };
  const logger = (level: string) => {
    const real = console[level as "log"].bind(console);
    return (...line: unknown[]) => (currentOrNull() ? log(level, line.join(" ")) : real(...line));
  };
  return replaced([
    [globalThis, "Date", WorldDate],
    [globalThis, "setTimeout", timers.setTimeout],
    [globalThis, "clearTimeout", timers.clear],
    [globalThis, "setInterval", timers.setInterval],
    [globalThis, "clearInterval", timers.clear],
    [globalThis, "setImmediate", (callback: () => void, ...args: unknown[]) => timers.setTimeout(callback, 0, ...args)],
    [globalThis, "clearImmediate", timers.clear],
    [Math, "random", () => random()],
    [globalThis, "crypto", simulatedCrypto(random)],
    [globalThis, "performance", { now: () => scheduler.now - start, timeOrigin: start }],
    [AbortSignal, "timeout", timeout],
    [globalThis, "fetch", () => Promise.reject(new TypeError("There is no network in the simulated world."))],
    [globalThis, "Request", WorldRequest],
    [globalThis, "Response", WorldResponse],
    [ReadableStream.prototype, "getReader", getReader],
    [globalThis, "Blob", MemoryBlob],
    [globalThis, "FixedLengthStream", FixedLengthStream],
    [globalThis, "IdentityTransformStream", IdentityTransformStream],
    [globalThis, "CompressionStream", GzipStream],
    [globalThis, "DecompressionStream", GunzipStream],
    [globalThis, "WebSocketPair", socketPairs(scheduler)],
    ...["debug", "info", "log", "warn", "error"].map((level): Replacement => [console, level, logger(level)]),
  ]);
}

type Replacement = [target: object, name: string, value: unknown];

function replaced(replacements: Replacement[]): () => void {
  const before = replacements.map(
    ([target, name]) => [target, name, Object.getOwnPropertyDescriptor(target, name)] as const,
  );
  for (const [target, name, value] of replacements) {
    Object.defineProperty(target, name, { configurable: true, writable: true, enumerable: false, value });
  }
  return () => {
    for (const [target, name, descriptor] of before) {
      if (descriptor) Object.defineProperty(target, name, descriptor);
      else delete (target as Record<string, unknown>)[name];
    }
  };
}
