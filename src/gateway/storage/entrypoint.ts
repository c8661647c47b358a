import { WorkerEntrypoint } from "cloudflare:workers";
import { messageOf, sleep } from "../../durable/deadline.ts";
import { specVaultName } from "../../durable/stubs.ts";
import { log } from "../../log.ts";
import { prefixOf } from "../../vault/parts.ts";
import type { VaultStorage } from "../../vault/storage.ts";
import type { StorageProps } from "../../vault/types.ts";
import { serveSink, specOfBucket } from "../sink/handler.ts";
import { type KnownSink, sinkOf } from "../sink/sinks.ts";
import { allowed } from "./access.ts";
import { addressOf } from "./address.ts";
import { pullFrom, readOut } from "./body.ts";
import { saveBundle } from "./bundle-in.ts";
import { restoreBundle } from "./bundle-out.ts";
import type { Gateway } from "./context.ts";
import { copyObject } from "./copy.ts";
import { deleteObjects } from "./delete-objects.ts";
import { errorResponse, S3Error } from "./errors.ts";
import { listBuckets, listObjects, listObjectsV2 } from "./list.ts";
import { refuseUnkept } from "./metadata.ts";
import * as multipart from "./multipart.ts";
import { listMultipartUploads, listParts } from "./multipart-list.ts";
import * as objects from "./objects.ts";
import { type Operation, operationOf } from "./operation.ts";
import { xml } from "./xml.ts";

/** The bucket that is the tenant's state. */
const STATE = "state";
/** Of the body of a request that was refused before it was looked at. */
const MOST_READ_OUT = 8 * 1024 * 1024;

/**
 * What a container reaches as `http://sink.internal`: its tenant's Vault, as an S3 bucket. Tenant, epoch and incarnation come from the props of the
 * intercept, never from the request; the request only has to show that it comes from this boot's root.
 */
export class StorageGateway extends WorkerEntrypoint<Env, StorageProps> {
  override async fetch(request: Request): Promise<Response> {
    const requestId = crypto.randomUUID();
    if (expectsInVain(request.headers)) await sleep(CONTINUE_MS);
    try {
      const response = await this.#answer(request);
      response.headers.set("x-amz-request-id", requestId);
      return response;
    } catch (error) {
      if (!request.bodyUsed && request.body?.locked === false) await readOut(pullFrom(request.body), MOST_READ_OUT);
      return errorResponse(toS3Error(error, requestId), request.method, request.url, requestId);
    }
  }

  /** A bucket of its own for every sync spec of the container's pool, beside the state. */
  async #answer(request: Request): Promise<Response> {
    if (!allowed(request.headers, this.ctx.props.accessKeyId)) throw new S3Error("AccessDenied", "Access Denied");
    const address = addressOf(request.url);
    const operation = operationOf(request.method, address, request.headers);
    const { tenantId } = this.ctx.props;
    const state = this.#gateway({ name: STATE, vault: tenantId });
    if (operation.name === "SaveBundle") return saveBundle(state, request);
    if (operation.name === "RestoreBundle") return restoreBundle(state, operation.generation);
    if (address.bucket === STATE || operation.name === "ListBuckets") {
      refuseUnkept(request.headers);
      return perform(state, operation, request, address.query);
    }
    const sink = await this.#sink(address.bucket);
    if (sink.spec.sink.type === "s3") {
      return serveSink(
        this.env,
        { sink, tenantId, actor: state.actor, vault: state.vault },
        { request, address, operation },
      );
    }
    refuseUnkept(request.headers);
    const own = this.#gateway({ name: address.bucket, vault: specVaultName(tenantId, sink.spec.id) });
    return perform(own, operation, request, address.query);
  }

  /** @throws S3Error `NoSuchBucket`, also for a spec of another pool: nobody inside tells it from none */
  async #sink(bucket: string): Promise<KnownSink> {
    const specId = specOfBucket(bucket);
    const sink = specId === null ? null : await sinkOf(this.env, specId, Date.now());
    if (sink?.spec.poolId === this.ctx.props.poolId) return sink;
    throw new S3Error("NoSuchBucket", "The specified bucket does not exist.");
  }

  #gateway({ name, vault }: { name: string; vault: string }): Gateway {
    const { epoch, incarnation } = this.ctx.props;
    return {
      name,
      // The RPC types of a stub lose branded numbers and unions; what it answers is what the class says.
      vault: this.env.VAULT.getByName(vault) as unknown as VaultStorage,
      bucket: this.env.BUCKET,
      actor: { epoch, incarnation },
      objectPrefix: `${prefixOf(vault)}objects/`,
      waitUntil: (work) => this.ctx.waitUntil(work),
    };
  }
}

/**
 * The platform sends no `100 Continue`: clients wait for it a second, then send their body. One with an empty body would be answered within that
 * second, which older AWS clients (botocore) take for the answer of the connection's next request, too.
 */
const expectsInVain = (headers: Headers): boolean =>
  headers.get("expect")?.toLowerCase() === "100-continue" && headers.get("content-length") === "0";
const CONTINUE_MS = 1_250;

type BucketOperation = Exclude<Operation, { name: "SaveBundle" | "RestoreBundle" }>;

async function perform(
  gateway: Gateway,
  operation: BucketOperation,
  request: Request,
  query: ReadonlyMap<string, string>,
): Promise<Response> {
  switch (operation.name) {
    case "ListBuckets":
      return listBuckets(gateway);
    case "HeadBucket":
      return new Response(null, { headers: { "x-amz-bucket-region": "auto" } });
    case "GetBucketLocation":
      return xml("LocationConstraint", "");
    case "ListObjects":
      return listObjects(gateway, query);
    case "ListObjectsV2":
      return listObjectsV2(gateway, query);
    case "ListMultipartUploads":
      return listMultipartUploads(gateway, query);
    case "DeleteObjects":
      return deleteObjects(gateway, request);
    case "GetObject":
    case "HeadObject":
      return objects.getObject(gateway, request, operation.key, query);
    case "GetObjectTagging":
      return objects.getObjectTagging(gateway, operation.key);
    case "PutObject":
      return objects.putObject(gateway, request, operation.key);
    case "CopyObject":
      return copyObject(gateway, request, operation.key);
    case "DeleteObject":
      return objects.deleteObject(gateway, request, operation.key);
    case "CreateMultipartUpload":
      return multipart.createMultipartUpload(gateway, request, operation.key);
    case "UploadPart":
      return multipart.uploadPart(gateway, request, operation);
    case "UploadPartCopy":
      return multipart.uploadPartCopy(gateway, request, operation);
    case "CompleteMultipartUpload":
      return multipart.completeMultipartUpload(gateway, request, operation.key, operation.uploadId);
    case "AbortMultipartUpload":
      return multipart.abortMultipartUpload(gateway, operation.key, operation.uploadId);
    case "ListParts":
      return listParts(gateway, query, operation.key, operation.uploadId);
  }
}

/** Faults of ours are logged whole and answered without their text, which may name keys of R2. */
function toS3Error(error: unknown, requestId: string): S3Error {
  if (error instanceof S3Error) return error;
  log.error("storage: a request failed", { requestId, error: messageOf(error) });
  return new S3Error("InternalError", "We encountered an internal error. Please try again.");
}
