import { redactText, redactValue } from "./secrets/redact.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type Fields = Record<string, unknown>;

/** The only way to the log: one line of JSON for an event, with every secret redacted. Nothing else calls `console`. */
export const log = {
  debug: (message: string, fields: Fields = {}) => write("debug", message, fields),
  info: (message: string, fields: Fields = {}) => write("info", message, fields),
  warn: (message: string, fields: Fields = {}) => write("warn", message, fields),
  error: (message: string, fields: Fields = {}) => write("error", message, fields),
};

let least: LogLevel = "info";

/** From now on, in this isolate. */
export function setLogLevel(level: LogLevel): void {
  least = level;
}

function write(level: LogLevel, message: string, fields: Fields): void {
  if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
  console[level](lineOf(level, message, fields));
}

/** Pure but for what is forbidden in this isolate; exported for tests. */
export function lineOf(level: LogLevel, message: string, fields: Fields): string {
  const head = { level, message: redactText(message) };
  return JSON.stringify(Object.assign({ ...head }, redactValue(fields), head));
}
