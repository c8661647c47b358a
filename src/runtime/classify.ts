import { RuntimeError, type RuntimeErrorCode } from "./port.ts";

/**
 * The platform's errors have no codes, only sentences. Each row is a lower-case part of one, and the first that occurs
 * decides. Sources: Cloudflare's own `@cloudflare/containers` 0.3.7 and issues (production), the strings of workerd
 * 1.20261117 (`wrangler dev`).
 */
const SENTENCES: readonly (readonly [part: string, code: RuntimeErrorCode])[] = [
  ["there is no container instance that can be provided", "capacity"],
  ["maximum number of running container instances exceeded", "capacity"],
  ["you are requesting too many containers per second", "rate_limited"],
  ["container that is already running", "already_running"],
  ["container already started", "already_running"],
  ["no such image", "unknown_image"],
  ["container is not listening", "not_listening"],
  ["connect(): connection refused", "not_listening"],
  ["container port not found", "not_listening"],
  ["container is not running", "not_running"],
  ["container that is not running", "not_running"],
  ["requires a running container", "not_running"],
  ["container ingress proxy is not running", "not_running"],
  ["monitor failed to find container", "not_running"],
  ["create container failed", "start_failed"],
  ["starting container failed", "start_failed"],
  ["container failed to start", "start_failed"],
  ["starting network sidecar container failed", "start_failed"],
  ["image is built and available", "start_failed"],
  ["container did not start", "start_failed"],
  ["network connection lost", "lost"],
];

/** What an error of the platform means. An unknown sentence is `lost`: the call may have had its effect. */
export function classify(error: unknown): RuntimeErrorCode {
  if (error instanceof RuntimeError) return error.code;
  if (isAbort(error)) return "timeout";
  const message = messageOf(error).toLowerCase();
  return SENTENCES.find(([part]) => message.includes(part))?.[1] ?? "lost";
}

/** The same as an error of the port; `fallback` is what an unknown sentence means in this call. */
export function runtimeError(error: unknown, fallback: RuntimeErrorCode = "lost"): RuntimeError {
  if (error instanceof RuntimeError) return error;
  const code = classify(error);
  return new RuntimeError(code === "lost" ? fallback : code, messageOf(error));
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError");
}
