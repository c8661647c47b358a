/**
 * The catalogue: every code that a client can see, its HTTP status, whether the same request may be sent again as it is
 * (`retry`: it certainly did not happen), and what to do. A new code does not compile until it has all of them.
 */
interface Entry {
  status: number;
  title: string;
  retry: boolean;
  suggestion?: string;
}

const catalogue = {
  unauthenticated: {
    status: 401,
    title: "Authentication required",
    retry: false,
    suggestion: "Send `Authorization: Bearer <key>`.",
  },
  forbidden: { status: 403, title: "Not allowed", retry: false, suggestion: "Use a key whose role allows this." },
  not_configured: {
    status: 503,
    title: "Not configured",
    retry: false,
    suggestion: "Set the variables that GET /ready lists as missing.",
  },
  not_found: { status: 404, title: "Not found", retry: false },
  method_not_allowed: { status: 405, title: "Method not allowed", retry: false, suggestion: "See the Allow header." },
  malformed_json: {
    status: 400,
    title: "Malformed JSON",
    retry: false,
    suggestion: "Send one JSON value as the body.",
  },
  unsupported_media_type: {
    status: 415,
    title: "Unsupported media type",
    retry: false,
    suggestion: "Send `Content-Type: application/json`.",
  },
  payload_too_large: { status: 413, title: "Body too large", retry: false, suggestion: "Send less than 1 MB." },
  invalid: {
    status: 422,
    title: "Invalid request",
    retry: false,
    suggestion: "Correct the fields that `errors` points at.",
  },
  unsupported: {
    status: 422,
    title: "Not supported on Cloudflare",
    retry: false,
    suggestion: "Leave out the fields that `errors` points at.",
  },
  version_mismatch: {
    status: 412,
    title: "Changed since",
    retry: false,
    suggestion: "Read it again, and send its new ETag as `If-Match`.",
  },
  in_use: {
    status: 409,
    title: "In use",
    retry: false,
    suggestion: "Remove what `usedBy` lists first.",
  },
  suspended: {
    status: 403,
    title: "Suspended",
    retry: false,
    suggestion: "An operator resumes the tenant with `POST …/resume`.",
  },
  idempotency_mismatch: {
    status: 422,
    title: "Another request under this key",
    retry: false,
    suggestion: "Send the first body again, or use a new `Idempotency-Key`.",
  },
  idempotency_in_flight: {
    status: 409,
    title: "The first request is still in flight",
    retry: false,
    suggestion: "Wait, then send the same request again to get its answer.",
  },
  rate_limited: { status: 429, title: "Too many requests", retry: true, suggestion: "Wait for `Retry-After`." },
  already_exists: { status: 409, title: "Already exists", retry: false },
  claimed_elsewhere: {
    status: 409,
    title: "Claimed in another pool",
    retry: false,
    suggestion: "Release the tenant first, or leave out `poolId`.",
  },
  operation_in_progress: {
    status: 409,
    title: "Another operation is in progress",
    retry: false,
    suggestion: "Wait for the operation named in `operation`.",
  },
  invalid_transition: { status: 409, title: "Not possible in this state", retry: false },
  stale_epoch: {
    status: 409,
    title: "Superseded",
    retry: false,
    suggestion: "The tenant was assigned again; ask for its status.",
  },
  guard_blocked: {
    status: 409,
    title: "Save refused by a guard",
    retry: false,
    suggestion:
      "Files vanished since the last save. Release with `force: true` to accept that, or claim again to go on.",
  },
  conflict: { status: 409, title: "The state moved while it was saved", retry: false },
  save_failed: {
    status: 409,
    title: "Save failed",
    retry: false,
    suggestion: "The container is kept and the save is tried again.",
  },
  restore_failed: {
    status: 503,
    title: "Restore failed",
    retry: false,
    suggestion: "The saved state is intact. Claim again, or with `allowFresh` as an admin.",
  },
  operation_interrupted: {
    status: 409,
    title: "Interrupted, result unknown",
    retry: false,
    suggestion: "Read the state before you try again.",
  },
  container_unavailable: { status: 503, title: "Container unavailable", retry: true },
  starting: { status: 503, title: "Starting", retry: true },
  start_failed: { status: 503, title: "Start failed", retry: true },
  capacity_exhausted: {
    status: 503,
    title: "No capacity",
    retry: true,
    suggestion: "Try again after `Retry-After`, or raise the pool's maxSize or the tier's cap.",
  },
  deadline_exceeded: { status: 504, title: "Deadline exceeded", retry: false },
  body_not_replayable: { status: 421, title: "Misdirected", retry: true },
  internal: { status: 500, title: "Internal error", retry: false, suggestion: "Report the request id." },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof catalogue;

/** The catalogue's entry of a code; total. */
export const entryOf = (code: ErrorCode): Entry => catalogue[code];
export const ERROR_CODES = Object.keys(catalogue) as ErrorCode[];
