import { expect, it, test } from "vitest";
import { classifySync, SYNC_PROBLEMS, type SyncProblem, saveCodeOf } from "../../src/sync/classify.ts";

const s3 = (status: number, code: string) =>
  `operation error S3: PutObject, https response error StatusCode: ${status}, RequestID: , HostID: , api error ${code}: no`;

test.each<[string, SyncProblem]>([
  [s3(403, "AccessDenied"), "permission_denied"],
  [s3(409, "StaleEpoch"), "conflict"],
  [s3(409, "OperationAborted"), "conflict"],
  [s3(409, "GuardBlocked"), "guard_blocked"],
  [s3(404, "NoSuchBucket"), "storage_missing"],
  [s3(503, "SlowDown"), "network_error"],
  ["directory not found", "storage_missing"],
  ["failed to open source object: open /data/x: permission denied", "permission_denied"],
  ['Put "http://sink.internal/state/a": context deadline exceeded', "timeout"],
  ["context canceled", "timeout"],
  ["dial tcp 11.0.0.1:80: i/o timeout", "timeout"],
  ["dial tcp 11.0.0.1:80: connect: connection refused", "network_error"],
  ['Put "http://sink.internal/state/a": EOF', "network_error"],
  ["curl: (52) Empty reply from server", "network_error"],
  ["curl: (6) Could not resolve host: sink.internal", "network_error"],
  ["corrupted on transfer: md5 hashes differ", "rclone_error"],
])("%s → %s", (sentence, problem) => {
  expect(classifySync(sentence)).toBe(problem);
});

it("gives every problem a code of the catalogue, and only the guard the guard's", () => {
  const codes = SYNC_PROBLEMS.map(saveCodeOf);
  expect(codes.filter((code) => code === "guard_blocked")).toHaveLength(1);
  expect(codes).not.toContain(undefined);
});
