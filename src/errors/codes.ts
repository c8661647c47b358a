/**
 * The catalogue: every code that a client can see, its HTTP status, what it means, whether the same request may be sent
 * again as it is (`retry`: it certainly did not happen), and what to do. A new code does not compile until it has all of
 * them; its page (`pages.ts`, docs/errors.md) follows.
 */
export interface Entry {
  status: number;
  title: string;
  meaning: string;
  retry: boolean;
  suggestion: string;
}

const catalogue = {
  unauthenticated: {
    status: 401,
    title: "Authentication required",
    meaning: "The request carries no key, token or cookie that is valid now.",
    retry: false,
    suggestion: "Send `Authorization: Bearer <key>`.",
  },
  authentication_unavailable: {
    status: 503,
    title: "Cannot authenticate now",
    meaning: "The credential could not be checked: the registry, the tenant or the issuer of tokens did not answer.",
    retry: true,
    suggestion: "Send the same request again after `Retry-After`.",
  },
  forbidden: {
    status: 403,
    title: "Not allowed",
    meaning: "It is known who asks, and their role does not have the permission of this route.",
    retry: false,
    suggestion: "Use a key whose role allows this.",
  },
  not_configured: {
    status: 503,
    title: "Not configured",
    meaning: "Variables of the Worker are missing or wrong, and until they are right it serves nothing but its health.",
    retry: false,
    suggestion: "Set the variables that GET /ready lists as missing.",
  },
  not_found: {
    status: 404,
    title: "Not found",
    meaning: "There is nothing at this path or by this id, or not for whoever asks.",
    retry: false,
    suggestion: "Check the path and the id; lists show what there is.",
  },
  method_not_allowed: {
    status: 405,
    title: "Method not allowed",
    meaning: "The path exists, and answers to other methods.",
    retry: false,
    suggestion: "See the Allow header.",
  },
  bad_request: {
    status: 400,
    title: "Bad request",
    meaning: "Something that the request needs is missing, or beyond its limit.",
    retry: false,
    suggestion: "Send what `detail` names.",
  },
  malformed_json: {
    status: 400,
    title: "Malformed JSON",
    meaning: "The body is not one JSON value in UTF-8.",
    retry: false,
    suggestion: "Send one JSON value as the body.",
  },
  unsupported_media_type: {
    status: 415,
    title: "Unsupported media type",
    meaning: "The body is of a type that this route does not read.",
    retry: false,
    suggestion: "Send `Content-Type: application/json`.",
  },
  payload_too_large: {
    status: 413,
    title: "Body too large",
    meaning:
      "The body is larger than its route takes (1 MB where nothing else is said), or a tenant's config and secrets would be larger than 1.8 MB together; nothing of it was used.",
    retry: false,
    suggestion: "Send less; `detail` says how much is taken.",
  },
  invalid: {
    status: 422,
    title: "Invalid request",
    meaning: "The body, the path, the query or a header is not what the route's schema asks for; nothing was done.",
    retry: false,
    suggestion: "Correct the fields that `errors` points at.",
  },
  unsupported: {
    status: 422,
    title: "Not supported on Cloudflare",
    meaning:
      "The request asks for what exists elsewhere and cannot be had on Cloudflare; it is refused, never ignored.",
    retry: false,
    suggestion: "Leave out the fields that `errors` points at.",
  },
  version_mismatch: {
    status: 412,
    title: "Changed since",
    meaning: "`If-Match` names another version than the current one: somebody changed it since it was read.",
    retry: false,
    suggestion: "Read it again, and send its new ETag as `If-Match`.",
  },
  in_use: {
    status: 409,
    title: "In use",
    meaning: "It cannot be deleted or changed like this while others depend on it.",
    retry: false,
    suggestion: "Remove what `usedBy` lists first.",
  },
  suspended: {
    status: 403,
    title: "Suspended",
    meaning: "The tenant is suspended: its state is kept, and nothing of it runs.",
    retry: false,
    suggestion: "An operator resumes the tenant with `POST …/resume`.",
  },
  idempotency_mismatch: {
    status: 422,
    title: "Another request under this key",
    meaning:
      "This `Idempotency-Key` belongs to an earlier request of the same route with another body; nothing was done.",
    retry: false,
    suggestion: "Send the first body again, or use a new `Idempotency-Key`.",
  },
  idempotency_in_flight: {
    status: 409,
    title: "The first request is still in flight",
    meaning: "A request with this `Idempotency-Key` has begun and has not ended; this one did nothing.",
    retry: false,
    suggestion: "Wait, then send the same request again to get its answer.",
  },
  database_unavailable: {
    status: 503,
    title: "Database unavailable",
    meaning: "The database did not answer before anything was done.",
    retry: true,
    suggestion: "Send the same request again after `Retry-After`.",
  },
  storage_unavailable: {
    status: 503,
    title: "Storage unavailable",
    meaning: "What is saved of the tenant could not be read from R2, or written there, now; nothing of it is lost.",
    retry: true,
    suggestion: "Send the same request again after `Retry-After`.",
  },
  rate_limited: {
    status: 429,
    title: "Too many requests",
    meaning: "More requests came than this key, address or container may send; this one did nothing.",
    retry: true,
    suggestion: "Wait for `Retry-After`.",
  },
  already_exists: {
    status: 409,
    title: "Already exists",
    meaning: "The id is taken; what exists was not changed.",
    retry: false,
    suggestion: "Choose another id, or change what exists.",
  },
  claimed_elsewhere: {
    status: 409,
    title: "Claimed in another pool",
    meaning: "The tenant has a container in another pool than the one that was asked for.",
    retry: false,
    suggestion: "Release the tenant first, or leave out `poolId`.",
  },
  operation_in_progress: {
    status: 409,
    title: "Another operation is in progress",
    meaning: "The tenant does one thing at a time, and is doing another; this one was not begun.",
    retry: false,
    suggestion: "Wait for the operation named in `operation`.",
  },
  invalid_transition: {
    status: 409,
    title: "Not possible in this state",
    meaning: "What was asked for has no meaning in the present state; nothing was done.",
    retry: false,
    suggestion: "Read the status; it says which state it is in.",
  },
  not_running: {
    status: 409,
    title: "Not running",
    meaning:
      "The tenant has no running container, and what was asked for needs one; nothing was done and nothing woken.",
    retry: false,
    suggestion: "Start the tenant first, or send `?wake=true`.",
  },
  not_a_file: {
    status: 409,
    title: "Not a regular file",
    meaning:
      "The path leads to a directory, a device, a socket or a pipe, or through a symlink, which is never followed. `kind` says which.",
    retry: false,
    suggestion: "Name a regular file; a directory is listed by `GET …/files?path=`.",
  },
  file_too_large: {
    status: 413,
    title: "File too large for JSON",
    meaning: "The file is larger than 5 MB, or a batch has read 10 MB already.",
    retry: false,
    suggestion: "Ask for it raw (`?raw=true`, or `Accept: application/octet-stream`): that streams any size.",
  },
  range_not_satisfiable: {
    status: 416,
    title: "Range not satisfiable",
    meaning: "The range begins after the end of the file; its size is in `Content-Range`.",
    retry: false,
    suggestion: "Ask for a range within the file.",
  },
  storage_full: {
    status: 507,
    title: "Disk full",
    meaning: "The container's disk has no room for what was sent; the file is as it was.",
    retry: false,
    suggestion: "Remove files, or give the tenant a larger tier.",
  },
  stale_epoch: {
    status: 409,
    title: "Superseded",
    meaning: "The request speaks for an assignment of a container that is over.",
    retry: false,
    suggestion: "The tenant was assigned again; ask for its status.",
  },
  guard_blocked: {
    status: 409,
    title: "Save refused by a guard",
    meaning:
      "The save would have dropped most of the tenant's files. It is kept aside, and so is the container for a while.",
    retry: false,
    suggestion:
      "Files vanished since the last save. Release with `force: true` to accept that, or claim again to go on.",
  },
  conflict: {
    status: 409,
    title: "The state moved while it was saved",
    meaning: "Another save became the head in the meantime; this one is kept beside the history.",
    retry: false,
    suggestion: "Read the tenant's generations, and restore the one that is wanted.",
  },
  save_failed: {
    status: 409,
    title: "Save failed",
    meaning: "The state could not be saved; the container that holds it is kept.",
    retry: false,
    suggestion: "The container is kept and the save is tried again.",
  },
  restore_failed: {
    status: 503,
    title: "Restore failed",
    meaning: "The saved state could not be brought into a container; nothing of it was lost.",
    retry: false,
    suggestion: "The saved state is intact. Claim again, or with `allowFresh` as an admin.",
  },
  state_missing: {
    status: 409,
    title: "Saved state is missing",
    meaning:
      "What the tenant had is not there any more: what it saved, or (`needs`) the config and secrets that only its lost object kept. Nothing is started as if it had never been.",
    retry: false,
    suggestion:
      "Rebuild the vault, or restore or import a state; claim with what `needs` names; an admin goes on without by a claim with `allowFresh`.",
  },
  operation_interrupted: {
    status: 409,
    title: "Interrupted, result unknown",
    meaning:
      "It was begun, and what carried it out ended before its result was known. It is never tried again by itself.",
    retry: false,
    suggestion: "Read the state before you try again.",
  },
  container_unavailable: {
    status: 503,
    title: "Container unavailable",
    meaning: "The container did not answer, and certainly did nothing.",
    retry: true,
    suggestion: "Send the same request again after `Retry-After`.",
  },
  starting: {
    status: 503,
    title: "Starting",
    meaning: "The tenant's container is starting.",
    retry: true,
    suggestion: "Send the same request again after `Retry-After`.",
  },
  start_failed: {
    status: 503,
    title: "Start failed",
    meaning: "A container did not become ready, and was given up.",
    retry: true,
    suggestion: "Try again; when it fails again, look at the workload's image, command and readiness.",
  },
  capacity_exhausted: {
    status: 503,
    title: "No capacity",
    meaning: "As many containers run as the pool or the tier allows, or an object has more to do than it can.",
    retry: true,
    suggestion: "Try again after `Retry-After`, or raise the pool's maxSize or the tier's cap.",
  },
  deadline_exceeded: {
    status: 504,
    title: "Deadline exceeded",
    meaning: "It took longer than it may, and was given up; parts of it may have happened.",
    retry: false,
    suggestion: "Read the state before you try again.",
  },
  body_not_replayable: {
    status: 421,
    title: "Misdirected",
    meaning:
      "The request reached a container that is no longer the tenant's, and its body is used up; nothing was done.",
    retry: true,
    suggestion: "Send the same request again.",
  },
  internal: {
    status: 500,
    title: "Internal error",
    meaning: "A defect of Boilerhouse. What the request did is not known.",
    retry: false,
    suggestion: "Report the request id.",
  },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof catalogue;

/** The catalogue's entry of a code; total. */
export const entryOf = (code: ErrorCode): Entry => catalogue[code];
export const ERROR_CODES = Object.keys(catalogue) as ErrorCode[];
