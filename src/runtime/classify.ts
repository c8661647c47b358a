import { RuntimeError, type RuntimeErrorCode } from "./port.ts";

/**
 * The platform's errors have no codes, only sentences. Each row is a lower-case part of one, and the first that occurs
 * decides. Sources: Cloudflare's own `@cloudflare/containers` 0.3.7 and issues (production), the strings of workerd
 * 1.20261117 (`wrangler dev`), and the names that its SDKs gave to what ran out of time.
 */
const SENTENCES: readonly (readonly [part: string, code: RuntimeErrorCode])[] = [
  ["there is no container instance that can be provided", "capacity"],
  ["there is no container instance available", "capacity"],
  ["maximum number of running container instances exceeded", "capacity"],
  ["instancegettimeout", "capacity"],
  ["you are requesting too many containers per second", "rate_limited"],
  ["container that is already running", "already_running"],
  ["container already started", "already_running"],
  ["no such image", "unknown_image"],
  ["invalid container instance type", "bad_start"],
  ["container image reference", "bad_start"],
  ["image preparation is not enabled", "bad_start"],
  ["container is not listening", "not_listening"],
  ["connection refused", "not_listening"],
  ["container port not found", "not_listening"],
  ["portreadytimeout", "not_listening"],
  ["container is not ready", "not_listening"],
  ["container is not running", "not_running"],
  ["container that is not running", "not_running"],
  ["requires a running container", "not_running"],
  ["container ingress proxy is not running", "not_running"],
  ["monitor failed to find container", "not_running"],
  ["no such container", "not_running"],
  ["sandbox_not_found", "not_running"],
  ["is hibernating", "not_running"],
  ["create container failed", "start_failed"],
  ["starting container failed", "start_failed"],
  ["container failed to start", "start_failed"],
  ["starting network sidecar container failed", "start_failed"],
  ["image is built and available", "start_failed"],
  ["container did not start", "start_failed"],
  ["container exited before we could determine", "start_failed"],
  ["container crashed while checking for ports", "start_failed"],
  ["network connection lost", "lost"],
  ["durable object reset because its code was updated", "lost"],
  ["timed out", "timeout"],
];

/** What errors that do have a code or a name mean by it. */
const CODES: Readonly<Record<string, RuntimeErrorCode>> = {
  ECONNREFUSED: "not_listening",
  ETIMEDOUT: "timeout",
  ECONNRESET: "lost",
  SANDBOX_NOT_FOUND: "not_running",
  instanceGetTimeout: "capacity",
  portReadyTimeout: "not_listening",
  AbortError: "timeout",
  TimeoutError: "timeout",
};

/** What an error of the platform means: by its code, else by its sentence. An unknown one is `lost`: the call may have had its effect. */
export function classify(error: unknown): RuntimeErrorCode {
  if (error instanceof RuntimeError) return error.code;
  const byCode = [codeOf(error), error instanceof Error ? error.name : null];
  for (const code of byCode) {
    if (code !== null && Object.hasOwn(CODES, code)) return CODES[code] ?? "lost";
  }
  const message = messageOf(error).toLowerCase();
  return SENTENCES.find(([part]) => message.includes(part))?.[1] ?? "lost";
}

function codeOf(error: unknown): string | null {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : null;
  return typeof code === "string" ? code : null;
}

/** Whether trying the same again can never go well. Everything else may pass: no room, a slow start, a lost connection. */
export const isPermanent = (code: RuntimeErrorCode): boolean => code === "unknown_image" || code === "bad_start";

/** The same as an error of the port; `fallback` is what an unknown sentence means in this call. */
export function runtimeError(error: unknown, fallback: RuntimeErrorCode = "lost"): RuntimeError {
  if (error instanceof RuntimeError) return error;
  const code = classify(error);
  return new RuntimeError(code === "lost" ? fallback : code, messageOf(error));
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
