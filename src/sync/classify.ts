import type { ErrorCode } from "../errors/codes.ts";

/** Why a transfer between a container and its storage failed, in the words of the API (design §4). */
export const SYNC_PROBLEMS = [
  "timeout",
  "permission_denied",
  "network_error",
  "storage_missing",
  "guard_blocked",
  "conflict",
  "rclone_error",
] as const;
export type SyncProblem = (typeof SYNC_PROBLEMS)[number];

/**
 * rclone answers sentences. Each row is a lower-case part of one, and the first that occurs decides: what the storage
 * said comes before what the connection did, because an S3 error quotes both.
 */
const SENTENCES: readonly (readonly [part: string, problem: SyncProblem])[] = [
  ["guardblocked", "guard_blocked"],
  ["max-delete threshold", "guard_blocked"],
  ["max delete", "guard_blocked"],
  ["staleepoch", "conflict"],
  ["operationaborted", "conflict"],
  ["preconditionfailed", "conflict"],
  ["statuscode: 409", "conflict"],
  ["statuscode: 412", "conflict"],
  ["accessdenied", "permission_denied"],
  ["invalidaccesskeyid", "permission_denied"],
  ["signaturedoesnotmatch", "permission_denied"],
  ["statuscode: 401", "permission_denied"],
  ["statuscode: 403", "permission_denied"],
  ["permission denied", "permission_denied"],
  ["nosuchbucket", "storage_missing"],
  ["nosuchkey", "storage_missing"],
  ["statuscode: 404", "storage_missing"],
  ["directory not found", "storage_missing"],
  ["object not found", "storage_missing"],
  ["no such file or directory", "storage_missing"],
  ["context canceled", "timeout"],
  ["deadline exceeded", "timeout"],
  ["requesttimeout", "timeout"],
  ["i/o timeout", "timeout"],
  ["timed out", "timeout"],
  ["connection refused", "network_error"],
  ["connection reset", "network_error"],
  ["no such host", "network_error"],
  ["network is unreachable", "network_error"],
  ["broken pipe", "network_error"],
  ["use of closed network connection", "network_error"],
  ["couldn't connect", "network_error"],
  ["could not resolve host", "network_error"],
  ["empty reply from server", "network_error"],
  ["network connection lost", "network_error"],
  ["unexpected eof", "network_error"],
  [": eof", "network_error"],
  ["statuscode: 5", "network_error"],
];

/** What a sentence of rclone, of curl or of the gateway means. */
export function classifySync(sentence: string): SyncProblem {
  const text = sentence.toLowerCase();
  return SENTENCES.find(([part]) => text.includes(part))?.[1] ?? "rclone_error";
}

const CODES: Readonly<Record<SyncProblem, ErrorCode>> = {
  timeout: "deadline_exceeded",
  permission_denied: "save_failed",
  network_error: "save_failed",
  storage_missing: "save_failed",
  guard_blocked: "guard_blocked",
  conflict: "conflict",
  rclone_error: "save_failed",
};

/** The catalogue's code for a save that failed so. */
export const saveCodeOf = (problem: SyncProblem): ErrorCode => CODES[problem];
