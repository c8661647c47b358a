import type { Capture } from "./capture.ts";

/**
 * What the rest of the system knows of containers. Two adapters implement it, `platform` over `ctx.container` and
 * `simulated` in memory, and one contract suite (`test/support/runtime-contract.ts`) says what both must do.
 */
export interface ContainerRuntime {
  /** True from `start()` until the container ended. It may be true of a container that no longer answers. */
  readonly running: boolean;
  /** The names that `StartSpec.image` may use. */
  readonly images: readonly string[];
  /**
   * Starts the container and returns at once; readiness is for the caller to probe. What goes wrong after the return
   * (`capacity`, `rate_limited`, `start_failed`) is thrown by the next `fetch`, `exec` or `monitor`.
   * @throws RuntimeError `already_running`, `unknown_image`, `bad_start` (it can never go well), `capacity`, `rate_limited`, `start_failed`
   */
  start(spec: StartSpec): void;
  /**
   * One HTTP request (WebSocket upgrades included) to a port of the container. The request's own AbortSignal is the deadline.
   * @throws RuntimeError `not_running`, `not_listening`, `timeout` (the signal fired), `lost`, and what `start` could not say
   */
  fetch(port: number, request: Request): Promise<Response>;
  /** Runs a command to its end; on timeout it is killed with everything in its process group. @throws RuntimeError `not_running`, `timeout` */
  exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult>;
  /** Routes the container's plain-HTTP requests for a host to a handler; the same host replaces. Lost when the object leaves memory. */
  intercept(host: string, handler: Fetcher): Promise<void>;
  /** Resolves with how the container ended. @throws RuntimeError `not_running`, and what `start` could not say */
  monitor(): Promise<Exit>;
  /** Sends a signal to PID 1. @throws RuntimeError `not_running` */
  signal(signal: number): void;
  /** Ends the container now; resolves when it is gone. Legal when nothing runs. */
  destroy(reason: string): Promise<void>;
  /** How long the container outlives its object's stay in memory, in ms (platform: 6 h at most). */
  keepFor(durationMs: number): Promise<void>;
  inspect(): Promise<{ image: string; labels: Record<string, string> } | null>;
}

export interface StartSpec {
  /** A name out of `images`. */
  image: string;
  tier: Tier;
  env: Record<string, string>;
  /** At most 10; names ≤ 16 and values ≤ 64 bytes. */
  labels: Record<string, string>;
  /** Whether the container may open connections that no intercept handles. */
  internet: boolean;
  /** Replaces the image's command (the entrypoint, init, stays). */
  command?: readonly string[];
}

/** Instance sizes by name, Cloudflare's own (platform.md §5.1). */
export const TIERS = ["lite", "basic", "standard-1", "standard-2", "standard-3", "standard-4"] as const;
export type Tier = (typeof TIERS)[number];

export interface ExecOptions {
  timeoutMs: number;
  stdin?: Uint8Array | string;
  env?: Record<string, string>;
  user?: string;
  cwd?: string;
  /** Gets the output while the command runs, within its limits; the result then holds what it kept. */
  capture?: Capture;
}
export interface ExecResult {
  exitCode: number;
  stdout: Uint8Array;
  stderr: Uint8Array;
}
/** `exitCode` is null when the container was destroyed or its end could not be learnt. */
export interface Exit {
  exitCode: number | null;
  reason: string;
}

export type RuntimeErrorCode =
  | "not_running"
  | "already_running"
  | "unknown_image"
  | "capacity"
  | "rate_limited"
  | "start_failed"
  | "bad_start"
  | "not_listening"
  | "timeout"
  | "lost";

/** `not_running`, `not_listening`, `capacity` and `rate_limited` mean that nothing happened; `lost` and `timeout` that it may have. */
export class RuntimeError extends Error {
  readonly code: RuntimeErrorCode;
  constructor(code: RuntimeErrorCode, message: string) {
    super(message);
    this.name = "RuntimeError";
    this.code = code;
  }
}
