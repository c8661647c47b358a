import { configOf } from "../../config.ts";
import { within } from "../../durable/deadline.ts";
import { type Place, placesOf } from "../../sync/places.ts";
import type { Actor, VaultStorage } from "../../vault/storage.ts";
import type { Address } from "../storage/address.ts";
import { STALL_MS } from "../storage/body.ts";
import { ask } from "../storage/context.ts";
import { S3Error } from "../storage/errors.ts";
import type { Operation } from "../storage/operation.ts";
import { endpointOf, endpointProblem } from "./endpoint.ts";
import { type Body, forward } from "./forward.ts";
import { checkDeletion, passedOn } from "./request.ts";
import type { KnownSink } from "./sinks.ts";

/** A thousand keys of a kilobyte to delete, or ten thousand parts to put together, in XML. */
const LARGEST_DOCUMENT = 4 * 1024 * 1024;

/** The spec that a bucket's name stands for (`spec-{specId}`); null for another bucket. */
export const specOfBucket = (bucket: string): string | null => /^spec-([a-z0-9-]{1,63})$/.exec(bucket)?.[1] ?? null;

export interface SinkAccess {
  sink: KnownSink;
  tenantId: string;
  actor: Actor;
  /** The tenant's vault of its state, which knows the epoch (P-FENCE). */
  vault: VaultStorage;
}

/** What somebody asks of a bucket. */
export interface Asked {
  request: Request;
  address: Address;
  operation: Operation;
}

/** One request of a container to its tenant's part of an S3 bucket. @throws S3Error */
export async function serveSink(
  env: Env,
  access: SinkAccess,
  { request, address, operation }: Asked,
): Promise<Response> {
  const { sink, tenantId } = access;
  if (sink.spec.sink.type !== "s3") throw new S3Error("InternalError", "This is no S3 sink.");
  const problem = endpointProblem(endpointOf(sink.spec.sink), configOf(env).environment);
  if (problem !== null) throw new S3Error("AccessDenied", `The sink's endpoint ${problem}.`);
  const places = placesOf(sink.spec, tenantId);
  const { method, headers } = request;
  const passed = passedOn(
    operation,
    { method, headers, query: address.query },
    { bucket: sink.spec.sink.bucket, own: address.bucket, places },
  );
  const body = await bodyOf(operation, request, places);
  // As late as can be: of a completion, which makes a whole upload visible, nothing has gone on before this.
  await current(access);
  return forward(sink, passed, body, request.signal);
}

/** @throws S3Error `AccessDenied` for a container that was superseded */
async function current({ vault, actor }: SinkAccess): Promise<void> {
  await ask(vault.list(actor, { prefix: "", delimiter: "", after: "", afterIsPrefix: false, limit: 0 }));
}

/** Contents as streams; what says what to do, whole, and looked at before it goes on. */
async function bodyOf(
  { name }: Operation,
  request: Request,
  places: readonly Place[],
): Promise<Body | Uint8Array<ArrayBuffer> | null> {
  switch (name) {
    case "PutObject":
    case "UploadPart":
      return {
        stream: request.body ?? new ReadableStream({ start: (empty) => empty.close() }),
        length: lengthOf(request),
      };
    case "CompleteMultipartUpload":
      return document(request);
    case "DeleteObjects": {
      const bytes = await document(request);
      checkDeletion(new TextDecoder().decode(bytes), places);
      return bytes;
    }
    default:
      return null;
  }
}

async function document(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  if (lengthOf(request) > LARGEST_DOCUMENT) throw new S3Error("MalformedXML", "The XML you provided is too long.");
  return new Uint8Array(await within(STALL_MS, "reading the document", request.arrayBuffer()));
}

function lengthOf(request: Request): number {
  const length = request.headers.get("content-length") ?? "";
  if (!/^\d{1,15}$/.test(length)) {
    throw new S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
  return Number(length);
}
